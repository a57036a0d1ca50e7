import type pg from 'pg';
import type { IfPaidLate } from './claim.ts';
import type { HoldState } from './hold-states.ts';

/** A hold as its readers see it: a hold whose deadline has passed reads EXPIRED, swept or not. */
export interface HoldView {
  id: string;
  kind: string;
  claimantId: string;
  state: HoldState;
  amountMinor: number;
  currency: string;
  expiresAt: Date;
  createdAt: Date;
  ifPaidLate: IfPaidLate;
  /** Raised by every change of the stored hold. Running out by itself is none: what has run out is tidied later, and raises it then. */
  version: number;
  /** In the order they were claimed. */
  items: { poolId: string; unitId: string | null; quantity: number }[];
}

const COLUMNS = `
  h.id, h.kind, h.claimant_id as "claimantId", h.amount_minor as "amountMinor", h.currency, h.expires_at as "expiresAt", h.created_at as "createdAt",
  h.if_paid_late as "ifPaidLate", h.version,
  case when h.state = 'HELD' and h.expires_at <= clock_timestamp() then 'EXPIRED' else h.state end as state,
  (select json_agg(json_build_object('poolId', i.pool_id, 'unitId', i.unit_id, 'quantity', i.quantity) order by i.position)
   from hold_item i where i.hold_id = h.id) as items`;

const BY_IDS = `select ${COLUMNS} from hold h where h.id = any ($1::uuid[])`;
const OF_CLAIMANT = `
  select ${COLUMNS} from hold h
  where h.claimant_id = $1 and h.kind = $2 and ($3::uuid is null or h.id < $3) order by h.id desc limit $4`;
const LIVE_OF_CLAIMANT = `
  select ${COLUMNS} from hold h
  where h.claimant_id = $1 and (h.state in ('PAYING', 'CONFIRMED') or h.state = 'HELD' and h.expires_at > clock_timestamp())
    and exists (select 1 from hold_item i where i.hold_id = h.id and i.pool_id = $2)`;

const read = async (pool: pg.Pool, name: string, text: string, values: unknown[]): Promise<HoldView[]> => {
  const { rows } = await pool.query({ name, text, values });
  return rows.map((row) => ({
    ...row,
    amountMinor: Number(row.amountMinor),
    expiresAt: new Date(row.expiresAt),
    createdAt: new Date(row.createdAt),
  }));
};

/** Unknown ids are left out. */
export const holdsByIds = (pool: pg.Pool, ids: readonly string[]) => read(pool, 'holds_by_ids', BY_IDS, [ids]);

/** Newest first; `before`: only holds older than this id (ids grow with time). */
export const holdsOfClaimant = (pool: pg.Pool, claimantId: string, kind: string, before: string | null, limit: number) =>
  read(pool, 'holds_of_claimant', OF_CLAIMANT, [claimantId, kind, before, limit]);

/** The live holds a claimant has of one pool. */
export const liveHoldsOf = (pool: pg.Pool, claimantId: string, poolId: string) =>
  read(pool, 'live_holds_of', LIVE_OF_CLAIMANT, [claimantId, poolId]);

export async function countHoldsOfClaimant(pool: pg.Pool, claimantId: string, kind: string): Promise<number> {
  const { rows } = await pool.query({
    name: 'count_holds_of_claimant',
    text: 'select count(*)::int as count from hold where claimant_id = $1 and kind = $2',
    values: [claimantId, kind],
  });
  return rows[0].count;
}
