import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp } from '../support/app.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { begin, payFor } from '../support/payments.ts';
import { countStatements, type Statements } from '../support/statements.ts';

failOnLeaks();

describe('the statements an operation needs', () => {
  let app: TestApp;
  let statements: Statements;

  beforeAll(async () => {
    app = await testApp();
    await app.stopSweeping();
    app.simulator.sendsWebhooks = false;
    statements = await countStatements(app);
  });
  afterAll(async () => {
    statements.stop();
    await app.close();
  });

  const statementsOf = (work: () => Promise<unknown>) => statements.of(work);

  /** The table a statement reads first. */
  const tableOf = (text: string) => /from "?(?:[\w.]+"?\.)?"?(\w+)/.exec(text)?.[1];

  test('a page of lessons with all its relations: 5, for 1 lesson as for 20', async () => {
    for (let made = 0; made < 20; made++) {
      const { client } = await app.admin();
      const { instructor } = await client.run('TestCreateInstructor', {
        input: { name: `Instructor ${made}`, idempotencyKey: randomUUID() },
      });
      await app.lesson({ instructorId: instructor.id, month: '2032-01' });
    }
    const page = (first: number) => () => app.anonymous.run('TestTimetable', { first, filter: { month: '2032-01' } });

    const [one, twenty] = [await statementsOf(page(1)), await statementsOf(page(20))];

    expect((await page(20)()).nodes).toHaveLength(20);
    // Lessons, their number, their pools (price and sale window), their instructors, their availability.
    expect(one).toHaveLength(5);
    expect(twenty).toHaveLength(5);
    expect(twenty.map(tableOf).sort()).toEqual(['instructor', 'lesson', 'lesson', 'pool', 'pool_availability']);
  });

  test('my enrolments with lesson and locker: 5, for 1 as for 20', async () => {
    await app.query("update pool set quota_max = 100 where kind = 'lesson'");
    const member = await app.member();
    const other = await app.member();
    await app.lockers('2032-02', 'FEMALE', 100);
    const enroll = async ({ client }: typeof member) => {
      const lessonId = await app.lesson({ month: '2032-02' });
      await app.query("update pool set quota_max = 100 where kind = 'lesson'");
      await client.run('TestEnroll', { input: { lessonId, withLocker: true, idempotencyKey: randomUUID() } });
    };
    await enroll(other);
    for (let made = 0; made < 20; made++) await enroll(member);

    const [one, twenty] = [
      await statementsOf(() => other.client.run('TestMyEnrollments')),
      await statementsOf(() => member.client.run('TestMyEnrollments')),
    ];

    expect((await member.client.run('TestMyEnrollments')).nodes).toHaveLength(20);
    // The session, the holds, their number, their lessons, their stocks of lockers.
    expect(one).toHaveLength(5);
    expect(twenty).toHaveLength(5);
  });

  const PAYMENT = `id state checkout { url } captured { amountMinor }
    refunds { id amount { amountMinor currency } } hold { id state ... on Enrollment { lesson { title } } } exchanges { operation outcome }`;

  test('my payments with refunds, holds, lessons and exchanges: 8, for 1 as for 20', async () => {
    const admin = await app.admin();
    const lessonId = await app.lesson({ capacity: 100 });
    for (let made = 0; made < 20; made++) {
      const { client } = await app.member();
      const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
      const paymentId = await payFor(client, enrollment.id);
      const input = { paymentId, amountMinor: 1_000, reason: 'Cold water', idempotencyKey: randomUUID() };
      await admin.client.run('TestRefundPayment', { input });
    }
    // All of them become the administrator's, who may read the exchanges too.
    await app.query('update payment set member_id = $1', [admin.uuid]);
    const query = `query ($first: Int!) { myPayments(first: $first) { totalCount pageInfo { endCursor } nodes { ${PAYMENT} } } }`;
    const page = (first: number) => () => admin.client.post({ query, variables: { first } });

    const [one, twenty] = [await statementsOf(page(1)), await statementsOf(page(20))];

    const { data, errors } = await page(20)();
    expect(errors).toEqual([]);
    expect(data.myPayments.nodes).toHaveLength(20);
    expect(data.myPayments.nodes[19]).toMatchObject({
      refunds: [{ amount: { amountMinor: 1_000, currency: 'KRW' } }],
      hold: { state: 'CONFIRMED', lesson: { title: 'Dawn masters' } },
      exchanges: [{ operation: 'REFUND' }, { operation: 'APPROVE' }, { operation: 'PREPARE' }],
    });
    // The session, the page, its number, the refunds, the payments whose currency they are in, the holds, the lessons, the exchanges.
    expect(one).toHaveLength(8);
    expect(twenty.map(tableOf).sort()).toEqual(one.map(tableOf).sort());
  });

  test('the items of the reconciliation with their payments: as many for 1 as for 20', async () => {
    const admin = await app.admin();
    const lessonId = await app.lesson({ capacity: 100 });
    for (let made = 0; made < 20; made++) {
      const { client } = await app.member();
      const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
      await begin(client, enrollment.id);
    }
    // As if each of them were approved and the answer lost.
    await app.query("update payment set approving_at = clock_timestamp(), next_look_at = null where state = 'PENDING'");
    const query = `query ($first: Int!) { reconciliation { open deposits { amountMinor } items(first: $first) { nodes { since payment { ${PAYMENT} } } } } }`;
    const page = (first: number) => () => admin.client.post({ query, variables: { first } });

    const [one, twenty] = [await statementsOf(page(1)), await statementsOf(page(20))];

    const { data, errors } = await page(20)();
    expect(errors).toEqual([]);
    expect(data.reconciliation.open).toBe(20);
    expect(data.reconciliation.items.nodes).toHaveLength(20);
    expect(data.reconciliation.items.nodes[19].payment).toMatchObject({ state: 'PENDING', checkout: null, hold: { state: 'PAYING' } });
    // The session, the summary, the items, their payments, refunds, holds, lessons and exchanges.
    expect(one).toHaveLength(8);
    expect(twenty.map(tableOf).sort()).toEqual(one.map(tableOf).sort());
  });

  test('an enrolment in a scarce lesson: 2, the session and the claim', async () => {
    const lessonIds = [await app.lesson(), await app.lesson()];
    const { client } = await app.member();
    const query =
      'mutation ($input: EnrollInput!) { enroll(input: $input) { ... on EnrollSuccess { enrollment { id state expiresAt } } } }';
    const ids = [...lessonIds];

    const sent = await statementsOf(() =>
      client.post({ query, variables: { input: { lessonId: ids.pop(), idempotencyKey: randomUUID() } } }),
    );

    expect(sent).toHaveLength(2);
    expect(sent[1]).toContain('claim_holds');
  });

  test('a sold-out lesson: 2 as well, when the alternatives are not asked for', async () => {
    const lessonId = await app.lesson({ capacity: 0 });
    const { client } = await app.member();
    const query = 'mutation ($input: EnrollInput!) { enroll(input: $input) { ... on Error { code } } }';

    const sent = await statementsOf(() => client.post({ query, variables: { input: { lessonId, idempotencyKey: randomUUID() } } }));

    expect(sent).toHaveLength(2);
  });
});
