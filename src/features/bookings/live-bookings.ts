import type pg from 'pg';
import type { HoldState } from '../../inventory/hold-states.ts';
import type { JsonValue } from '../../platform/subscriptions/fan-out.ts';
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

export const reviveBooking = (message: JsonValue): BookingState => message as unknown as BookingState;

/** So many changes of one turn are read in one statement. */
const READ_MAX = 100;
/** A rush confirms many at once; their watchers wait no longer than they would for the pace of the messages. */
const GATHER_MS = 20;

/** Tells every node's watchers what committed changes left behind, some at a time. */
export class BookingNews {
  private readonly changed = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private sending: Promise<void> = Promise.resolve();

  constructor(
    private readonly pool: pg.Pool,
    private readonly live: LiveObjects<BookingState>,
  ) {}

  readonly tell = (holdIds: readonly string[]): void => {
    for (const id of holdIds) this.changed.add(id);
    if (this.changed.size > 0) this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
  };

  /** Sends what waits, and waits for what is being sent. */
  async close(): Promise<void> {
    clearTimeout(this.timer);
    this.flush();
    await this.sending;
  }

  private flush(): void {
    this.timer = undefined;
    const ids = [...this.changed];
    this.changed.clear();
    for (let from = 0; from < ids.length; from += READ_MAX) {
      const some = ids.slice(from, from + READ_MAX);
      // Lost news is made good by the watchers' own reading.
      const send = async () => {
        for (const state of await bookingStates(this.pool, some)) this.live.publish(state);
      };
      this.sending = this.sending.then(send, send).catch(() => undefined);
    }
  }
}
