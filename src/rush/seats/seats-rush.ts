import { setTimeout as delay } from 'node:timers/promises';
import { shippedPlanFile } from '../../features/venues/shipped-plans.ts';
import { Administrator } from '../administrator.ts';
import { Api, ApiError } from '../api.ts';
import { asked, auditAfter, givenServer, interruptible, LOOK_EVERY_MS, type Surroundings, startServer } from '../host.ts';
import { type SeatsOptions, SetupError, UnjudgedError } from '../options.ts';
import { seriesOf, workBetween } from '../server-metrics.ts';
import { houseOf, type PlanFile } from './house.ts';
import { MapWatcher, type WatchedMap, watchedOf } from './map-watcher.ts';
import { SeatCrowd, type SeatCrowdResult } from './seat-crowd.ts';
import { type HouseReport, houseReportOf, houseTextOf, isSettled } from './seat-report.ts';
import { type MapState, SeatStage } from './seat-stage.ts';

/** Everything a rehearsal of seats found; what `--json` prints. */
export interface SeatsReport {
  ok: boolean;
  rush: { url: string; server: 'own' | 'given' } & Pick<SeatsOptions, 'watchers' | 'connections' | 'atOnce' | 'pay' | 'abandon'>;
  houses: HouseReport[];
}

export const seatsTextOf = ({ houses }: SeatsReport): string => houses.map(houseTextOf).join('\n');

/**
 * Sells out one house after the other.
 *
 * @throws SetupError when a rehearsal could not be held; the signal's reason when it was interrupted.
 */
export async function holdSeatsRush(options: SeatsOptions, { environment, bar, signal }: Surroundings): Promise<SeatsReport> {
  await using ending = new AsyncDisposableStack();
  const step = interruptible(signal);
  const given = await step(givenServer(options));
  const origin = given ?? (await step(startServer(options, { environment, bar, ending })));
  const api = new Api(origin);
  const administrator = new Administrator(api, options.admin);
  await step(administrator.signIn());
  ending.defer(() => administrator.signOut().catch(() => undefined));

  const scene: Scene = { options, origin, isGiven: given !== null, api, administrator, bar, step };
  const houses: HouseReport[] = [];
  for (const { house, members } of options.houses) houses.push(await sellOut(shippedPlanFile(house), members, scene));
  const { watchers, connections, atOnce, pay, abandon } = options;
  return {
    ok: houses.every(({ ok }) => ok),
    rush: { url: origin, server: given === null ? 'own' : 'given', watchers, connections, atOnce, pay, abandon },
    houses,
  };
}

interface Scene extends Pick<Surroundings, 'bar'> {
  options: SeatsOptions;
  origin: string;
  isGiven: boolean;
  api: Api;
  administrator: Administrator;
  step: ReturnType<typeof interruptible>;
}

async function sellOut(plan: PlanFile, members: number, scene: Scene): Promise<HouseReport> {
  const { options, origin, isGiven, api, administrator, bar, step } = scene;
  await using ending = new AsyncDisposableStack();
  const house = houseOf(plan);
  const stage = new SeatStage(api, administrator);
  ending.defer(async () => {
    try {
      await stage.close();
    } catch (error) {
      // A server of ours got the same Ctrl+C, and its data go with it.
      if (isGiven) bar.say(`The sale of the rehearsal was not closed: ${(error as Error).message}`);
    }
  });
  let made = 0;
  const making = administrator.makeMembers(members, (count) => {
    made = count;
  });
  const accessTokens = await bar.during('Members', step(making), () => ({ done: made, total: members }));
  const performanceId = await step(stage.makePerformance(plan));
  const { connections, atOnce, pay, abandon } = options;
  const provider = pay > 0 ? await step(administrator.provider()) : '';
  const cast = { origin, performanceId, house, accessTokens, connections, atOnce, pay, abandon, provider };
  const crowd = ending.adopt(new SeatCrowd(cast), (one) => one.close());
  await step(crowd.prepare());
  const watchers = Array.from({ length: options.watchers }, () => new MapWatcher(origin, performanceId));
  ending.defer(async () => void (await Promise.all(watchers.map((watcher) => watcher.stop()))));
  for (let first = 0; first < watchers.length; first += HANDSHAKES)
    await step(Promise.all(watchers.slice(first, first + HANDSHAKES).map((watcher) => watcher.start())));

  const before = await step(api.metrics(options.metricsToken));
  const [seen] = watchers as [MapWatcher];
  const result = await bar.during(house.name, step(crowd.rush(seen.view)), () => ({
    done: crowd.progress.done,
    total: members,
    note: `${crowd.progress.seats.toLocaleString('en')} seats taken, ${crowd.progress.paid.toLocaleString('en')} paid`,
  }));
  try {
    const after = await step(asked(() => api.metrics(options.metricsToken), performance.now() + options.settleSeconds * 1000));
    const { map, watched } = await step(settle(stage, watchers, result, options.settleSeconds));
    const audit = await step(auditAfter(administrator, map.at, options.settleSeconds));
    return houseReportOf(
      { house, result, map, watchers: watched, audit },
      {
        performanceId,
        members,
        server: 'text' in before && 'text' in after ? workBetween(seriesOf(before.text), seriesOf(after.text)) : null,
        serverProblem: 'problem' in after ? after.problem : null,
      },
    );
  } catch (error) {
    if (!(error instanceof SetupError || error instanceof ApiError)) throw error;
    throw new UnjudgedError(`${result.seats.given} seats were given, but the server cannot be asked what came of it: ${error.message}`, {
      cause: error,
    });
  }
}

/** Waits until the query says what members were told, and every watcher what the query says; past the deadline, what they said last. */
async function settle(
  stage: SeatStage,
  watchers: readonly MapWatcher[],
  result: SeatCrowdResult,
  seconds: number,
): Promise<{ map: MapState; watched: WatchedMap[] }> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const map = await asked(() => stage.map(), deadline);
    const watched = watchers.map((watcher) => watchedOf(watcher, map));
    if (performance.now() > deadline || (isSettled(result, map) && watched.every(({ isRight }) => isRight))) return { map, watched };
    await delay(LOOK_EVERY_MS);
  }
}

const HANDSHAKES = 100;
