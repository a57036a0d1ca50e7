import { createHash, randomUUID } from 'node:crypto';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { issueTicketsTask } from '../../../src/features/tickets/index.ts';
import type { ClaimAnswer } from '../../../src/inventory/claim.ts';
import { unitIdOf } from '../../../src/inventory/units.ts';
import { type TestApp, type TestMember, uuidIn } from '../../support/app.ts';
import { type RootOf, sourceOf, type TestClient } from '../../support/client.ts';
import type { Show } from '../../support/shows.ts';
import { eventually } from '../../support/wait.ts';

type Who = Pick<TestMember, 'uuid'>;
export type Watch = RootOf<'TestMySeatWatches'>['nodes'][number];

/** Claims numbered seats for a member, as any buyer's request would. */
export const claimSeats = (app: TestApp, { uuid }: Who, { uuids }: Show, ...numbers: number[]): Promise<ClaimAnswer> =>
  place(
    app,
    uuid,
    numbers.map((number) => ({
      kind: 'performance',
      poolId: uuids.performance,
      unitId: unitIdOf(uuids.performance, number),
      quantity: 1,
    })),
  );

/** Claims places without numbers. */
export const claimPlaces = (app: TestApp, { uuid }: Who, { uuids }: Show, quantity: number): Promise<ClaimAnswer> =>
  place(app, uuid, [{ kind: 'tier', poolId: uuids.tiers.STANDING as string, unitId: null, quantity }]);

function place(app: TestApp, claimantId: string, items: { kind: string; poolId: string; unitId: string | null; quantity: number }[]) {
  const requestHash = createHash('sha256').update(JSON.stringify(items)).digest();
  return app.app.inventory.place({ kind: 'performance', claimantId, idempotencyKey: randomUUID(), requestHash, clientIp: null, items });
}

/** The id of the hold, for claims that must be granted. */
export async function granted(claim: Promise<ClaimAnswer>): Promise<string> {
  const answer = await claim;
  if (answer.outcome !== 'GRANTED') throw new Error(`The claim was answered ${answer.outcome}.`);
  return answer.holdId;
}

/** Gives a hold up, as its member would. */
export const release = async (app: TestApp, { uuid }: Who, holdId: string) =>
  void (await app.app.inventory.release(uuidIfNode(holdId), uuid));

/** Lets a hold run out and be tidied. */
export async function runOut(app: TestApp, holdId: string): Promise<void> {
  await app.query("update hold set expires_at = clock_timestamp() - interval '1 ms' where id = $1", [uuidIfNode(holdId)]);
  await app.app.inventory.sweep();
}

/** Pays for a hold, and issues its tickets: by a payment of nothing, because what follows a watch does not depend on whose money it was. */
export const pay = (app: TestApp, { uuid }: Who, holdId: string) =>
  step(app, holdId, ['startPaying', 'confirm'], async (id) => {
    await app.query(
      `insert into payment (hold_id, original_hold_id, member_id, state, amount_minor, currency, idempotency_key, request_hash, is_current)
       select id, id, $2, 'APPROVED', 0, currency, $3, '\\x00', true from hold where id = $1`,
      [id, uuid, randomUUID()],
    );
    await issueTicketsTask(app.app.database.pool).handle({ holdId: id }, { id: '1', attempt: 1, signal: undefined });
  });

/** Cancels a booking that was paid for. */
export const cancel = (app: TestApp, holdId: string) =>
  step(app, holdId, ['giveBack'], (id) => app.query("update payment set state = 'REFUNDED' where hold_id = $1", [id]));

async function step(
  { app }: TestApp,
  holdId: string,
  verbs: ('startPaying' | 'confirm' | 'giveBack')[],
  settle: (id: string) => Promise<unknown>,
): Promise<void> {
  const id = uuidIfNode(holdId);
  const pools = await app.database.transact(
    async (em) => {
      const moves = [];
      for (const verb of verbs) moves.push(await app.inventory.move(em, verb, id, null));
      return moves.flatMap((moved) => moved.pools);
    },
    { name: 'test-step' },
  );
  await settle(id);
  app.inventory.tell(pools);
}

const uuidIfNode = (id: string) => (/^[0-9a-f-]{36}$/.test(id) ? id : uuidIn(id));

/** Follows, and answers the watches; throws with the refusal if there is one. */
export async function follow(
  { client }: { client: TestClient },
  show: Show,
  what: { seats?: number[]; tierId?: string; quantity?: number },
): Promise<Watch[]> {
  const answer = await client.run('TestWatchSeats', {
    input: { performanceId: show.performanceId, ...what, idempotencyKey: randomUUID() },
  });
  if (answer.__typename !== 'WatchSeatsSuccess') throw new Error(`nothing is followed: ${JSON.stringify(answer)}`);
  return answer.watches;
}

/** What a member follows and followed, newest first. */
export const watchesOf = async ({ client }: { client: TestClient }): Promise<Watch[]> => (await client.run('TestMySeatWatches')).nodes;

/** The last watch of a member, once it is offered; its hold is there then. */
export async function offered(member: { client: TestClient }): Promise<Watch & { hold: NonNullable<Watch['hold']> }> {
  return eventually(async () => {
    const [watch] = await watchesOf(member);
    return watch?.state === 'OFFERED' && watch.hold ? { ...watch, hold: watch.hold } : null;
  });
}

/** Why the last watch of a member has ended, once it has. */
export const ended = (member: { client: TestClient }) =>
  eventually(async () => {
    const [watch] = await watchesOf(member);
    return watch?.state === 'ENDED' ? watch.endedBecause : null;
  });

/** What is stored of a seat. */
export async function seatOf(app: TestApp, { uuids }: Show, number: number): Promise<{ state: string; holder: string | null }> {
  const [row] = await app.query<{ state: string; holder: string | null }>(
    'select u.state, h.claimant_id as holder from unit u left join hold h on h.id = u.hold_id where u.pool_id = $1 and u.number = $2',
    [uuids.performance, number],
  );
  if (!row) throw new Error(`no seat ${number}`);
  return row;
}

export const isWatched = async (app: TestApp, poolId: string): Promise<boolean> =>
  (await app.query<{ is_watched: boolean }>('select is_watched from pool where id = $1', [poolId]))[0]?.is_watched ?? false;

export type WatchSeen = RootOf<'TestSeatWatchChanged'>;

/** Somebody who is told of what they follow over WebSocket, and does not come back when the connection is lost. */
export class FollowerSocket implements AsyncDisposable {
  /** Every change, in the order they came. */
  readonly seen: WatchSeen[] = [];
  /** What ended the subscription, and every error inside a result. */
  readonly errors: unknown[] = [];
  private readonly client: ReturnType<typeof createClient>;
  private readonly stop: () => void;

  constructor(url: string, accessToken?: string) {
    this.client = createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      ...(accessToken !== undefined && { connectionParams: { Authorization: `Bearer ${accessToken}` } }),
    });
    this.stop = this.client.subscribe<{ seatWatchChanged: WatchSeen }>(
      { query: sourceOf('TestSeatWatchChanged'), operationName: 'TestSeatWatchChanged' },
      {
        next: ({ data, errors }) => {
          if (errors) this.errors.push(...errors);
          if (data) this.seen.push(data.seatWatchChanged);
        },
        error: (error) => this.errors.push(...(Array.isArray(error) ? error : [error])),
        complete: () => undefined,
      },
    );
  }

  /** The states of one watch, in the order they came. */
  courseOf(id: string): [string, string | null][] {
    return this.seen.filter((watch) => watch.id === id).map(({ state, endedBecause }) => [state, endedBecause]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.client.dispose();
  }
}
