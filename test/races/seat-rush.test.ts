import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { Agent } from 'undici';
import { type TestApp, testApp } from '../support/app.ts';
import { TestClient } from '../support/client.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { aShow } from '../support/shows.ts';

failOnLeaks();

const MEMBERS = 1_000;
const SEATS = 200;
/** Everybody wants one of the front rows first. */
const FAVOURITES = 50;
/** How often a member asks again for what was offered in place of a taken seat. */
const TRIES_MAX = 20;

/** What an impatient browser asks for, and no more. */
const HOLD = `mutation ($input: HoldTicketsInput!) { holdTickets(input: $input) {
  __typename
  ... on HoldTicketsSuccess { hold { seats { seat { number } } } }
  ... on SeatTakenError { alternatives { seats { seat { number } } } }
} }`;

interface Fate {
  /** The seat held; null for whoever went home without one. */
  seat: number | null;
  claims: number;
}

test(`${MEMBERS} members want ${SEATS} seats at once: each seat has one of them, and claims share transactions`, async () => {
  await using app = await testApp();
  const show = await aShow(app, { rows: 10, seatsPerRow: 20 });
  const members = await app.members(MEMBERS);

  // Over so many connections as one process can open in time: the server closes those on which nothing comes.
  const crowd = new TestClient(app.url, undefined, new Agent({ connections: 256, keepAliveTimeout: 10_000 }));
  const fates = await Promise.all(
    members.map(({ accessToken }, index) => want(crowd.as(accessToken), show.performanceId, index % FAVOURITES)),
  );

  await crowd.close();
  const held = fates.flatMap(({ seat }) => seat ?? []).sort((one, other) => one - other);
  expect(held).toEqual(Array.from({ length: SEATS }, (_, number) => number));
  const rows = await app.query<{ claimants: number; seats: number }>(
    `select count(distinct h.claimant_id)::int as claimants, count(distinct i.unit_id)::int as seats from hold h join hold_item i on i.hold_id = h.id`,
  );
  expect(rows).toEqual([{ claimants: SEATS, seats: SEATS }]);
  expect(await app.counters(show.performanceId)).toEqual({ capacity: SEATS, held: SEATS, sold: 0 });
  expect(await app.brokenInvariants()).toEqual([]);
  // Claims that arrive while a transaction is in flight share the next one.
  const claims = fates.reduce((sum, fate) => sum + fate.claims, 0);
  const transactions = await counted(app, 'lastseat_transactions_total', { name: 'claim-holds' });
  expect(await counted(app, 'lastseat_claims_total', { kind: 'performance' })).toBe(claims);
  expect(claims).toBeGreaterThan(MEMBERS);
  // Measured: some 3,000 claims in 160 transactions. How many share one is up to how fast they come.
  expect(transactions).toBeLessThan(claims);
});

/** Asks for one seat, and then for what is offered in its place, as long as anything is. */
async function want(client: TestClient, performanceId: string, first: number): Promise<Fate> {
  let seat = first;
  for (let claims = 1; ; claims++) {
    const input = { performanceId, seats: [seat], idempotencyKey: randomUUID() };
    const { data, errors } = await client.post({ query: HOLD, variables: { input } });
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    const { hold, alternatives = [] } = data.holdTickets;
    if (hold) return { seat: hold.seats[0].seat.number, claims };
    const offered = alternatives[claims % Math.max(1, alternatives.length)];
    if (!offered || claims === TRIES_MAX) return { seat: null, claims };
    seat = offered.seats[0].seat.number;
  }
}

async function counted({ registry }: TestApp, metric: string, labels: Record<string, string>): Promise<number> {
  const found = await registry.getSingleMetric(metric)?.get();
  return (found?.values ?? [])
    .filter((value) => Object.entries(labels).every(([name, label]) => (value.labels as Record<string, unknown>)[name] === label))
    .reduce((sum, value) => sum + value.value, 0);
}
