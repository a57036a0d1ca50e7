import { setTimeout as delay } from 'node:timers/promises';
import { Administrator } from './administrator.ts';
import { Api, ApiError } from './api.ts';
import type { Crowd, CrowdResult } from './crowd.ts';
import { crowdOf } from './crowd-process.ts';
import { asked, auditAfter, givenServer, interruptible, LOOK_EVERY_MS, type Surroundings, startServer } from './host.ts';
import { judge, knows, type LessonState } from './invariants.ts';
import { type RushOptions, SetupError, UnjudgedError } from './options.ts';
import { type Report, reportOf } from './report.ts';
import { seriesOf, workBetween } from './server-metrics.ts';
import { Stage } from './stage.ts';
import type { Watched } from './watcher.ts';

/**
 * Holds one rehearsal: prepares it, lets everybody enrol at once, waits for the truth to arrive everywhere, and judges.
 *
 * @throws SetupError when it could not be held; the signal's reason when it was interrupted.
 */
export async function holdRush(options: RushOptions, { environment, bar, signal }: Surroundings): Promise<Report> {
  await using ending = new AsyncDisposableStack();
  const step = interruptible(signal);

  const given = await step(givenServer(options));
  const origin = given ?? (await step(startServer(options, { environment, bar, ending })));
  const api = new Api(origin);

  const administrator = new Administrator(api, options.admin);
  await step(administrator.signIn());
  const stage = new Stage(api, administrator, options);
  ending.defer(async () => {
    try {
      await stage.close();
      await administrator.signOut();
    } catch (error) {
      // A server of ours got the same Ctrl+C, and its data go with it.
      if (given) bar.say(`The sale of the rehearsal was not closed: ${(error as Error).message}`);
    }
  });
  let made = 0;
  const making = administrator.makeMembers(options.members, (count) => {
    made = count;
  });
  const accessTokens = await bar.during('Members', step(making), () => ({ done: made, total: options.members }));
  const lessonId = await step(stage.makeLesson());
  const provider = options.pay > 0 ? await step(administrator.provider()) : '';
  const { watchers, connections, pay, lockers } = options;
  const plan = { origin, lessonId, accessTokens, watchers, connections, pay, provider, lockers };
  const crowd = ending.adopt(crowdOf(plan, options.processes), (one) => one.close());
  await step(crowd.prepare());

  const before = await step(api.metrics(options.metricsToken));
  const result = await bar.during('Rush', step(crowd.rush()), () => ({
    done: crowd.progress.answered,
    total: options.members,
    note: `${crowd.progress.won.toLocaleString('en')} won, ${crowd.progress.paid.toLocaleString('en')} paid`,
  }));
  const held: Held = { options, origin, isGiven: given !== null, lessonId, before, result };
  // Awaited here: what is ended when this function returns is needed until then.
  return await step(judged(held, { api, administrator, stage, crowd }));
}

interface Held {
  options: RushOptions;
  origin: string;
  isGiven: boolean;
  lessonId: string;
  /** /metrics of before the rush. */
  before: Metrics;
  result: CrowdResult;
}

type Metrics = Awaited<ReturnType<Api['metrics']>>;

/** Looks at what is left of a rush. @throws UnjudgedError when the server cannot be asked any more. */
async function judged(
  { options, origin, isGiven, lessonId, before, result }: Held,
  { api, administrator, stage, crowd }: { api: Api; administrator: Administrator; stage: Stage; crowd: Crowd },
): Promise<Report> {
  try {
    const after = await asked(() => api.metrics(options.metricsToken), performance.now() + options.settleSeconds * 1000);
    const { state, watched } = await settle(stage, crowd, result.payments.granted, options.settleSeconds);
    const audit = await auditAfter(administrator, state.at, options.settleSeconds);
    const { members, places, watchers, connections, processes, pay, lockers, policy } = options;
    const { enrolments, payments, firstExpiresAt } = result;
    return reportOf({
      rush: {
        url: origin,
        server: isGiven ? 'given' : 'own',
        lessonId,
        startedAt: new Date(result.startedAt).toISOString(),
        ...{ members, places, watchers, connections, processes, pay, lockers, policy },
      },
      result,
      watched,
      server: 'text' in before && 'text' in after ? workBetween(seriesOf(before.text), seriesOf(after.text)) : null,
      serverProblem: 'problem' in after ? after.problem : null,
      state,
      audit,
      invariants: judge({ members, places, enrolments, payments, firstExpiresAt, state, watched, audit }),
    });
  } catch (error) {
    if (!(error instanceof SetupError || error instanceof ApiError)) throw error;
    const { granted } = result.enrolments;
    throw new UnjudgedError(`${granted} members won, but the server cannot be asked what came of it: ${error.message}`, { cause: error });
  }
}

/** Waits until the query and every watcher say the same, and what was paid is sold; past the deadline, what they said last. */
async function settle(stage: Stage, crowd: Crowd, paid: number, seconds: number): Promise<{ state: LessonState; watched: Watched[] }> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const state = await asked(() => stage.state(), deadline);
    const watched = await crowd.watched();
    if (performance.now() > deadline || (state.sold === paid && watched.every((one) => knows(one, state)))) return { state, watched };
    await delay(LOOK_EVERY_MS);
  }
}
