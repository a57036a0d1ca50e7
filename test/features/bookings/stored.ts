import { type TestStage, uuidIn } from '../../support/app.ts';

/** What is stored of a hold and of every payment that was begun for it, in the order they were begun; a hold without one has one row. */
export const stored = (stage: TestStage, holdId: string) =>
  stage.query<{ hold: string; payment: string | null; because: string | null; captured: number | null; refunded: number | null }>(
    `select h.state as hold, p.state as payment, coalesce(p.refusal_code, p.ended_because) as because,
       p.captured_minor::int as captured, p.refunded_minor::int as refunded
     from hold h left join payment p on p.original_hold_id = h.id where h.id = $1 order by p.id`,
    [uuidIn(holdId)],
  );

/** A row of `stored` of a hold nobody has begun to pay. */
export const unpaid = (hold: string) => ({ hold, payment: null, because: null, captured: null, refunded: null });

/** The balance of every account that was ever used, by kind; credits are positive. Accounts of several owners are added up. */
export async function balances(stage: TestStage): Promise<Record<string, number>> {
  const rows = await stage.query<{ kind: string; balance: number }>(
    'select a.kind, sum(e.amount_minor)::int as balance from ledger_entry e join ledger_account a on a.id = e.account_id group by a.kind order by a.kind',
  );
  return Object.fromEntries(rows.map(({ kind, balance }) => [kind, balance]));
}

/** The entries of every transfer about a payment, as they were posted: the transfer, the account, the amount. */
export async function entries(stage: TestStage, paymentId: string): Promise<[string, string, number][]> {
  const rows = await stage.query<{ transfer: string; account: string; amount: number }>(
    `select t.kind as transfer, a.kind as account, e.amount_minor::int as amount
     from ledger_transfer t join ledger_entry e on e.transfer_id = t.id join ledger_account a on a.id = e.account_id
     where t.subject_id = $1 order by case t.kind when 'capture' then 0 when 'booking' then 1 else 2 end, t.posted_at, a.kind`,
    [uuidIn(paymentId)],
  );
  return rows.map(({ transfer, account, amount }) => [transfer, account, amount]);
}
