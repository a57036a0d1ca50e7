import type pg from 'pg';
import type { LiveObjects } from '../../platform/subscriptions/live-objects.ts';
import { type SeatWatch, WATCH_JSON } from './seat-watch.ts';

/** What a member follows. Every change of one of the watches raises the version. */
export interface FollowedByMember {
  /** The member. */
  id: string;
  version: number;
  /** Those that live, and those that ended some minutes ago: newest first, at most 200. */
  watches: SeatWatch[];
}

/** Tells every node's subscribers among these members what committed changes left behind. */
export type TellFollowers = (memberIds: readonly string[]) => Promise<void>;

/** One statement for all members. */
export async function followedByMembers(pool: pg.Pool, memberIds: readonly string[]): Promise<FollowedByMember[]> {
  const { rows } = await pool.query({ name: 'followed_by_members', text: FOLLOWED, values: [memberIds] });
  return rows;
}

/** One that ended is told for longer than any subscriber goes without reading. */
const FOLLOWED = `
  select m.id, coalesce((select sum(w.version) from seat_watch_now w where w.member_id = m.id), 0)::int as version,
    coalesce((select json_agg(${WATCH_JSON} order by w.id desc) from (
      select * from seat_watch_now s where s.member_id = m.id and (s.state <> 'ENDED' or s.changed_at > clock_timestamp() - interval '5 minutes')
      order by s.id desc limit 200) w), '[]') as watches
  from unnest($1::uuid[]) as m(id)`;

/** Offers may run out without any change of the rows: two states of one version can differ. */
export const sameFollowed = (one: FollowedByMember, other: FollowedByMember): boolean =>
  one.watches.length === other.watches.length &&
  one.watches.every(({ id, state, version }, index) => {
    const same = other.watches[index];
    return same?.id === id && same.state === state && same.version === version;
  });

/** Lost news is made good by the subscribers' own reading, so nobody waits or fails for it. */
export const tellingFollowers =
  (pool: pg.Pool, live: LiveObjects<FollowedByMember>): TellFollowers =>
  async (memberIds) => {
    const states = await followedByMembers(pool, memberIds).catch(() => []);
    for (const state of states) live.publish(state);
  };

/** Watch by watch what the states of a member say that was not said before; first those that live. Ends like its source, so that `return()` ends a waiting `next()`. */
export function watchByWatch(source: AsyncIterableIterator<FollowedByMember>): AsyncIterableIterator<SeatWatch> {
  let said: Map<string, SeatWatch> | undefined;
  const unsaid: SeatWatch[] = [];
  const hear = ({ watches }: FollowedByMember) => {
    const isNews = (watch: SeatWatch) => {
      const before = said?.get(watch.id);
      return before ? before.version !== watch.version || before.state !== watch.state : said !== undefined || watch.state !== 'ENDED';
    };
    // Oldest first, as they happened.
    unsaid.push(...watches.filter(isNews).reverse());
    said = new Map(watches.map((watch) => [watch.id, watch]));
  };
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: async () => {
      for (;;) {
        const watch = unsaid.shift();
        if (watch) return { done: false, value: watch };
        const heard = await source.next();
        if (heard.done) return { done: true, value: undefined };
        hear(heard.value);
      }
    },
    return: async () => {
      await source.return?.();
      return { done: true, value: undefined };
    },
  };
}
