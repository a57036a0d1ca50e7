import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { encode } from 'uqr';
import { TicketCodes } from '../../../src/features/tickets/index.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow } from '../../support/shows.ts';

import { countStatements, type Statements } from '../../support/statements.ts';

import { eventually } from '../../support/wait.ts';

import { accept, booked, hold, letIn, offer, storedTickets, ticketing } from './booked-tickets.ts';

failOnLeaks();

const SECRET = 'the signing secret of this very test';

describe('reading tickets', () => {
  let app: TestApp;
  let codes: TicketCodes;
  let statements: Statements;
  beforeAll(async () => {
    codes = await TicketCodes.open([SECRET]);
    app = await ticketing({ environment: { TICKET_SIGNING_SECRETS: SECRET, INTROSPECTION: 'on' } });
    statements = await countStatements(app);
  });
  afterAll(async () => {
    statements.stop();
    await app.close();
  });

  describe('a ticket that was handed on and used', () => {
    let ticketId: string;
    let holdId: string;
    let people: Record<'anonymous' | 'owner' | 'buyer' | 'between' | 'stranger' | 'organizer' | 'admin', { client: TestClient }>;
    beforeAll(async () => {
      const organizer = await app.member('ORGANIZER');
      const sold = await booked(app, await aShow(app, { organizerId: organizer.uuid }));
      [ticketId = ''] = sold.ticketIds;
      holdId = sold.holdId;
      const [between, owner, stranger] = (await app.members(3)) as [TestMember, TestMember, TestMember];
      await accept(between, await offer(sold.member, ticketId));
      const token = await offer(between, ticketId);
      await accept(owner, token);
      await letIn(app, ticketId);
      people = { anonymous: { client: app.anonymous }, owner, buyer: sold.member, between, stranger, organizer, admin: await app.admin() };
    });

    const PUBLIC = { state: 'USED', seat: { label: '1' } };
    const NOTHING = { holderName: null, code: null, qrSvg: null, walletFields: null, usedAt: null, offerExpiresAt: null };
    const TIME = expect.any(String);
    const sees = {
      anonymous: 'UNAUTHENTICATED',
      owner: { ...PUBLIC, ...NOTHING, holderName: TIME, code: TIME, qrSvg: TIME, walletFields: { barcodeFormat: 'QR' }, usedAt: TIME },
      buyer: { ...PUBLIC, ...NOTHING },
      between: null,
      stranger: null,
      organizer: null,
      admin: { ...PUBLIC, ...NOTHING, usedAt: TIME },
    };
    const FIELDS = 'state seat { label } holderName code qrSvg walletFields { barcodeFormat } usedAt offerExpiresAt';

    test.each(Object.keys(sees) as (keyof typeof sees)[])('is read by %s as far as they may', async (who) => {
      const { client } = people[who];
      const expected = sees[who];

      const byQuery = await client.post({ query: `query ($id: ID!) { ticket(id: $id) { ${FIELDS} } }`, variables: { id: ticketId } });
      const byNode = await client.post({
        query: `query ($id: ID!) { node(id: $id) { ... on Ticket { ${FIELDS} } } }`,
        variables: { id: ticketId },
      });

      expect(byQuery.errors.map(({ extensions }) => extensions.code)).toEqual(who === 'anonymous' ? [expected] : []);
      expect(byQuery.data).toEqual({ ticket: who === 'anonymous' ? null : expected });
      expect(byNode.data).toEqual({ node: who === 'anonymous' ? null : expected });
    });

    test('shows in the hold of its buyer without what is private, and not in their list', async () => {
      const { client } = people.buyer;

      const { tickets } = await client.run('TestTicketsOfHold', { id: holdId });

      expect(tickets).toMatchObject([{ id: ticketId, state: 'USED', code: null, holderName: null, usedAt: null }]);
      expect((await client.run('TestMyTickets')).totalCount).toBe(0);
      expect((await people.owner.client.run('TestMyTickets')).nodes).toMatchObject([{ id: ticketId, state: 'USED' }]);
    });

    test('reads for others as one that does not exist', async () => {
      const { client } = people.stranger;
      const unknown = toNodeId('Ticket', '00000000-0000-7000-8000-000000000000');

      const answers = await Promise.all([ticketId, unknown].map((id) => client.send('TestTicket', { id })));

      expect(answers.map(({ data }) => data)).toEqual([{ ticket: null }, { ticket: null }]);
    });
  });

  test('its code is what the server signs for it, its QR code draws it, and a pass can be made of it', async () => {
    const startsAt = new Date('2027-03-01T10:30:00.000Z');
    const show = await aShow(app, { sections: 2, startsAt });
    const { member, ticketIds } = await booked(app, show, { seats: [63] });
    const [id] = ticketIds as [string];

    const { code, qrSvg, walletFields } = await member.client.run('TestTicketPass', { id });

    expect(await codes.read(code ?? '')).toEqual({ ticketId: uuidIn(id), performanceId: show.uuids.performance, generation: 1 });
    expect(drawnIn(qrSvg ?? '')).toEqual(encode(code ?? '', { ecc: 'M', border: 4, maskPattern: 0 }).data);
    expect(qrSvg?.length).toBeLessThan(16_000);
    expect(walletFields).toEqual({
      serialNumber: `${uuidIn(id)}.1`,
      title: 'The Last Seat',
      venueName: 'Test Hall',
      venueAddress: '1 Sejong-daero, Seoul',
      latitude: 37.5665,
      longitude: 126.978,
      timeZone: 'Asia/Seoul',
      startsAt: startsAt.toISOString(),
      endsAt: '2027-03-01T12:30:00.000Z',
      tierName: 'Section B',
      seatText: 'B 2-4',
      holderName: expect.stringMatching(/^Rehearsal/),
      barcodeFormat: 'QR',
      barcodeMessage: code,
      barcodeAltText: uuidIn(id).slice(-8).toUpperCase(),
    });
  });

  test('the list is page by page, newest first, and upcoming ones alone if asked', async () => {
    const member = await app.member();
    const shows = [await aShow(app), await aShow(app), await aShow(app)];
    const [over, refunded] = [shows[0]?.uuids.performance, shows[1]?.uuids.performance];
    const ids: string[] = [];
    for (const show of shows) {
      const sold = await booked(app, show, { seats: [1, 2] });
      ids.unshift(...[...sold.ticketIds].reverse());
      await app.query('update ticket set owner_id = $1 where hold_id = $2', [member.uuid, uuidIn(sold.holdId)]);
    }
    await app.query("update performance set starts_at = now() - interval '3 h', ends_at = now() - interval '1 h' where id = $1", [over]);
    await app.query("update hold set state = 'RETURNED' where id in (select hold_id from ticket where performance_id = $1)", [refunded]);

    const first = await member.client.run('TestMyTickets', { first: 4 });
    const second = await member.client.run('TestMyTickets', { first: 4, after: first.pageInfo.endCursor });
    const upcoming = await member.client.run('TestMyTickets', { upcomingOnly: true });

    expect([first.totalCount, first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([6, true, false]);
    expect([...first.nodes, ...second.nodes].map(({ id }) => id)).toEqual(ids);
    expect(upcoming.totalCount).toBe(2);
    expect(upcoming.nodes.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    const others = await (await app.member()).client.run('TestMyTickets', { after: first.pageInfo.endCursor });
    expect(others).toMatchObject({ totalCount: 0, nodes: [] });
  });

  test.each([
    ['first', { first: 101 }],
    ['after', { after: 'x' }],
  ])('a page that cannot be is bad input: %s', async (_, variables) => {
    const { client } = await app.member();

    const { errors } = await client.send('TestMyTickets', variables);

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
  });

  test('a page of tickets with everything of them: as many statements for 20 as for 1', async () => {
    const show = await aShow(app, { sections: 2, perMemberMax: 30, standing: { capacity: 20, priceMinor: 0 } });
    const [few, many] = [await booked(app, show, { seats: [0] }), await booked(app, show, { seats: [1, 2, 3, 60, 61], places: 15 })];
    await app.stopSweeping();
    const query = `query { myTickets(first: 20) { totalCount nodes { state holderName code qrSvg performance { startsAt } tier { name } seat { label }
      walletFields { title venueName } } } }`;
    const read = async ({ member: { client } }: { member: TestMember }) => client.post({ query });

    expect((await read(many)).data.myTickets.nodes).toHaveLength(20);
    // The session, the tickets, their number, their performances, tiers, owners, events and venues; the plan is kept.
    await expectStatements(8, () => read(few));
    await expectStatements(8, () => read(many));
  });

  test('the tickets of a page of holds are read by one statement', async () => {
    const show = await aShow(app, { perMemberMax: 30 });
    const member = await app.member();
    const holds = [await hold(app, member, show, { seats: [0] }), await hold(app, member, show, { seats: [1] })];
    const query = `query { one: node(id: "${holds[0]}") { ... on TicketHold { tickets { id } } } other: node(id: "${holds[1]}") { ... on TicketHold { tickets { id } } } }`;
    const read = () => member.client.post({ query });

    expect((await read()).data).toEqual({ one: { tickets: [] }, other: { tickets: [] } });
    expect(await storedTickets(app, holds[0] as string)).toEqual([]);
    // The session, the holds, their tickets.
    await expectStatements(3, read);
  });

  /** Fewer it never takes, and more only while a webhook or a job of an earlier payment runs beside it: then it is counted once more. */
  const expectStatements = (count: number, work: () => Promise<unknown>) =>
    eventually(async () => expect(await statementsOf(work)).toHaveLength(count));

  /** Without those of the worker, which runs beside. */
  const statementsOf = async (work: () => Promise<unknown>) =>
    (await statements.of(work)).filter((sent) => !/graphile_worker|worker_heartbeat|next_look_at/.test(sent));

  test('the public keys are there for anybody, to be kept for an hour', async () => {
    const { statusCode, headers, body } = await request(`${app.url}/.well-known/jwks.json`);

    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({
      'content-type': expect.stringMatching(/^application\/jwk-set\+json/),
      'cache-control': 'public, max-age=3600',
      'access-control-allow-origin': '*',
    });
    expect(await body.json()).toEqual(codes.jwks);
  });

  test('the example of docs/tickets.md reads a code with what the server publishes, and refuses another', async () => {
    const show = await aShow(app);
    const { member, ticketIds } = await booked(app, show);
    const { code } = await member.client.run('TestTicket', { id: ticketIds[0] as string });
    const example = /```js\n([^`]*compactVerify[^`]*)```/.exec(readFileSync('docs/tickets.md', 'utf8'))?.[1] ?? '';
    const run = (shown: string) => runs(example, { LASTSEAT_URL: app.url, CODE: shown });

    const read = await run(code ?? '');
    const forged = await run(
      await (await TicketCodes.open(['a secret of somebody else of 32 bytes'])).sign({
        ticketId: uuidIn(ticketIds[0] as string),
        performanceId: show.uuids.performance,
        generation: 1,
      }),
    );

    expect(JSON.parse(read.stdout)).toEqual({
      ticketId: uuidIn(ticketIds[0] as string),
      performanceId: show.uuids.performance,
      generation: 1,
    });
    expect(forged.stdout).toBe('');
    expect(forged.stderr).toContain('JWKSNoMatchingKey');
  });
});

test('without secrets of its own, codes follow from the secret of access tokens', async () => {
  await using app = await ticketing({ role: 'api' });
  await using twin = await ticketing({ role: 'api', databaseUrl: app.databaseUrl, simulator: app.simulator });
  await using other = await ticketing({
    role: 'api',
    databaseUrl: app.databaseUrl,
    simulator: app.simulator,
    environment: { ACCESS_TOKEN_SECRET: 'another secret of the tests, 32 bytes' },
  });

  const [one, same, another] = await Promise.all(
    [app, twin, other].map(async ({ url }) => (await request(`${url}/.well-known/jwks.json`)).body.json()),
  );

  expect(same).toEqual(one);
  expect(another).not.toEqual(one);
});

/** The modules a drawing has in black, as its runs say. */
function drawnIn(svg: string): boolean[][] {
  const size = Number(/viewBox="0 0 (\d+) \1"/.exec(svg)?.[1]);
  const modules = Array.from({ length: size }, () => Array<boolean>(size).fill(false));
  const black = svg.slice(svg.lastIndexOf('<path'));
  for (const [, x, y, length] of black.matchAll(/M(\d+) (\d+)h(\d+)v1h-\3z/g))
    for (let run = 0; run < Number(length); run++) (modules[Number(y)] as boolean[])[Number(x) + run] = true;
  return modules;
}

/** Runs a script in a process of its own, whose packages are ours. It may fail. */
async function runs(script: string, env: Record<string, string>): Promise<{ stdout: string; stderr: string }> {
  const child = execFile(process.execPath, ['--input-type=module', '--eval', script], { env });
  const [stdout, stderr] = await Promise.all([text(child.stdout as Readable), text(child.stderr as Readable)]);
  return { stdout, stderr };
}
