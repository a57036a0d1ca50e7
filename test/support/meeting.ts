/**
 * For negative controls: with the protection off, rivals must be seen to break what it protects, on a machine of any speed. A pause in the
 * function under test only makes that likely; here each session waits until another one has come as far.
 */
const meeting = (patience: string) => `
  create sequence if not exists rivals;
  create or replace function meet_rival() returns void language plpgsql as $$
    declare
      v_met bigint := (nextval('rivals') + 1) / 2 * 2;
      v_until timestamptz := clock_timestamp() + interval '${patience}';
    begin
      while (select last_value from rivals) < v_met loop
        perform pg_sleep(0.002);
        if clock_timestamp() >= v_until then
          -- Nobody else came. The next two meet each other, not this one.
          perform nextval('rivals');
          return;
        end if;
      end loop;
    end $$`;

/** Rewrites the text of a function everywhere, which must have what is replaced: for switching a protection off in a database of the test's own. */
export async function rewriteFunction(query: Query, name: string, from: string | RegExp, to: string): Promise<void> {
  const [row] = await query('select pg_get_functiondef($1::regproc) as definition', [name]);
  const definition = String(row?.definition ?? '');
  const rewritten = typeof from === 'string' ? definition.replaceAll(from, () => to) : definition.replace(from, () => to);
  if (rewritten === definition) throw new Error(`The function ${name} has no ${from}: this control switches nothing off.`);
  await query(rewritten);
}

/** Runs while functions may be rewritten, and puts them back as they were. */
export async function restoring(query: Query, names: readonly string[], run: () => Promise<void>): Promise<void> {
  const rows = await query('select pg_get_functiondef(n::regproc) as definition from unnest($1::text[]) n', [names]);
  try {
    await run();
  } finally {
    for (const { definition } of rows) await query(String(definition));
  }
}

/**
 * Makes whoever runs a function wait for a rival before a place in its text, two by two; those of whom `when` is true there. Where each certainly has a rival,
 * they may have more patience than a second: then no stall of the machine parts them.
 */
export async function letRivalsMeet(query: Query, name: string, before: string, when = 'true', patience = '1 s'): Promise<void> {
  await query(meeting(patience));
  await rewriteFunction(query, name, before, `if ${when} then perform meet_rival(); end if; ${before}`);
}

type Query = (sql: string, values?: unknown[]) => Promise<Record<string, unknown>[]>;
