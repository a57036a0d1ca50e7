import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type pg from 'pg';
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterPostgres, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { AttemptMaxima } from './accounts.config.ts';
import { RateLimitedError } from './accounts.errors.ts';
import { networkOf } from './network.ts';

export interface LookUp {
  /** Gives the caller back the one point this look-up took. */
  found(): Promise<void>;
}

export interface SignInAttempt {
  /** Forgets what was counted against the account, and gives the network back the one point this attempt took. */
  succeeded(): Promise<void>;
}

/**
 * Counts attempts to sign in and up, and look-ups of members by e-mail, in fixed windows.
 *
 * The counters are shared by all nodes, or N nodes would allow N times as many guesses. Redis keeps them when there is one; while it is away
 * each node counts for itself, because an outage of Redis must neither lock everybody out nor open the door. Without Redis they live in an
 * unlogged table of the database every node has anyway: two small upserts are little beside 25 ms of argon2.
 * Windows begin and end by the clock of the node or of Redis; some seconds of skew move a window of 15 minutes by as much and no more.
 */
export class AttemptLimits {
  private readonly byAccount: RateLimiterAbstract;
  private readonly byNetwork: RateLimiterAbstract;
  private readonly signUpsByNetwork: RateLimiterAbstract;
  private readonly lookUpsByMember: RateLimiterAbstract;

  constructor(store: { pool: pg.Pool; redis?: Redis | undefined }, maxima: AttemptMaxima) {
    const limiter = (keyPrefix: string, points: number) => limiterOver(store, { keyPrefix, points, duration: maxima.windowSeconds });
    this.byAccount = limiter('sign-in-account', maxima.signInsPerAccount);
    this.byNetwork = limiter('sign-in-network', maxima.signInsPerAddress);
    this.signUpsByNetwork = limiter('sign-up-network', maxima.signUpsPerAddress);
    this.lookUpsByMember = limiter('look-up-member', maxima.lookUpsPerMember);
  }

  /**
   * Counts an attempt as failed before the password is looked at, so that a thousand guesses at once are not all let through;
   * `succeeded` takes it back. An address that exists and one that does not are counted alike.
   */
  async signIn(email: string, clientIp: string): Promise<SignInAttempt | RateLimitedError> {
    const network = networkOf(clientIp);
    // Hashed: no addresses lie about in Redis, and the key has a fixed length whatever was typed.
    const account = createHash('sha256').update(email).digest('base64url');
    const refusal = (await consume(this.byNetwork, network)) ?? (await consume(this.byAccount, account));
    return (
      refusal ?? {
        succeeded: async () => {
          await Promise.all([this.byAccount.delete(account), this.byNetwork.reward(network)]);
        },
      }
    );
  }

  async signUp(clientIp: string): Promise<RateLimitedError | null> {
    return consume(this.signUpsByNetwork, networkOf(clientIp));
  }

  /** Counts a look-up of somebody else's e-mail address as one that finds nobody; `found` takes it back. */
  async lookUp(memberId: string): Promise<LookUp | RateLimitedError> {
    const refusal = await consume(this.lookUpsByMember, memberId);
    return refusal ?? { found: async () => void (await this.lookUpsByMember.reward(memberId)) };
  }
}

interface Limit {
  keyPrefix: string;
  points: number;
  duration: number;
}

function limiterOver({ pool, redis }: { pool: pg.Pool; redis?: Redis | undefined }, limit: Limit): RateLimiterAbstract {
  if (redis) {
    // Not ready means: count here, now. Otherwise ioredis would keep the sign-in waiting for the reconnect.
    return new RateLimiterRedis({
      ...limit,
      storeClient: redis,
      rejectIfRedisNotReady: true,
      insuranceLimiter: new RateLimiterMemory(limit),
    });
  }
  return new RateLimiterPostgres({ ...limit, storeClient: pool, storeType: 'pool', tableName: 'attempt_counter', tableCreated: true });
}

async function consume(limiter: RateLimiterAbstract, key: string): Promise<RateLimitedError | null> {
  try {
    await limiter.consume(key);
    return null;
  } catch (refused) {
    if (refused instanceof RateLimiterRes) return new RateLimitedError(Math.max(1, Math.ceil(refused.msBeforeNext / 1_000)));
    throw refused;
  }
}
