import type pg from 'pg';
import type { ClaimItem } from '../../inventory/claim.ts';
import type { HoldView } from '../../inventory/read-holds.ts';

/** What a payment needs to know of its hold. A hold whose deadline has passed reads EXPIRED. */
export interface BookedHold extends Pick<HoldView, 'id' | 'kind' | 'claimantId' | 'state' | 'amountMinor' | 'currency' | 'ifPaidLate'> {
  items: ClaimItem[];
  /** Payments of it so far, whatever became of them. */
  payments: number;
}

/** One statement; null for an id that is no hold. */
export async function bookedHold(pool: pg.Pool, id: string): Promise<BookedHold | null> {
  const { rows } = await pool.query({ name: 'booked_hold', text: BOOKED_HOLD, values: [id] });
  return rows[0] ? { ...rows[0], amountMinor: Number(rows[0].amountMinor) } : null;
}

const BOOKED_HOLD = `
  select h.id, h.kind, h.claimant_id as "claimantId", h.amount_minor as "amountMinor", h.currency, h.if_paid_late as "ifPaidLate",
    (select count(*)::int from payment p where p.original_hold_id = h.id) as payments,
    case when h.state = 'HELD' and h.expires_at <= clock_timestamp() then 'EXPIRED' else h.state end as state,
    (select json_agg(json_build_object('kind', p.kind, 'poolId', i.pool_id, 'unitId', i.unit_id, 'quantity', i.quantity) order by i.position)
     from hold_item i join pool p on p.id = i.pool_id where i.hold_id = h.id) as items
  from hold h where h.id = $1`;
