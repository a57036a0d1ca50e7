import type pg from 'pg';
import type { HoldState } from '../../inventory/hold-states.ts';
import { GatheredNews } from '../../platform/subscriptions/gathered-news.ts';
import type { LiveObjects } from '../../platform/subscriptions/live-objects.ts';
import type { PaymentState } from '../payments/index.ts';

/** Where the booking of a hold is. Every change of the hold or its payment raises the version. */
export interface BookingState {
  /** The hold. */
  id: string;
  version: number;
  kind: string;
  claimantId: string;
  state: HoldState;
  /** The payment begun last; null before there is one. */
  paymentId: string | null;
  paymentState: PaymentState | null;
  at: string;
}

/** One statement for all ids; unknown ones are left out. */
export async function bookingStates(pool: pg.Pool, ids: readonly string[]): Promise<BookingState[]> {
  const { rows } = await pool.query({ name: 'booking_states', text: STATES, values: [ids] });
  return rows;
}

const STATES = `
  select h.id, h.version, h.kind, h.claimant_id as "claimantId",
    case when h.state = 'HELD' and h.expires_at <= clock_timestamp() then 'EXPIRED' else h.state end as state,
    p.id as "paymentId", p.state as "paymentState", to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
  from hold h left join lateral (
    select p.id, p.state from payment p where p.original_hold_id = h.id or p.hold_id = h.id order by p.is_current desc, p.id desc limit 1) p on true
  where h.id = any ($1::uuid[])`;

export const sameBooking = (a: BookingState, b: BookingState): boolean =>
  a.state === b.state && a.paymentId === b.paymentId && a.paymentState === b.paymentState;

/** A rush confirms many at once; their watchers wait no longer than they would for the pace of the messages. */
const GATHER_MS = 20;

/** Tells every node's watchers what committed changes left behind, some at a time. */
export const bookingNews = (pool: pg.Pool, live: LiveObjects<BookingState>): GatheredNews<BookingState> =>
  new GatheredNews({ gatherMs: GATHER_MS, read: (ids) => bookingStates(pool, ids), publish: (state) => live.publish(state) });
