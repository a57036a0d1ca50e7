/**
 * Lets the functions of a test's database wait longer for a lock than a machine stalls: a session whose patience ended would begin anew, after its rival, and at
 * last fail. Unless more is said it ends before the statements of the server under test time out, which they do after 10 seconds.
 */
export async function waitPatiently(query: (sql: string) => Promise<unknown>, seconds = 9): Promise<void> {
  await query(`
    do $$ declare f regprocedure; begin
      for f in select p.oid from pg_proc p join pg_language l on l.oid = p.prolang where p.pronamespace = 'public'::regnamespace and l.lanname = 'plpgsql'
      loop execute format('alter function %s set lock_timeout = ''${seconds} s''', f); end loop;
    end $$`);
}
