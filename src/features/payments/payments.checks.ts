import type { Check } from '../../platform/database/checks.ts';

/** What must hold between payments, holds, refunds and the ledger at any moment. Each statement must return no rows. */
export const paymentsChecks: Check[] = [
  {
    name: 'payment-agrees-with-hold',
    promise: 'A hold is confirmed by money that was kept (or by a price of nothing), and no money is kept for a hold that is gone.',
    sql: `
      select h.id, h.state, p.state as payment from hold h left join payment p on p.hold_id = h.id and p.is_current
      where h.state = 'CONFIRMED' and (p.id is null or p.state not in ('APPROVED', 'REFUNDING') or p.provider is not null and p.captured_minor = p.refunded_minor)
         or h.state = 'PAYING' and p.state is distinct from 'PENDING'
         or h.state = 'RETURNED' and p.state is distinct from 'REFUNDED'
         or h.state in ('HELD', 'EXPIRED', 'RELEASED') and p.id is not null
      union all
      select p.hold_id, null, p.state from payment p
      where p.state in ('REFUSED', 'ABANDONED') and (p.captured_minor > 0 or p.is_current)
         or p.state = 'PENDING' and p.captured_minor > 0
         or p.state = 'APPROVED' and not p.is_current
         or p.state = 'REFUNDING' and not exists (select 1 from refund r where r.payment_id = p.id and r.state = 'OPEN')`,
  },
  {
    name: 'refunds-add-up',
    promise: 'What a payment says went back, and is going back, is the sum of its refunds, and never more than was taken.',
    sql: `
      select p.id, p.captured_minor, p.refunded_minor, p.refunding_minor, r.done, r.open from payment p left join (
        select payment_id, coalesce(sum(amount_minor) filter (where state = 'DONE'), 0) as done, coalesce(sum(amount_minor) filter (where state = 'OPEN'), 0) as open
        from refund group by payment_id) r on r.payment_id = p.id
      where p.refunded_minor <> coalesce(r.done, 0) or p.refunding_minor <> coalesce(r.open, 0) or p.refunded_minor + p.refunding_minor > p.captured_minor`,
  },
  {
    name: 'books-agree-with-payments',
    promise:
      'The ledger holds for each payment exactly what its provider took and did not give back; what is neither booked nor back waits in the deposits.',
    sql: `
      select p.id, p.state, p.captured_minor, p.refunded_minor, b.clearing, b.deposits from payment p left join (
        select t.subject_id,
          coalesce(sum(e.amount_minor) filter (where a.kind = 'PROVIDER_CLEARING'), 0) as clearing,
          coalesce(sum(e.amount_minor) filter (where a.kind = 'CUSTOMER_DEPOSITS'), 0) as deposits
        from ledger_transfer t join ledger_entry e on e.transfer_id = t.id join ledger_account a on a.id = e.account_id
        where t.kind in ('capture', 'booking', 'refund') group by t.subject_id) b on b.subject_id = p.id::text::text
      where p.provider is not null and (
        coalesce(b.clearing, 0) <> p.refunded_minor - p.captured_minor
        or coalesce(b.deposits, 0) <> case when p.is_current then 0 else p.captured_minor - p.refunded_minor end)`,
  },
];
