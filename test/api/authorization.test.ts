import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from '../support/app.ts';
import { AUTHORIZED_BESIDE } from '../support/authorized-beside.ts';
import type { Answer, TestClient } from '../support/client.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { begin, payFor } from '../support/payments.ts';
import { aShow, aTicket } from '../support/shows.ts';
import { subscribeOnce } from '../support/subscribe-once.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

const CALLERS = ['anonymous', 'owner', 'member', 'organizer', 'admin'] as const;
type Caller = (typeof CALLERS)[number];

/** What a caller meets: an answer with something in it, an answer that says there is nothing (null, or a typed refusal), or a top-level error. */
type Meets = 'answer' | 'nothing' | 'UNAUTHENTICATED' | 'FORBIDDEN';

const everybody: Record<Caller, Meets> = { anonymous: 'answer', owner: 'answer', member: 'answer', organizer: 'answer', admin: 'answer' };
const signedIn: Record<Caller, Meets> = { ...everybody, anonymous: 'UNAUTHENTICATED' };
const admins: Record<Caller, Meets> = {
  anonymous: 'UNAUTHENTICATED',
  owner: 'FORBIDDEN',
  member: 'FORBIDDEN',
  organizer: 'FORBIDDEN',
  admin: 'answer',
};
const organizers: Record<Caller, Meets> = { ...admins, organizer: 'answer' };
/** Of payments of the pool, which no organizer owns. */
const houseRefunds: Record<Caller, Meets> = { ...admins, organizer: 'nothing' };
const ownerAlone: Record<Caller, Meets> = {
  anonymous: 'UNAUTHENTICATED',
  owner: 'answer',
  member: 'nothing',
  organizer: 'nothing',
  admin: 'nothing',
};

describe('who may do what', () => {
  let app: TestApp;
  let callers: Record<Caller, TestMember | { client: TestClient }>;
  let stage: {
    lessonId: string;
    instructorId: string;
    lockerId: string;
    memberId: string;
    /** Held by the owner, one for each caller, so that a call that is allowed does not spoil the next one. */
    held: Record<Caller, string>;
    enrollmentId: string;
    ticketHoldId: string;
    paymentId: string;
    /** Paid for, one for each caller who gives it back. */
    paid: Record<Caller, string>;
    /** A refund of it was sent to a provider that cannot be asked, and its answer was lost. */
    strandedId: string;
    /** The owner was sent to the provider and has not come back. */
    begunId: string;
    begunHoldId: string;
    ticketId: string;
    /** Of a performance with free seats. */
    onSaleId: string;
    /** Of a performance whose every seat is followed by the owner in one watch and wished for by the callers in others. */
    performanceId: string;
    watchId: string;
    watchToEndId: string;
  };

  const enroll = async (client: TestClient, lessonId: string) =>
    (await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })).enrollment.id;

  /** Venues of the organizer: one without a plan, and a plan that nothing uses, for each caller who deletes them. */
  let places: Record<Caller, { venueId: string; emptyVenueId: string; seatPlanId: string }>;
  const makePlaces = async () => {
    const made = {} as typeof places;
    const venue = async () => {
      const [row] = await app.query<{ id: string }>(
        "insert into venue (owner_id, name, address, latitude, longitude) values ($1, 'Hall', 'Seoul', 37.5, 127) returning id",
        [(callers.organizer as TestMember).uuid],
      );
      return row?.id as string;
    };
    for (const caller of CALLERS) {
      const [venueId, emptyVenueId] = [await venue(), await venue()];
      const [plan] = await app.query<{ id: string }>(
        "insert into seat_plan (venue_id, name, focus_x, focus_y) values ($1, 'Grid', 0, 0) returning id",
        [venueId],
      );
      made[caller] = {
        venueId: toNodeId('Venue', venueId),
        emptyVenueId: toNodeId('Venue', emptyVenueId),
        seatPlanId: toNodeId('SeatPlan', plan?.id as string),
      };
    }
    return made;
  };

  beforeAll(async () => {
    app = await testApp({ environment: { INTROSPECTION: 'on', MONTHLY_LESSONS_MAX: '100' } });
    // What a provider rings for later would be written while somebody is being refused.
    app.simulator.sendsWebhooks = false;
    const owner = await app.member();
    const [member, organizer, admin] = [await app.member(), await app.member('ORGANIZER'), await app.admin()];
    callers = { anonymous: { client: app.anonymous }, owner, member, organizer, admin };
    const lessonId = await app.lesson({ capacity: 1000 });
    const [instructor] = await app.anonymous.run('TestInstructors');
    const held = {} as Record<Caller, string>;
    for (const caller of CALLERS) held[caller] = await enroll(owner.client, await app.lesson());
    const enrollmentId = await enroll(owner.client, await app.lesson());
    const { performanceId: onSaleId } = await aShow(app);
    const { hold: ticketHold } = await owner.client.run('TestHoldTickets', {
      input: { performanceId: onSaleId, seats: [9], idempotencyKey: randomUUID() },
    });
    const paymentId = await payFor(owner.client, enrollmentId);
    const paid = {} as Record<Caller, string>;
    for (const caller of CALLERS) paid[caller] = await payFor(owner.client, await enroll(owner.client, await app.lesson()));
    const strandedId = await payFor(owner.client, await enroll(owner.client, await app.lesson()), 'KISPG');
    app.simulator.order({ provider: 'KISPG', call: 'cancel', fault: 'RESET_AFTER' });
    const { refund } = await admin.client.run('TestRefundPayment', {
      input: { paymentId: strandedId, amountMinor: 1_000, reason: 'Cold water', idempotencyKey: randomUUID() },
    });
    if (refund?.state !== 'OPEN') throw new Error(`the refund is not stranded but ${refund?.state}`);
    // As if the time that one call of a provider may take were over.
    await app.query('update payment set busy_until = null where id = $1', [uuidIn(strandedId)]);
    const begunHoldId = await enroll(owner.client, await app.lesson());
    const begun = await begin(owner.client, begunHoldId);
    const show = await aShow(app, { rows: 1, seatsPerRow: 2 });
    // Kept for an hour for nobody: taken, as far as followers know, and nobody lets it go meanwhile.
    await app.app.seatOffers.stop();
    await app.query("update unit set state = 'KEPT', kept_until = clock_timestamp() + interval '1 hour' where pool_id = $1", [
      show.uuids.performance,
    ]);
    const { watches } = await owner.client.run('TestWatchSeats', {
      input: { performanceId: show.performanceId, seats: [0, 1], idempotencyKey: randomUUID() },
    });
    stage = {
      lessonId,
      instructorId: instructor!.id,
      lockerId: await app.lockers('2031-01', 'FEMALE', 10),
      memberId: owner.id,
      held,
      enrollmentId,
      ticketHoldId: ticketHold.id,
      paymentId,
      paid,
      strandedId,
      begunId: begun.id,
      begunHoldId,
      ticketId: await aTicket(app, owner.uuid),
      onSaleId,
      performanceId: show.performanceId,
      watchId: watches[0]!.id,
      watchToEndId: watches[1]!.id,
    };
    places = await makePlaces();
    // However long the table takes.
    await app.query("update hold set expires_at = expires_at + interval '1 day' where state = 'HELD'");
  });
  afterAll(() => app.close());

  /** Everything that is stored, as one text that changes with it. */
  const fingerprint = async () => {
    const tables = [
      'member',
      'session',
      'pool',
      'hold',
      'hold_item',
      'lesson',
      'instructor',
      'locker_stock',
      'payment',
      'refund',
      'provider_exchange',
      'webhook_receipt',
      'ledger_account',
      'ledger_transfer',
      'ledger_entry',
      'idempotent_answer',
      'venue',
      'seat_plan',
      'plan_seat',
      'ticket',
      'ticket_transfer',
      'seat_watch',
      'unit',
    ];
    const sums = tables.map((table) => `(select coalesce(md5(string_agg(t::text, '' order by t::text)), '') from ${table} t)`);
    return (await app.query<{ sum: string }>(`select ${sums.join(' || ')} as sum`))[0]?.sum;
  };

  interface Row {
    field: string;
    call(client: TestClient, caller: Caller): Promise<Answer>;
    meets: Record<Caller, Meets>;
  }

  const node = (field: string, idOf: () => string, meets: Record<Caller, Meets>): Row => ({
    field,
    call: (client) => client.send('TestNode', { id: idOf() }),
    meets,
  });
  const key = () => ({ idempotencyKey: randomUUID() });
  /** The owner of a private thing and administrators read it; to all others it does not exist. */
  const ownerAndAdmin: Record<Caller, Meets> = {
    anonymous: 'nothing',
    owner: 'answer',
    member: 'nothing',
    organizer: 'nothing',
    admin: 'answer',
  };

  const table: Row[] = [
    { field: 'Query.me', call: (client) => client.send('TestMe'), meets: { ...everybody, anonymous: 'nothing' } },
    { field: 'Query.lesson', call: (client) => client.send('TestLesson', { id: stage.lessonId }), meets: everybody },
    { field: 'Query.lessons', call: (client) => client.send('TestLessons'), meets: everybody },
    { field: 'Query.lockers', call: (client) => client.send('TestLockers', { month: '2031-01' }), meets: everybody },
    { field: 'Query.instructors', call: (client) => client.send('TestInstructors'), meets: everybody },
    { field: 'Query.seatMap', call: (client) => client.send('TestSeatMap', { performanceId: stage.performanceId }), meets: everybody },
    { field: 'Query.inventoryAudit', call: (client) => client.send('TestAudit'), meets: everybody },
    { field: 'Query.myEnrollments', call: (client) => client.send('TestMyEnrollments'), meets: signedIn },
    { field: 'Query.myTicketHolds', call: (client) => client.send('TestMyTicketHolds'), meets: signedIn },
    {
      field: 'Query.findBestSeats',
      call: (client) => client.send('TestFindBestSeats', { performanceId: stage.performanceId, count: 2 }),
      meets: everybody,
    },
    {
      field: 'Query.payment',
      call: (client) => client.send('TestPayment', { id: stage.paymentId }),
      meets: { ...ownerAlone, admin: 'answer' },
    },
    { field: 'Query.paymentProviders', call: (client) => client.send('TestPaymentProviders'), meets: everybody },
    { field: 'Query.myPayments', call: (client) => client.send('TestMyPayments'), meets: signedIn },
    { field: 'Query.reconciliation', call: (client) => client.send('TestReconciliation', { first: 5 }), meets: admins },
    {
      field: 'Query.ticket',
      // Without its `code`, which a refusal has too.
      call: (client) => client.post({ query: 'query ($id: ID!) { ticket(id: $id) { state } }', variables: { id: stage.ticketId } }),
      meets: { ...ownerAlone, admin: 'answer' },
    },
    { field: 'Query.myTickets', call: (client) => client.send('TestMyTickets'), meets: signedIn },
    node('Query.node Ticket', () => stage.ticketId, ownerAndAdmin),
    { field: 'Query.mySeatWatches', call: (client) => client.send('TestMySeatWatches'), meets: signedIn },
    node('Query.node SeatWatch', () => stage.watchId, ownerAndAdmin),
    {
      field: 'Mutation.watchSeats',
      call: (client) => client.send('TestWatchSeats', { input: { performanceId: stage.performanceId, seats: [0], ...key() } }),
      meets: signedIn,
    },
    {
      field: 'Mutation.unwatchSeats',
      call: (client) => client.send('TestUnwatchSeats', { input: { watchIds: [stage.watchToEndId] } }),
      meets: ownerAlone,
    },
    node('Query.node Lesson', () => stage.lessonId, everybody),
    node('Query.node Instructor', () => stage.instructorId, everybody),
    node('Query.node LockerStock', () => stage.lockerId, everybody),
    node('Query.node Member', () => stage.memberId, ownerAndAdmin),
    node('Query.node Enrollment', () => stage.enrollmentId, ownerAndAdmin),
    node('Query.node TicketHold', () => stage.ticketHoldId, ownerAndAdmin),
    node('Query.node Payment', () => stage.paymentId, ownerAndAdmin),
    { field: 'Query.venues', call: (client) => client.send('TestVenues'), meets: everybody },
    { field: 'Query.venue', call: (client) => client.send('TestVenue', { id: places.owner.venueId }), meets: everybody },
    { field: 'Query.seatPlans', call: (client) => client.send('TestSeatPlans', { venueId: places.owner.venueId }), meets: everybody },
    { field: 'Query.seatPlan', call: (client) => client.send('TestSeatPlan', { id: places.owner.seatPlanId }), meets: everybody },
    node('Query.node Venue', () => places.owner.venueId, everybody),
    node('Query.node SeatPlan', () => places.owner.seatPlanId, everybody),
    {
      field: 'Mutation.createVenue',
      call: (client) => client.send('TestCreateVenue', { input: { name: 'x', address: 'x', latitude: 0, longitude: 0, ...key() } }),
      meets: organizers,
    },
    {
      field: 'Mutation.updateVenue',
      call: (client) => client.send('TestUpdateVenue', { input: { venueId: places.owner.venueId, name: randomUUID() } }),
      meets: organizers,
    },
    {
      field: 'Mutation.importSeatPlan',
      call: (client) =>
        client.send('TestImportSeatPlan', {
          input: {
            venueId: places.owner.venueId,
            name: 'x',
            format: 'CSV',
            content: 'section,row,label,x,y,zone,focus_x,focus_y\nA,1,1,0,1,V,0,0',
            ...key(),
          },
        }),
      meets: organizers,
    },
    {
      field: 'Mutation.deleteSeatPlan',
      call: (client, caller) => client.send('TestDeleteSeatPlan', { input: { seatPlanId: places[caller].seatPlanId } }),
      meets: organizers,
    },
    {
      field: 'Mutation.deleteVenue',
      call: (client, caller) => client.send('TestDeleteVenue', { input: { venueId: places[caller].emptyVenueId } }),
      meets: organizers,
    },
    {
      field: 'Mutation.enroll',
      call: (client) => client.send('TestEnroll', { input: { lessonId: stage.lessonId, ...key() } }),
      meets: signedIn,
    },
    {
      field: 'Mutation.holdTickets',
      call: (client, caller) =>
        client.send('TestHoldTickets', { input: { performanceId: stage.onSaleId, seats: [CALLERS.indexOf(caller)], ...key() } }),
      meets: signedIn,
    },
    {
      field: 'Mutation.preparePayment',
      call: (client, caller) => client.send('TestPreparePayment', { input: { holdId: stage.held[caller], provider: 'TOSS', ...key() } }),
      meets: ownerAlone,
    },
    {
      field: 'Mutation.cancelBooking',
      call: (client, caller) => client.send('TestCancelBooking', { input: { holdId: stage.held[caller] } }),
      meets: ownerAlone,
    },
    {
      field: 'Mutation.offerTicket',
      call: (client) => client.send('TestOfferTicket', { input: { ticketId: stage.ticketId, ...key() } }),
      meets: ownerAlone,
    },
    {
      field: 'Mutation.withdrawTicketOffer',
      call: (client) => client.send('TestWithdrawTicketOffer', { input: { ticketId: stage.ticketId } }),
      meets: ownerAlone,
    },
    {
      field: 'Mutation.acceptTicket',
      // A link opens for whoever has it: without one, for nobody.
      call: (client) => client.send('TestAcceptTicket', { input: { token: 'A'.repeat(43) } }),
      meets: { anonymous: 'UNAUTHENTICATED', owner: 'nothing', member: 'nothing', organizer: 'nothing', admin: 'nothing' },
    },
    {
      field: 'Mutation.refundPayment',
      call: (client, caller) =>
        client.send('TestRefundPayment', { input: { paymentId: stage.paid[caller], reason: 'Broken boiler', ...key() } }),
      meets: houseRefunds,
    },
    {
      field: 'Mutation.reconcilePayment',
      call: (client) => client.send('TestReconcilePayment', { paymentId: stage.paymentId }),
      meets: admins,
    },
    {
      field: 'Mutation.concludeRefund',
      call: (client) => client.send('TestConcludeRefund', { input: { paymentId: stage.strandedId, wasRefunded: true } }),
      meets: admins,
    },
    {
      field: 'Mutation.createInstructor',
      call: (client) => client.send('TestCreateInstructor', { input: { name: 'x', ...key() } }),
      meets: admins,
    },
    {
      field: 'Mutation.createLesson',
      call: (client) =>
        client.send('TestCreateLesson', {
          input: {
            title: 'x',
            level: 'MASTERS',
            month: '2031-02',
            weekdays: ['MONDAY'],
            startsAt: '06:00',
            endsAt: '07:00',
            lane: 1,
            capacity: 1,
            priceMinor: 1,
            instructorId: stage.instructorId,
            ...key(),
          },
        }),
      meets: admins,
    },
    {
      field: 'Mutation.updateLesson',
      call: (client) => client.send('TestUpdateLesson', { input: { lessonId: stage.lessonId, title: randomUUID() } }),
      meets: admins,
    },
    {
      field: 'Mutation.changeLessonCapacity',
      call: (client) => client.send('TestChangeLessonCapacity', { input: { lessonId: stage.lessonId, capacity: 999 } }),
      meets: admins,
    },
    {
      field: 'Mutation.setLockerCapacity',
      call: (client) => client.send('TestSetLockerCapacity', { input: { month: '2031-01', gender: 'MALE', capacity: 3 } }),
      meets: admins,
    },
    {
      field: 'Mutation.closeLessonSale',
      call: async (client, caller) =>
        client.send('TestCloseLessonSale', { lessonId: caller === 'admin' ? await app.lesson() : stage.lessonId }),
      meets: admins,
    },
    {
      field: 'Mutation.createRehearsalMembers',
      call: (client) => client.post({ query: 'mutation { createRehearsalMembers(count: 1) { memberId accessToken } }' }),
      meets: admins,
    },
    {
      field: 'Mutation.setMemberRole',
      call: (client) => client.send('TestSetMemberRole', { input: { memberId: (callers.member as TestMember).id, role: 'MEMBER' } }),
      meets: admins,
    },
    {
      field: 'Mutation.signUp',
      call: (client) =>
        client.send('TestSignUp', { input: { email: `${randomUUID()}@example.com`, password: 'correct horse battery', displayName: 'x' } }),
      meets: everybody,
    },
    {
      field: 'Mutation.signIn',
      call: (client) => client.send('TestSignIn', { input: { email: 'nobody@example.com', password: 'wrong horse battery' } }),
      meets: { anonymous: 'nothing', owner: 'nothing', member: 'nothing', organizer: 'nothing', admin: 'nothing' },
    },
    {
      field: 'Mutation.refreshSession',
      call: (client) => client.send('TestRefreshSession', { input: { refreshToken: 'x' } }),
      meets: { anonymous: 'nothing', owner: 'nothing', member: 'nothing', organizer: 'nothing', admin: 'nothing' },
    },
    {
      field: 'Mutation.signOut',
      // A throw-away session of the caller's own, so that the callers stay signed in.
      call: async (client, caller) => (caller === 'anonymous' ? client : (await app.member()).client).send('TestSignOut', { input: {} }),
      meets: signedIn,
    },
  ];

  const cases = table.flatMap((row) => CALLERS.map((caller) => ({ ...row, caller, expected: row.meets[caller] })));

  test.each(cases)('$field for $caller: $expected', async ({ call, caller, expected, field }) => {
    const before = await fingerprint();

    const answer = await call(callers[caller].client, caller);

    const root = answer.data === null ? null : Object.values(answer.data)[0];
    if (expected === 'answer') {
      expect(answer.errors).toEqual([]);
      expect(root).not.toBeNull();
      expect((root as { code?: string }).code).toBeUndefined();
    } else if (expected === 'nothing') {
      expect(answer.errors).toEqual([]);
      if (root !== null) expect((root as { code?: string }).code).toMatch(/_NOT_FOUND$|^INVALID_/);
    } else {
      expect(answer.errors.map(({ extensions }) => extensions.code)).toEqual([expected]);
      expect(root).toBeNull();
    }
    // Sign-ins that fail are counted elsewhere; nothing else may be written by who is refused, or by a query.
    if (expected !== 'answer' || field.startsWith('Query.')) expect(await fingerprint()).toBe(before);
  });

  test('the table names every field of the three root types and every type of node', async () => {
    const { data } = await app.anonymous.post({
      query: `{ __schema { queryType { fields { name } } mutationType { fields { name } } subscriptionType { fields { name } }
                types { name kind interfaces { name } } } }`,
    });
    const { queryType, mutationType, subscriptionType, types } = data.__schema;
    const names = (prefix: string, { fields }: { fields: { name: string }[] }) => fields.map(({ name }) => `${prefix}.${name}`);
    const nodes = types.filter(
      ({ kind, interfaces }: { kind: string; interfaces: { name: string }[] }) =>
        kind === 'OBJECT' && interfaces.some(({ name }) => name === 'Node'),
    );

    const covered = new Set([...table.flatMap(({ field }) => [field, field.split(' ')[0]]), ...Object.values(AUTHORIZED_BESIDE).flat()]);
    expect([...names('Query', queryType), ...names('Mutation', mutationType)].filter((field) => !covered.has(field))).toEqual([]);
    expect(nodes.map(({ name }: { name: string }) => `Query.node ${name}`).filter((field: string) => !covered.has(field))).toEqual([]);
    expect(names('Subscription', subscriptionType)).toEqual([
      'Subscription.availabilityChanged',
      'Subscription.bookingChanged',
      'Subscription.checkInsChanged',
      'Subscription.seatsChanged',
      'Subscription.seatWatchChanged',
    ]);
  });

  /** What a caller sees of one field of the owner's payment, and the code of the error if there is one. */
  const fieldsOfPayment: { field: string; selection: string; paymentId(): string; sees: Record<Caller, unknown> }[] = [
    {
      field: 'exchanges',
      selection: 'exchanges { operation }',
      // Nobody but its provider was ever asked about this one.
      paymentId: () => stage.paid.anonymous,
      sees: {
        anonymous: 'UNAUTHENTICATED',
        owner: 'FORBIDDEN',
        member: null,
        organizer: null,
        admin: { exchanges: [{ operation: 'APPROVE' }, { operation: 'PREPARE' }] },
      },
    },
    {
      field: 'checkout',
      selection: 'checkout { method }',
      paymentId: () => stage.begunId,
      sees: {
        anonymous: 'UNAUTHENTICATED',
        owner: { checkout: { method: 'GET' } },
        member: null,
        organizer: null,
        admin: { checkout: null },
      },
    },
    {
      field: 'refunds',
      selection: 'refunds { amount { amountMinor } }',
      paymentId: () => stage.strandedId,
      sees: {
        anonymous: 'UNAUTHENTICATED',
        owner: { refunds: [{ amount: { amountMinor: 1_000 } }] },
        member: null,
        organizer: null,
        admin: { refunds: [{ amount: { amountMinor: 1_000 } }] },
      },
    },
    {
      field: 'hold',
      selection: 'hold { state }',
      paymentId: () => stage.begunId,
      sees: {
        anonymous: 'UNAUTHENTICATED',
        owner: { hold: { state: 'PAYING' } },
        member: null,
        organizer: null,
        admin: { hold: { state: 'PAYING' } },
      },
    },
  ];

  test.each(fieldsOfPayment.flatMap((row) => CALLERS.map((caller) => ({ ...row, caller }))))(
    'Payment.$field for $caller',
    async ({ selection, paymentId, sees, caller }) => {
      const { client } = callers[caller];
      const variables = { id: paymentId() };

      const byQuery = await client.post({ query: `query ($id: ID!) { payment(id: $id) { ${selection} } }`, variables });
      const byNode = await client.post({ query: `query ($id: ID!) { node(id: $id) { ... on Payment { ${selection} } } }`, variables });

      for (const [{ data, errors }, root] of [
        [byQuery, 'payment'],
        [byNode, 'node'],
      ] as const) {
        // A payment that may not be read is null; `node` says so to people without an account too.
        const expected = root === 'node' && caller === 'anonymous' ? null : sees[caller];
        expect(errors.map(({ extensions }) => extensions.code)).toEqual(typeof expected === 'string' ? [expected] : []);
        if (typeof expected !== 'string') expect(data[root]).toEqual(expected);
        else expect(JSON.stringify(data)).not.toContain('operation');
      }
    },
  );

  test('who may not read the exchanges reads the rest of the payment all the same', async () => {
    const { client } = callers.owner;

    const { data } = await client.post({
      query: 'query ($id: ID!) { payment(id: $id) { state exchanges { operation } } }',
      variables: { id: stage.paymentId },
    });

    expect(data).toEqual({ payment: { state: 'APPROVED', exchanges: null } });
  });

  test.each(CALLERS)('Subscription.bookingChanged for %s', async (caller) => {
    const { accessToken } = callers[caller] as Partial<TestMember>;
    const query = 'subscription ($id: ID!) { bookingChanged(holdId: $id) { holdState payment { state checkout { method } } } }';

    const answer = await subscribeOnce(app.url, { query, variables: { id: stage.begunHoldId } }, accessToken);

    const first = (checkout: unknown) => ({ data: { bookingChanged: { holdState: 'PAYING', payment: { state: 'PENDING', checkout } } } });
    const refused = (code: string) => ({ errors: [{ extensions: { code } }] });
    const sees: Record<Caller, object> = {
      anonymous: refused('UNAUTHENTICATED'),
      owner: first({ method: 'GET' }),
      member: refused('BAD_USER_INPUT'),
      organizer: refused('BAD_USER_INPUT'),
      admin: first(null),
    };
    expect(answer.payload).toMatchObject(sees[caller]);
    expect(Object.keys(answer.payload).sort()).toEqual(['errors' in sees[caller] ? 'errors' : 'data', 'extensions']);
  });

  test('a hold of somebody else is watched no more than one that does not exist', async () => {
    const { accessToken } = callers.member as TestMember;
    const query = 'subscription ($id: ID!) { bookingChanged(holdId: $id) { holdState } }';
    const unknown = toNodeId('Enrollment', '00000000-0000-7000-8000-000000000000');

    const [real, made] = await Promise.all(
      [stage.begunHoldId, unknown].map((id) => subscribeOnce(app.url, { query, variables: { id } }, accessToken)),
    );

    expect(real?.payload).toMatchObject({ errors: [{ message: '`holdId` is not the id of a hold of yours.' }] });
    expect(made?.payload).toEqual(real?.payload);
  });

  test('an organizer gives back payments of what is theirs, and of nobody else', async () => {
    const organizer = callers.organizer as TestMember;
    const [theirs, others] = [await app.member(), callers.admin as TestMember];
    const lessonId = await app.lesson();
    const paymentId = await payFor(theirs.client, await enroll(theirs.client, lessonId));
    const refund = (reason: string) =>
      organizer.client.send('TestRefundPayment', { input: { paymentId, amountMinor: 1_000, reason, ...key() } });
    await app.query('update payment set organizer_id = $1 where id = $2', [others.uuid, uuidIn(paymentId)]);
    const before = await fingerprint();

    const refused = await refund('Not mine');
    expect(refused.data.refundPayment).toMatchObject({ code: 'PAYMENT_NOT_FOUND' });
    expect(await fingerprint()).toBe(before);
    await app.query('update payment set organizer_id = $1 where id = $2', [organizer.uuid, uuidIn(paymentId)]);
    const granted = await refund('Mine');

    expect(granted.data.refundPayment).toMatchObject({ refund: { state: 'DONE', amount: { amountMinor: 1_000 } } });
  });

  test.each(CALLERS)('anybody may watch what is for everybody: %s', async (caller) => {
    const watch = await callers[caller].client.watch(stage.lessonId);

    expect(watch.lastOf(stage.lessonId)).toMatchObject({ id: stage.lessonId });
    expect(watch.errors).toEqual([]);
    await watch.close();
  });

  test('nobody who is refused makes a message', async () => {
    const lessonId = await app.lesson();
    const enrollmentId = await enroll((callers.owner as TestMember).client, lessonId);
    const watch = await app.anonymous.watch(lessonId);

    for (const caller of ['anonymous', 'member', 'organizer'] as const) {
      const { client } = callers[caller];
      await client.send('TestChangeLessonCapacity', { input: { lessonId, capacity: 1 } });
      await client.send('TestCancelBooking', { input: { holdId: enrollmentId } });
      await client.send('TestPreparePayment', { input: { holdId: enrollmentId, provider: 'TOSS', ...key() } });
      await client.send('TestCloseLessonSale', { lessonId });
    }

    // What the owner does afterwards arrives, so whatever the others had caused would have arrived before it.
    await enroll((callers.member as TestMember).client, lessonId);
    await eventually(() => expect(watch.lastOf(lessonId)).toMatchObject({ capacity: 10, held: 2 }));
    expect(watch.of(lessonId).map(({ capacity, held }) => [capacity, held])).toEqual([
      [10, 1],
      [10, 2],
    ]);
    await watch.close();
  });

  test('a private thing reads the same as one that does not exist', async () => {
    const { client } = callers.member;
    const unknown = '00000000-0000-7000-8000-000000000000';
    for (const [type, id] of [
      ['Enrollment', stage.enrollmentId],
      ['Payment', stage.paymentId],
      ['Ticket', stage.ticketId],
      ['Member', stage.memberId],
    ] as const) {
      const [real, made] = await Promise.all([client.send('TestNode', { id }), client.send('TestNode', { id: toNodeId(type, unknown) })]);
      expect(real.data).toEqual({ node: null });
      expect(made.data).toEqual(real.data);
    }
    expect((await client.send('TestPayment', { id: stage.paymentId })).data).toEqual({ payment: null });
    expect((await client.send('TestPayment', { id: toNodeId('Payment', unknown) })).data).toEqual({ payment: null });
  });

  test('my payments are mine, whatever cursor I bring', async () => {
    const owner = (callers.owner as TestMember).client;
    const { pageInfo, totalCount } = await owner.run('TestMyPayments', { first: 1 });
    expect(totalCount).toBeGreaterThan(5);
    const fresh = await app.member();

    expect(await fresh.client.run('TestMyPayments', { after: pageInfo.endCursor })).toMatchObject({ totalCount: 0, nodes: [] });
  });

  test('my enrolments are mine, whatever cursor I bring', async () => {
    const owner = (callers.owner as TestMember).client;
    const { pageInfo, totalCount } = await owner.run('TestMyEnrollments', { first: 1 });
    expect(totalCount).toBeGreaterThan(5);
    const fresh = await app.member();

    expect(await fresh.client.run('TestMyEnrollments', { after: pageInfo.endCursor })).toMatchObject({ totalCount: 0, nodes: [] });
  });

  test('a node id of a type that has none, or of nothing, is null', async () => {
    const uuid = uuidIn(stage.lessonId);
    for (const id of [
      '',
      'x',
      toNodeId('Hold', uuid),
      toNodeId('Session', uuid),
      toNodeId('Pool', uuid),
      toNodeId('Constructor', uuid),
      "'",
    ])
      expect((await app.anonymous.send('TestNode', { id })).data).toEqual({ node: null });
  });
});

test('where rehearsals are off, nobody can make members in bulk', async () => {
  await using app = await testApp({ environment: { REHEARSALS: 'off' } });
  const { client } = await app.admin();

  const answer = await client.post({ query: 'mutation { createRehearsalMembers(count: 1) { memberId } }' });

  expect(answer.status).toBe(400);
  expect(answer.errors[0]).toMatchObject({
    message: 'Cannot query field "createRehearsalMembers" on type "Mutation".',
    extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
  });
});

test.each([0, -1, 10_001])('%s rehearsal members are bad input', async (count) => {
  await using app = await testApp();
  const { client } = await app.admin();

  const answer = await client.post({
    query: 'mutation ($count: Int!) { createRehearsalMembers(count: $count) { memberId } }',
    variables: { count },
  });

  expect(answer.errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
  expect(await app.query('select count(*)::int as count from member')).toEqual([{ count: 1 }]);
});
