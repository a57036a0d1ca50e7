/**
 * Lets the functions of a test's database wait longer for a lock than a machine stalls. For tests that must see who waits for whom: a session whose patience
 * ended would begin anew, after its rival.
 */
export async function waitPatiently(query: (sql: string) => Promise<unknown>): Promise<void> {
  await query(`
    do $$ declare f regprocedure; begin
      for f in select oid from pg_proc where pronamespace = 'public'::regnamespace and 'lock_timeout=2s' = any (proconfig)
      loop execute format('alter function %s set lock_timeout = ''9 s''', f); end loop;
    end $$`);
}
