import type { Check } from '../platform/database/checks.ts';

/** The ledger's invariants. Each statement must return no rows, at any moment, under any load. */
export const ledgerChecks: Check[] = [
  {
    name: 'ledger-transfers-balance',
    promise: 'The entries of every transfer sum to zero in each currency.',
    sql: `
      select e.transfer_id, a.currency, sum(e.amount_minor) as off_by
      from ledger_entry e join ledger_account a on a.id = e.account_id
      group by e.transfer_id, a.currency having sum(e.amount_minor) <> 0`,
  },
  {
    name: 'ledger-transfers-whole',
    promise: 'A transfer has exactly the entries it says it has.',
    sql: `
      select t.id, t.entry_count, count(e.transfer_id) as entries from ledger_transfer t left join ledger_entry e on e.transfer_id = t.id
      group by t.id, t.entry_count having count(e.transfer_id) <> t.entry_count or max(e.position) <> t.entry_count - 1`,
  },
  {
    name: 'ledger-balances-equal-entries',
    promise: 'A balance that is kept equals the sum of the entries of its account.',
    sql: `
      select a.id, a.kind, a.owner, a.balance_minor, s.amount as summed
      from ledger_account a left join (select account_id, sum(amount_minor) as amount from ledger_entry group by account_id) s on s.account_id = a.id
      where a.has_floor and a.balance_minor is distinct from coalesce(s.amount, 0)`,
  },
  {
    name: 'ledger-balances-chain',
    promise: 'Each entry of an account with a floor begins at the balance another left, from zero to the balance that is kept.',
    // Entries carry no order of their own: what was left and what was begun at must be the same amounts, each as often.
    sql: `
      select s.account_id, s.balance, sum(s.times) as off_by from (
        select e.account_id, e.balance_after_minor as balance, 1 as times from ledger_entry e join ledger_account a on a.id = e.account_id where a.has_floor
        union all
        select e.account_id, e.balance_after_minor - e.amount_minor, -1 from ledger_entry e join ledger_account a on a.id = e.account_id where a.has_floor
        union all
        select id, 0, 1 from ledger_account where has_floor
        union all
        select id, balance_minor, -1 from ledger_account where has_floor
      ) s group by s.account_id, s.balance having sum(s.times) <> 0`,
  },
  {
    name: 'ledger-floors-kept',
    promise: 'No account that must not go below zero is, or ever was, below it: by its row, its entries or their sum.',
    sql: `
      select a.id, a.kind, a.owner, a.balance_minor, s.lowest, s.amount
      from ledger_account a left join (
        select account_id, sum(amount_minor) as amount, min(balance_after_minor) as lowest from ledger_entry group by account_id
      ) s on s.account_id = a.id
      where a.has_floor and least(a.balance_minor, s.amount, s.lowest) < 0`,
  },
  {
    name: 'ledger-currencies-fit',
    promise: 'Points are counted in accounts of points and money in accounts of money, and only accounts with a floor keep balances.',
    sql: `
      select a.id, a.kind, a.owner, a.currency from ledger_account a
      where (a.kind in ('MEMBER_POINTS', 'POINTS_ISSUED')) <> (a.currency = 'PTS') or a.currency !~ '^[A-Z]{3}$'
        or a.has_floor <> (a.kind = 'MEMBER_POINTS') or a.has_floor <> (a.balance_minor is not null)
      union
      select a.id, a.kind, a.owner, a.currency from ledger_account a join ledger_entry e on e.account_id = a.id
      where a.has_floor <> (e.balance_after_minor is not null)`,
  },
];
