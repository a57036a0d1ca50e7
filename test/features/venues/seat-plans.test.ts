import { randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Agent, request } from 'undici';
import { csvOf } from '../../../src/features/venues/seat-plan-file.ts';
import { shippedPlanFile } from '../../../src/features/venues/shipped-plans.ts';
import { shippedPlan } from '../../../src/features/venues/venues.seed.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow } from '../../support/shows.ts';
import { countStatements } from '../../support/statements.ts';

failOnLeaks();

describe('a seat plan', () => {
  let app: TestApp;
  let agent: Agent;
  let owner: TestMember;
  let other: TestMember;
  let venueId: string;
  beforeAll(async () => {
    app = await testApp();
    agent = new Agent();
    [owner, other] = (await app.members(2, 'ORGANIZER')) as [TestMember, TestMember];
    venueId = await aVenue();
  });
  afterAll(async () => {
    await agent.close();
    await app.close();
  });

  const aVenue = async () => {
    const input = { name: 'A hall', address: 'Seoul', latitude: 37.5, longitude: 127, idempotencyKey: randomUUID() };
    return (await owner.client.run('TestCreateVenue', { input })).venue.id;
  };
  const SMALL = {
    name: 'Small',
    focus: { x: 0.5, y: -1 },
    sections: [
      {
        name: 'B',
        rows: [
          {
            name: '1',
            seats: [
              { label: '1', x: 0, y: 2, zone: 'VIP' },
              { label: '2', x: 0.5, y: 2, zone: 'VIP', sale: 'HOUSE' },
            ],
          },
        ],
      },
      {
        name: 'A',
        rows: [
          {
            name: '1',
            seats: [
              { label: '1', x: -3, y: 4, zone: 'R', accessible: true },
              { label: '2', x: -2.5, y: 4, zone: 'R', companion: true },
            ],
          },
          { name: '2', seats: [{ label: '1', x: -3, y: 5.25, zone: 'R', sale: 'KILL' }] },
        ],
      },
    ],
  };
  const importPlan = (input: object = {}, by = owner) =>
    by.client.run('TestImportSeatPlan', {
      input: { venueId, format: 'JSON', content: JSON.stringify(SMALL), idempotencyKey: randomUUID(), ...input },
    });
  const stored = async () =>
    (await app.query('select (select count(*)::int from seat_plan) as plans, (select count(*)::int from plan_seat) as seats'))[0] as {
      plans: number;
      seats: number;
    };

  interface Answer {
    status: number;
    headers: Record<string, string | string[] | undefined>;
    body: Buffer;
    json: { seatPlan?: { id: string; json: string; csv: string }; error?: { code: string; message: string; problems?: { at: string }[] } };
  }
  async function http(
    method: 'GET' | 'HEAD' | 'POST',
    path: string,
    headers: Record<string, string> = {},
    body?: string | Buffer,
  ): Promise<Answer> {
    const response = await request(`${app.url}${path}`, { method, headers, dispatcher: agent, ...(body !== undefined && { body }) });
    const bytes = Buffer.from(await response.body.arrayBuffer());
    const isJson = String(response.headers['content-type']).includes('json') && response.headers['content-encoding'] === undefined;
    return {
      status: response.statusCode,
      headers: response.headers,
      body: bytes,
      json: isJson && bytes.length > 0 ? JSON.parse(bytes.toString()) : {},
    };
  }
  /** Headers with a value of undefined are not sent. */
  const upload = (
    body: string | Buffer,
    headers: Record<string, string | undefined> = {},
    path = `/venues/${venueId}/seat-plans?name=Uploaded`,
  ) =>
    http(
      'POST',
      path,
      Object.fromEntries(
        Object.entries({
          authorization: `Bearer ${owner.accessToken}`,
          'content-type': 'application/json',
          'idempotency-key': randomUUID(),
          ...headers,
        }).filter((header): header is [string, string] => header[1] !== undefined),
      ),
      body,
    );

  test('is read by anyone as it was imported, with its sections, zones and seats', async () => {
    const { seatPlan } = await importPlan();

    const read = await app.anonymous.run('TestSeatPlan', { id: seatPlan.id });
    expect(read).toEqual({
      __typename: undefined,
      id: seatPlan.id,
      name: 'Small',
      createdAt: expect.any(String),
      venue: { id: venueId },
      focus: { x: 0.5, y: -1 },
      seatCount: 5,
      capacity: 3,
      json: `/seat-plans/${seatPlan.id}.json`,
      csv: `/seat-plans/${seatPlan.id}.csv`,
      sections: [
        { name: 'B', firstNumber: 0, seatCount: 2, capacity: 1, rowCount: 1, from: { x: 0, y: 2 }, to: { x: 0.5, y: 2 } },
        { name: 'A', firstNumber: 2, seatCount: 3, capacity: 2, rowCount: 2, from: { x: -3, y: 4 }, to: { x: -2.5, y: 5.25 } },
      ],
      zones: [
        { name: 'R', seatCount: 3, capacity: 2 },
        { name: 'VIP', seatCount: 2, capacity: 1 },
      ],
    });
    const { seats } = await app.anonymous.run('TestSeatsOfPlan', { id: seatPlan.id });
    expect(seats.totalCount).toBe(5);
    expect(seats.nodes).toEqual([
      { number: 0, section: 'B', row: '1', label: '1', x: 0, y: 2, zone: 'VIP', isAccessible: false, isCompanion: false, sale: 'SALE' },
      { number: 1, section: 'B', row: '1', label: '2', x: 0.5, y: 2, zone: 'VIP', isAccessible: false, isCompanion: false, sale: 'HOUSE' },
      { number: 2, section: 'A', row: '1', label: '1', x: -3, y: 4, zone: 'R', isAccessible: true, isCompanion: false, sale: 'SALE' },
      { number: 3, section: 'A', row: '1', label: '2', x: -2.5, y: 4, zone: 'R', isAccessible: false, isCompanion: true, sale: 'SALE' },
      { number: 4, section: 'A', row: '2', label: '1', x: -3, y: 5.25, zone: 'R', isAccessible: false, isCompanion: false, sale: 'KILL' },
    ]);
    const { data } = await app.anonymous.post({ query: `{ node(id: "${seatPlan.id}") { __typename ... on SeatPlan { name } } }` });
    expect(data.node).toEqual({ __typename: 'SeatPlan', name: 'Small' });
  });

  test('is read by section, page by page', async () => {
    const { seatPlan } = await importPlan();
    const page = async (variables: object) => (await app.anonymous.run('TestSeatsOfPlan', { id: seatPlan.id, ...variables })).seats;
    const numbers = ({ nodes }: Awaited<ReturnType<typeof page>>) => nodes.map(({ number }) => number);

    const first = await page({ section: 'A', first: 2 });
    const second = await page({ section: 'A', first: 2, after: first.pageInfo.endCursor });

    expect([numbers(first), numbers(second)]).toEqual([[2, 3], [4]]);
    expect([first.totalCount, first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([3, true, false]);
    expect(numbers(await page({ section: 'B' }))).toEqual([0, 1]);
    expect(await page({ section: 'C' })).toMatchObject({ nodes: [], totalCount: 0, pageInfo: { hasNextPage: false } });
    expect(numbers(await page({ section: 'B', after: second.pageInfo.endCursor }))).toEqual([]);
  });

  test('is named by the input, else by its file; CSV has no name of its own', async () => {
    const content = 'section,row,label,x,y,zone,focus_x,focus_y\nA,1,1,0,1,V,0,0';
    const nameless = JSON.stringify({ ...SMALL, name: undefined });

    expect((await importPlan({ name: ' In the round ' })).seatPlan.name).toBe('In the round');
    expect((await importPlan({ name: 'From a sheet', format: 'CSV', content })).seatPlan).toMatchObject({
      name: 'From a sheet',
      seatCount: 1,
    });
    for (const wrong of [{ format: 'CSV', content }, { content: nameless }, { name: '' }, { name: 'x'.repeat(101) }, { name: 'a\nb' }])
      expect(await importPlan(wrong)).toMatchObject({ code: 'VENUE_INPUT', field: 'name' });
  });

  test('with something wrong is not imported; every problem is told with its place', async () => {
    const before = await stored();
    const wrong = JSON.stringify({ ...SMALL, focus: { x: 0 } }).replaceAll('"zone":"VIP"', '"zone":""');

    const refused = await importPlan({ content: wrong });

    expect(refused).toMatchObject({
      code: 'SEAT_PLAN_INVALID',
      message: 'The file has 3 problems. Mend what `problems` says and send it again.',
      problemCount: 3,
      problems: [
        { at: 'focus.y', message: 'Expected a number of metres from -1000 to 1000.' },
        { at: 'sections[0].rows[0].seats[0].zone', message: 'Expected a text of 1 to 20 characters without control characters.' },
        { at: 'sections[0].rows[0].seats[1].zone', message: 'Expected a text of 1 to 20 characters without control characters.' },
      ],
    });
    expect(await stored()).toEqual(before);
  });

  test('sent again with its key is the same plan, also over HTTP and in the same instant; another with that key is refused', async () => {
    const content = JSON.stringify(SMALL);
    const idempotencyKey = randomUUID();
    const before = await stored();

    const answers = await Promise.all([1, 2, 3].map(() => importPlan({ name: 'Uploaded', content, idempotencyKey })));
    const uploaded = await upload(content, { 'idempotency-key': idempotencyKey });
    const changed = await upload(content.replace('0.5', '0.6'), { 'idempotency-key': idempotencyKey });

    expect(new Set(answers.map(({ seatPlan }) => seatPlan.id))).toEqual(new Set([uploaded.json.seatPlan?.id]));
    expect([uploaded.status, changed.status, changed.json.error?.code]).toEqual([201, 409, 'IDEMPOTENCY_KEY_REUSED']);
    expect(await importPlan({ name: 'Another', content, idempotencyKey })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await stored()).toEqual({ plans: before.plans + 1, seats: before.seats + 5 });
  });

  test('can be brought only into a venue of one’s own, or by an administrator', async () => {
    const before = await stored();
    const none = toNodeId('Venue', '00000000-0000-7000-8000-000000000000');
    const bearer = (member: TestMember) => ({ authorization: `Bearer ${member.accessToken}` });

    expect(await importPlan({}, other)).toEqual(await importPlan({ venueId: none }));
    expect(await importPlan({}, other)).toMatchObject({ code: 'VENUE_NOT_FOUND' });
    // Not even what is wrong with the file is told to others: it is not read.
    expect(await importPlan({ content: 'x' }, other)).toMatchObject({ code: 'VENUE_NOT_FOUND' });
    const theirs = await upload(JSON.stringify(SMALL), bearer(other));
    const nobodys = await upload(JSON.stringify(SMALL), {}, `/venues/${none}/seat-plans?name=x`);
    const malformed = await upload(JSON.stringify(SMALL), {}, '/venues/x/seat-plans?name=x');
    expect([theirs, nobodys, malformed].map(({ status, json }) => [status, json])).toEqual(Array(3).fill([404, theirs.json]));
    expect(theirs.json.error?.code).toBe('VENUE_NOT_FOUND');
    const member = await upload(JSON.stringify(SMALL), bearer(await app.member()));
    expect([member.status, member.json.error?.code]).toEqual([403, 'FORBIDDEN']);
    for (const authorization of [undefined, 'Bearer x', 'Basic eDp4', `Bearer ${owner.accessToken}x`]) {
      const anonymous = await upload(JSON.stringify(SMALL), { authorization });
      expect([anonymous.status, anonymous.json.error?.code]).toEqual([401, 'UNAUTHENTICATED']);
    }
    expect(await stored()).toEqual(before);

    expect((await upload(JSON.stringify(SMALL), bearer(await app.admin()))).status).toBe(201);
  });

  test('too large for GraphQL is uploaded: 5,000 seats, and downloaded again as the same file', async () => {
    const arena = shippedPlanFile('arena');
    const { status, json } = await upload(JSON.stringify(arena), {}, `/venues/${venueId}/seat-plans`);

    expect(status).toBe(201);
    const id = json.seatPlan?.id as string;
    expect(json).toEqual({ seatPlan: { id, json: `/seat-plans/${id}.json`, csv: `/seat-plans/${id}.csv` } });
    expect(JSON.parse((await http('GET', `/seat-plans/${id}.json`)).body.toString())).toEqual(arena);
    expect((await http('GET', `/seat-plans/${id}.csv`)).body.toString()).toBe(csvOf(await shippedPlan('arena')));
    const read = await app.anonymous.run('TestSeatPlan', { id });
    expect(read).toMatchObject({ name: '아레나 5,000석', seatCount: 5_000, capacity: 4_947 });
    expect(read.sections).toHaveLength(46);
  });

  test('of the largest size is imported', async () => {
    const lines = Array.from({ length: 65_536 }, (_, n) => `S${n >> 10},${(n >> 7) & 7},${n & 127},${(n & 127) / 2},${n >> 7},V,0,0`);
    const content = ['section,row,label,x,y,zone,focus_x,focus_y', ...lines].join('\n');

    const { status, json } = await upload(content, { 'content-type': 'text/csv; charset=utf-8' });

    expect(status).toBe(201);
    const { seats } = await app.anonymous.run('TestSeatsOfPlan', { id: json.seatPlan?.id as string, section: 'S63', first: 1 });
    expect(seats.nodes).toMatchObject([{ number: 64_512, section: 'S63', row: '0', label: '0' }]);
  }, 180_000);

  test('with 70,000 seats is refused', async () => {
    const before = await stored();
    const lines = Array.from({ length: 70_000 }, (_, n) => `S${n >> 10},${(n >> 7) & 7},${n & 127},${(n & 127) / 2},${n >> 7},V,0,0`);

    const { status, json } = await upload(['section,row,label,x,y,zone,focus_x,focus_y', ...lines].join('\n'), {
      'content-type': 'text/csv',
    });

    expect([status, json.error]).toEqual([
      422,
      {
        code: 'SEAT_PLAN_INVALID',
        message: 'The file has 1 problem. Mend what `problems` says and send it again.',
        problemCount: 1,
        problems: [{ at: 'line 65538', message: 'A plan has at most 65536 seats.' }],
      },
    ]);
    expect(await stored()).toEqual(before);
  });

  test.each([
    ['nested a million deep', '['.repeat(1_000_000), {}, 422, 'SEAT_PLAN_INVALID'],
    ['with control characters', JSON.stringify(SMALL).replace('"B"', '"\\u0000"'), {}, 422, 'SEAT_PLAN_INVALID'],
    ['of bytes that are no text', Buffer.from([0xff, 0xfe, 0, 1]), {}, 422, 'SEAT_PLAN_INVALID'],
    ['of nothing', '', {}, 422, 'SEAT_PLAN_INVALID'],
    ['of 4.1 MiB', Buffer.alloc(4.1 * 1024 * 1024, 0x20), {}, 413, 'TOO_LARGE'],
    ['of plain text', 'x', { 'content-type': 'text/plain' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['of a form', 'name=x', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['of no type', JSON.stringify(SMALL), { 'content-type': undefined }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['without a key', JSON.stringify(SMALL), { 'idempotency-key': undefined }, 400, 'BAD_REQUEST'],
    ['with a key of 201 characters', JSON.stringify(SMALL), { 'idempotency-key': 'x'.repeat(201) }, 400, 'BAD_REQUEST'],
  ] as const)('%s is refused over HTTP, in the language of the caller', async (_, body, headers, status, code) => {
    const before = await stored();

    const english = await upload(body, headers);
    const korean = await upload(body, { ...headers, 'accept-language': 'ko-KR' });

    expect([english.status, english.json.error?.code]).toEqual([status, code]);
    expect([korean.status, korean.json.error?.code]).toEqual([status, code]);
    expect(english.json.error?.message).toMatch(/^[ -~…]+\.$/);
    expect(korean.json.error?.message).toMatch(/[가-힣].*\.$/);
    expect(await stored()).toEqual(before);
  });

  test('of two names is refused, and one of a name that is none', async () => {
    const twice = await upload(JSON.stringify(SMALL), {}, `/venues/${venueId}/seat-plans?name=a&name=b`);
    const empty = await upload(JSON.stringify(SMALL), {}, `/venues/${venueId}/seat-plans?name=%00`);

    expect([twice.status, twice.json.error?.code]).toEqual([400, 'BAD_REQUEST']);
    expect([empty.status, empty.json.error?.code]).toEqual([422, 'VENUE_INPUT']);
  });

  test('with more than 20,000 characters is bad input to GraphQL, which says where', async () => {
    const input = { venueId, format: 'JSON', content: ' '.repeat(20_001), idempotencyKey: randomUUID() };

    const { errors } = await owner.client.send('TestImportSeatPlan', { input });

    expect(errors).toMatchObject([
      { message: 'variables.input.content is longer than 20000 characters.', extensions: { code: 'BAD_USER_INPUT' } },
    ]);
  });

  describe('to download', () => {
    let id: string;
    beforeAll(async () => {
      id = (await importPlan()).seatPlan.id;
    });

    test.each([
      ['json', 'application/json; charset=utf-8', undefined],
      ['csv', 'text/csv; charset=utf-8', 'attachment; filename="seat-plan.csv"'],
    ])('as %s may be kept for ever, and is compressed for who wants it', async (format, type, disposition) => {
      const path = `/seat-plans/${id}.${format}`;

      const plain = await http('GET', path);
      const compressed = await http('GET', path, { 'accept-encoding': 'br;q=1, gzip;q=0.5' });
      const refused = await http('GET', path, { 'accept-encoding': 'gzip;q=0' });
      const head = await http('HEAD', path);

      expect(plain.status).toBe(200);
      expect(plain.headers).toMatchObject({
        'content-type': type,
        'cache-control': 'public, max-age=31536000, immutable',
        etag: `"${uuidIn(id)}"`,
        vary: 'accept-encoding',
        'x-content-type-options': 'nosniff',
      });
      expect(plain.headers['content-disposition']).toBe(disposition);
      expect(compressed.headers).toMatchObject({ 'content-encoding': 'gzip', etag: `"${uuidIn(id)}-gzip"`, 'content-type': type });
      expect(gunzipSync(compressed.body)).toEqual(plain.body);
      expect(refused.body).toEqual(plain.body);
      expect([head.status, head.body.length, head.headers.etag]).toEqual([200, 0, plain.headers.etag]);
      if (format === 'json') expect(plain.body.toString()).toBe(JSON.stringify(SMALL));
    });

    test('is not sent again to who has it', async () => {
      const path = `/seat-plans/${id}.json`;
      const etag = `"${uuidIn(id)}"`;

      for (const has of [etag, `"x", ${etag}`, `W/${etag}`]) {
        const again = await http('GET', path, { 'if-none-match': has });
        expect([again.status, again.body.length, again.headers.etag]).toEqual([304, 0, etag]);
      }
      expect((await http('GET', path, { 'if-none-match': '"x"' })).status).toBe(200);
      expect((await http('GET', path, { 'if-none-match': etag, 'accept-encoding': 'gzip' })).status).toBe(200);
    });

    test.each([
      ['a plan nobody made', () => `/seat-plans/${toNodeId('SeatPlan', '00000000-0000-7000-8000-000000000000')}.json`],
      ['the id of something else', () => `/seat-plans/${venueId}.json`],
      ['an id that is none', () => '/seat-plans/x.json'],
      ['another format', () => `/seat-plans/${id}.xml`],
      ['no format', () => `/seat-plans/${id}`],
      ['a way up', () => '/seat-plans/..%2f..%2fetc%2fpasswd'],
    ])('is not found by %s', async (_, path) => {
      const { status, json } = await http('GET', path());

      expect([status, json.error?.code]).toEqual([404, 'SEAT_PLAN_NOT_FOUND']);
    });
  });

  test('is listed with the others of its venue by name', async () => {
    const here = await aVenue();
    for (const name of ['c', 'a', 'b']) await importPlan({ venueId: here, name });
    const list = (more: object = {}) => app.anonymous.run('TestSeatPlans', { venueId: here, ...more });

    const first = await list({ first: 2 });
    const second = await list({ first: 2, after: first.pageInfo.endCursor ?? null });

    expect([...first.nodes, ...second.nodes].map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(first.nodes[0]).toMatchObject({ venue: { id: here }, seatCount: 5, capacity: 3 });
    expect([first.totalCount, first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([3, true, false]);
    expect((await app.anonymous.run('TestSeatPlans', { venueId: await aVenue() })).nodes).toEqual([]);
  });

  test('costs as many statements with its relations in a list of 20 as alone', async () => {
    const here = await aVenue();
    for (let n = 0; n < 20; n++) await importPlan({ venueId: here, name: `Plan ${n}` });
    const list = (first: number) =>
      app.anonymous.run('TestSeatPlans', { venueId: here, first }).then(({ nodes }) => expect(nodes).toHaveLength(first));
    const statements = await countStatements(app);
    const statementsOf = async (first: number) => (await statements.during(() => list(first))).filter((text) => /venue|plan/.test(text));

    const [one, twenty] = [await statementsOf(1), await statementsOf(20)];
    statements.stop();

    // The plans, their number, their venue, and their zones with the numbers of seats.
    expect([one.length, twenty.length]).toEqual([4, 4]);
  });

  test('that a performance uses cannot be deleted; one that none uses is gone with its seats', async () => {
    const show = await aShow(app, { organizerId: owner.uuid, rows: 1 });
    const used = toNodeId('SeatPlan', show.uuids.plan as string);
    const { seatPlan } = await importPlan();
    const remove = (seatPlanId: string, by = owner) => by.client.run('TestDeleteSeatPlan', { input: { seatPlanId } });

    expect(await remove(used)).toMatchObject({
      code: 'SEAT_PLAN_IN_USE',
      performances: 1,
      message: '1 performance(s) use this plan, so it stays. Import another plan for the next ones.',
    });
    expect(await remove(used, other)).toMatchObject({ code: 'SEAT_PLAN_NOT_FOUND' });
    expect(await remove(seatPlan.id, other)).toEqual(await remove(toNodeId('SeatPlan', '00000000-0000-7000-8000-000000000000')));
    expect((await app.anonymous.run('TestSeatsOfPlan', { id: seatPlan.id })).seats.totalCount).toBe(5);

    expect(await remove(seatPlan.id)).toMatchObject({ deletedId: seatPlan.id });
    expect((await app.anonymous.send('TestSeatPlan', { id: seatPlan.id })).data.seatPlan).toBeNull();
    expect(await app.query('select 1 from plan_seat where plan_id = $1', [uuidIn(seatPlan.id)])).toEqual([]);
    expect(await remove(seatPlan.id)).toMatchObject({ code: 'SEAT_PLAN_NOT_FOUND' });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('needs the role ORGANIZER to be imported or deleted, and says so before anything is read', async () => {
    const { seatPlan } = await importPlan();
    const before = await stored();
    const member = await app.member();
    const calls = (client: TestMember['client']) => [
      client.send('TestImportSeatPlan', { input: { venueId, format: 'JSON', content: '{}', idempotencyKey: 'k' } }),
      client.send('TestDeleteSeatPlan', { input: { seatPlanId: seatPlan.id } }),
      client.send('TestCreateVenue', { input: { name: 'x', address: 'x', latitude: 0, longitude: 0, idempotencyKey: 'k' } }),
    ];

    const [members, anonymous] = [await Promise.all(calls(member.client)), await Promise.all(calls(app.anonymous))];

    expect(members.map(({ errors }) => errors[0]?.extensions.code)).toEqual(Array(3).fill('FORBIDDEN'));
    expect(anonymous.map(({ errors }) => errors[0]?.extensions.code)).toEqual(Array(3).fill('UNAUTHENTICATED'));
    expect(await stored()).toEqual(before);
  });
});
