import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { waitingForLocks } from '../../support/lock-waits.ts';
import { letRivalsMeet, restoring } from '../../support/meeting.ts';
import { waitPatiently } from '../../support/waiting-patiently.ts';
import { aDoor, type Door, type IssuedTicket, issue } from './doors.ts';

failOnLeaks();

const TRIALS = 200;
/** Trials that run beside each other, each with a ticket of its own. */
const ABREAST = 8;
const CONTROL_TRIALS = 4;

const TICKET_LOCK = 'perform 1 from ticket where id = any (v_tickets) order by id for no key update;';
const HOLD_LOCK = 'perform 1 from hold where id in (select t.hold_id from ticket t where t.id = any (v_tickets)) order by id for share;';

/** What a member's cancellation does: it takes the hold for itself, and gives nothing back for a ticket that was used. */
const CANCEL = `
  create function cancel_unused(p_hold uuid) returns boolean language plpgsql as $$ begin
    perform 1 from hold where id = p_hold for update;
    if exists (select 1 from ticket where hold_id = p_hold and used_at is not null) then return false; end if;
    perform move_hold(p_hold, null, '{CONFIRMED}', 'RETURNED');
    update payment set state = 'REFUNDED' where hold_id = p_hold;
    return true;
  end $$`;

/** What a scanner's request does, as the staff of the door. */
const SCAN = `
  select check_in($1, $2, false, false,
    json_build_array(json_build_object('id', gen_random_uuid(), 'ticket', $3::uuid, 'generation', 1, 'gate', 'North')))->'scans'->0->>'result' as result`;

interface Stage {
  app: TestApp;
  /** Another node on the same database. */
  other: TestApp;
  door: Door;
}

async function scan({ app, other, door }: Stage, ticket: IssuedTicket, gate: 'North' | 'South'): Promise<string> {
  const client = gate === 'North' ? door.staff.client : other.anonymous.as(door.organizer.accessToken);
  const { data, errors } = await client.send('TestCheckIn', { input: { performanceId: door.performanceId, code: ticket.code, gate } });
  expect([app.url, errors[0]?.extensions.code]).toEqual([app.url, undefined]);
  return data.checkIn.__typename;
}

/** The same code at two gates at the same moment, of two nodes. */
async function twoGates(stage: Stage, ticket: IssuedTicket): Promise<void> {
  const answers = await Promise.all([scan(stage, ticket, 'North'), scan(stage, ticket, 'South')]);

  expect(answers.sort()).toEqual(['AlreadyUsedError', 'CheckInSuccess']);
}

async function cancel({ app }: Stage, ticket: IssuedTicket): Promise<boolean> {
  const { rows } = await app.app.database.pool.query('select cancel_unused($1) as refunded', [ticket.holdId]);
  return rows[0].refunded;
}

/** The member cancels while the ticket is scanned. */
async function scanOrCancel(stage: Stage, ticket: IssuedTicket): Promise<void> {
  const [answer, refunded] = await Promise.all([scan(stage, ticket, 'North'), cancel(stage, ticket)]);

  expect({ answer, refunded }).toEqual(refunded ? { answer: 'RefundedError', refunded } : { answer: 'CheckInSuccess', refunded });
  await expectUsedOrRefunded(stage, ticket, refunded);
}

async function expectUsedOrRefunded(stage: Stage, ticket: IssuedTicket, refunded: boolean): Promise<void> {
  const [stored] = await stage.app.query(
    'select t.used_at is not null as used, h.state from ticket t join hold h on h.id = t.hold_id where t.id = $1',
    [ticket.uuid],
  );
  expect(stored).toEqual(refunded ? { used: false, state: 'RETURNED' } : { used: true, state: 'CONFIRMED' });
}

/** Runs a rival while somebody has done what a statement does and not committed it, which happens once the rival waits. Answers both. */
async function whileUncommitted<Rival>({ app }: Stage, sql: string, values: unknown[], rival: () => Promise<Rival>) {
  const client = new pg.Client({ connectionString: app.databaseUrl });
  await client.connect();
  try {
    await client.query('begin');
    const { rows } = await client.query(sql, values);
    const answer = rival();
    await waitingForLocks(app);
    await client.query('commit');
    return { first: rows[0], second: await answer };
  } finally {
    await client.end();
  }
}

/** Two of the staff take the same entry back at the same moment. */
async function twoUndos(stage: Stage, ticket: IssuedTicket): Promise<void> {
  await scan(stage, ticket, 'North');
  const input = { performanceId: stage.door.performanceId, ticketId: ticket.id, reason: 'x' };
  const undo = async (client: TestApp['anonymous']) => {
    const { data } = await client.send('TestUndoCheckIn', { input });
    return data?.undoCheckIn?.__typename ?? 'failed';
  };

  const answers = await Promise.all([undo(stage.door.staff.client), undo(stage.other.anonymous.as(stage.door.organizer.accessToken))]);

  expect(answers.sort()).toEqual(['TicketNotCheckedInError', 'UndoCheckInSuccess']);
}

async function inLanes(tickets: readonly IssuedTicket[], run: (ticket: IssuedTicket) => Promise<void>): Promise<void> {
  const waiting = [...tickets];
  const lane = async () => {
    for (let ticket = waiting.pop(); ticket; ticket = waiting.pop()) await run(ticket);
  };
  await Promise.all(Array.from({ length: ABREAST }, lane));
}

async function stageWith(count: number): Promise<{ stage: Stage; tickets: IssuedTicket[]; close(): Promise<void> }> {
  const app = await testApp();
  const other = await testApp({ databaseUrl: app.databaseUrl, simulator: app.simulator });
  const door = await aDoor(app, { rows: 50 });
  await app.query(CANCEL);
  await waitPatiently(app.query.bind(app));
  const close = async () => {
    await other.close();
    await app.close();
  };
  return { stage: { app, other, door }, tickets: await issue(app, door, count), close };
}

describe('at two gates at once', () => {
  let stage: Stage;
  let tickets: IssuedTicket[];
  let close: () => Promise<void>;
  beforeAll(async () => {
    ({ stage, tickets, close } = await stageWith(2 * TRIALS + 50 + 2));
  });
  afterAll(async () => {
    expect(await stage.app.brokenInvariants()).toEqual([]);
    await close();
  });

  test(`${TRIALS} tickets, each scanned at two gates at the same moment: one is let in`, async () => {
    await inLanes(tickets.splice(0, TRIALS), (ticket) => twoGates(stage, ticket));
  });

  test(`${TRIALS} tickets, each scanned while its member cancels: used or refunded, never both`, async () => {
    await inLanes(tickets.splice(0, TRIALS), (ticket) => scanOrCancel(stage, ticket));
  });

  test('a member who cancels when the ticket has been scanned waits, and gets nothing back', async () => {
    const ticket = tickets.pop() as IssuedTicket;
    const values = [stage.door.uuids.performance, stage.door.staff.uuid, ticket.uuid];

    const { first, second } = await whileUncommitted(stage, SCAN, values, () => cancel(stage, ticket));

    expect([first, second]).toEqual([{ result: 'VALID' }, false]);
    await expectUsedOrRefunded(stage, ticket, false);
  });

  test('who is scanned when the member has cancelled waits, and is told that the ticket is refunded', async () => {
    const ticket = tickets.pop() as IssuedTicket;

    const { first, second } = await whileUncommitted(stage, 'select cancel_unused($1) as refunded', [ticket.holdId], () =>
      scan(stage, ticket, 'North'),
    );

    expect([first, second]).toEqual([{ refunded: true }, 'RefundedError']);
    await expectUsedOrRefunded(stage, ticket, true);
  });

  test('50 entries, each taken back by two at the same moment: one does', async () => {
    await inLanes(tickets.splice(0, 50), (ticket) => twoUndos(stage, ticket));
  });
});

describe('with a protection off', () => {
  let stage: Stage;
  let tickets: IssuedTicket[];
  let close: () => Promise<void>;
  beforeAll(async () => {
    ({ stage, tickets, close } = await stageWith(4 * CONTROL_TRIALS));
  });
  afterAll(() => close());

  const trials = async (run: (ticket: IssuedTicket) => Promise<unknown>) => {
    for (const ticket of tickets.splice(0, CONTROL_TRIALS)) await run(ticket);
  };
  /** Runs with functions rewritten, and puts them back. */
  const sabotaged = (names: string[], sabotage: () => Promise<void>, run: () => Promise<void>) =>
    restoring(stage.app.query.bind(stage.app), names, async () => {
      await sabotage();
      await run();
    });
  const meet = (name: string, place: string) => letRivalsMeet(stage.app.query.bind(stage.app), name, place, 'true', '8 s');
  const withoutTicketLock = async () => {
    await stage.app.sabotage('check_in', TICKET_LOCK, '');
    await meet('check_in', 'insert into scan (');
  };

  test('without the lock of the ticket the index still lets one in, and the other gate is told nothing useful', async () => {
    await sabotaged(['check_in'], withoutTicketLock, () => trials((ticket) => expectSeen(twoGates(stage, ticket))));
    expect(await stage.app.brokenInvariants()).toEqual([]);
  });

  test('without the lock of the hold a ticket is used and refunded', async () => {
    const sabotage = async () => {
      await stage.app.sabotage('check_in', HOLD_LOCK, '');
      await meet('check_in', 'insert into scan (');
      await meet('cancel_unused', 'perform move_hold(');
    };
    await sabotaged(['check_in', 'cancel_unused'], sabotage, () =>
      trials(async (ticket) => {
        await expectSeen(scanOrCancel(stage, ticket));
        const [stored] = await stage.app.query(
          'select t.used_at is not null as used, h.state from ticket t join hold h on h.id = t.hold_id where t.id = $1',
          [ticket.uuid],
        );
        expect(stored).toEqual({ used: true, state: 'RETURNED' });
      }),
    );
  });

  test('without the lock of the ticket one entry is taken back twice', async () => {
    const sabotage = async () => {
      await stage.app.sabotage('undo_check_in', 'performance_id = p_performance for no key update;', 'performance_id = p_performance;');
      await meet('undo_check_in', 'v_now := clock_timestamp();');
    };
    await sabotaged(['undo_check_in'], sabotage, () => trials((ticket) => expectSeen(twoUndos(stage, ticket))));
    expect((await stage.app.brokenInvariants()).map(({ check }) => check)).toEqual(['undo-undid-one-scan']);
  });

  test('without the lock of the ticket and the index two are let in on one ticket', async () => {
    await stage.app.query('drop index scan_entry');
    await sabotaged(['check_in'], withoutTicketLock, () =>
      trials(async (ticket) => {
        await expectSeen(twoGates(stage, ticket));
        const valid = await stage.app.query("select gate from scan where ticket_id = $1 and result = 'VALID' order by gate", [ticket.uuid]);
        expect(valid).toEqual([{ gate: 'North' }, { gate: 'South' }]);
      }),
    );
    expect((await stage.app.brokenInvariants()).map(({ check }) => check)).toContain('used-ticket-has-its-scan');
  });
});

/** The scenario's own assertion must fail, not just anything. */
const expectSeen = (scenario: Promise<unknown>) => expect(scenario).rejects.toHaveProperty('matcherResult');
