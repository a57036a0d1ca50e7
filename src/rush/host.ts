import { setTimeout as delay } from 'node:timers/promises';
import type { Administrator } from './administrator.ts';
import { Api, ApiError } from './api.ts';
import type { Audit } from './invariants.ts';
import { type CommonOptions, DEFAULT_URL, SetupError } from './options.ts';
import { OwnServer } from './own-server.ts';
import type { ProgressBar } from './progress.ts';

export interface Surroundings {
  environment: NodeJS.ProcessEnv;
  bar: ProgressBar;
  /** Interrupts the rehearsal; everything that was started is ended before the promise rejects. */
  signal: AbortSignal;
}

/** Rejects with the signal's reason as soon as the rehearsal is interrupted. */
export function interruptible(signal: AbortSignal): <T>(work: Promise<T>) => Promise<T> {
  const interrupted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  interrupted.catch(() => undefined);
  return (work) => Promise.race([work, interrupted]);
}

type ServerOptions = Pick<CommonOptions, 'url' | 'own' | 'watchers' | 'keep'>;

/** The address of the server that is there already; null when one has to be started. */
export async function givenServer({ url, own }: ServerOptions): Promise<string | null> {
  if (own) return null;
  const health = await new Api(url ?? DEFAULT_URL).health();
  if (health?.isReady) return url ?? DEFAULT_URL;
  if (!url) return null;
  throw new SetupError(
    health
      ? `The server at ${url} is not ready (${health.status}): look at its log.`
      : `No lastseat answers at ${url}/health/ready: start it with npm start, or leave --url out to have one started.`,
  );
}

/** The address of a server that ends with the rehearsal. */
export async function startServer(
  { watchers, keep }: ServerOptions,
  { environment, bar, ending }: Pick<Surroundings, 'environment' | 'bar'> & { ending: AsyncDisposableStack },
): Promise<string> {
  bar.say('Starting a server with a database of its own.');
  const server = ending.use(new OwnServer({ environment, watchers, keep }));
  return server.ready();
}

/** Audits are shared between callers for some seconds, so the first may be from before the end. */
export async function auditAfter(administrator: Administrator, at: string, seconds: number): Promise<Audit | null> {
  const deadline = performance.now() + (seconds + AUDIT_SHARED_SECONDS) * 1000;
  for (;;) {
    const audit = await asked(() => administrator.audit(), deadline);
    if (Date.parse(audit.at) >= Date.parse(at)) return audit;
    if (performance.now() > deadline) return null;
    await delay(LOOK_EVERY_MS);
  }
}

/** Asks again until the deadline: what 100,000 members found is not thrown away because one question about it failed. */
export async function asked<T>(question: () => Promise<T>, deadline: number): Promise<T> {
  for (;;) {
    try {
      return await question();
    } catch (error) {
      if (performance.now() > deadline || !(error instanceof SetupError || error instanceof ApiError)) throw error;
      await delay(LOOK_EVERY_MS);
    }
  }
}

export const LOOK_EVERY_MS = 100;
const AUDIT_SHARED_SECONDS = 10;
