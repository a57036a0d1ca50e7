import { randomUUID } from 'node:crypto';
import type { ClaimAnswer } from '../../../src/inventory/claim.ts';
import type { TRANSITIONS } from '../../../src/inventory/hold-states.ts';
import { blockUnits, unitIdOf } from '../../../src/inventory/units.ts';
import type { TestApp } from '../../support/app.ts';
import type { Show } from '../../support/shows.ts';

/** Claims seats by their numbers, as holding them does. */
export const place = (node: TestApp, show: Show, numbers: readonly number[], claimantId: string = randomUUID()): Promise<ClaimAnswer> =>
  node.app.inventory.place({
    kind: 'performance',
    claimantId,
    idempotencyKey: randomUUID(),
    requestHash: Buffer.alloc(32, 7),
    clientIp: null,
    items: numbers.map((number) => ({
      kind: 'performance',
      poolId: show.uuids.performance,
      unitId: unitIdOf(show.uuids.performance, number),
      quantity: 1,
    })),
  });

/** The same where it must be granted; answers the hold. */
export async function hold(node: TestApp, show: Show, numbers: readonly number[]): Promise<string> {
  const answer = await place(node, show, numbers);
  if (answer.outcome !== 'GRANTED') throw new Error(`not granted but ${answer.outcome}`);
  return answer.holdId;
}

/** Takes arrows of a hold's life, one after the other, and tells of them. */
export async function move(node: TestApp, holdId: string, ...verbs: (keyof typeof TRANSITIONS)[]): Promise<void> {
  const { database, inventory } = node.app;
  for (const verb of verbs) {
    const { pools } = await database.transact((em) => inventory.move(em, verb, holdId, null), { name: verb });
    inventory.tell(pools);
  }
}

export async function block(node: TestApp, show: Show, numbers: readonly number[], isBlocked = true): Promise<string> {
  const { database, inventory } = node.app;
  const blocked = await database.transact((em) => blockUnits(em, show.uuids.performance, numbers, isBlocked), { name: 'block' });
  if (blocked.outcome === 'DONE') inventory.tell(blocked.pools);
  return blocked.outcome;
}

/** All invariants but two: what is sold here was never paid for, and nobody issues its tickets, which are missed after a minute. */
export const brokenInvariantsOfSeats = async (node: TestApp) =>
  (await node.brokenInvariants()).filter(({ check }) => check !== 'payment-agrees-with-hold' && check !== 'tickets-issued');
