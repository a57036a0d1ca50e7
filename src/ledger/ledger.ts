import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/postgresql';
import type pg from 'pg';
import { queryIn } from '../platform/database/query-in.ts';

/*
 * The ledger kernel: amounts of money and points, double-entry, only ever appended.
 *
 * - **account**: who has or owes an amount of one currency. **entry**: so many minor units into it or out of it.
 * - **transfer**: entries that belong together. They sum to zero in each currency, and are posted together or not at all.
 * - **post**: to write a transfer for good. What was wrong is corrected by posting another.
 * - **floor**: the balance of some kinds of account must not go below zero; PostgreSQL decides, under the account's lock.
 *
 * Credits are positive: what we owe or have earned. Of why money moves the kernel knows nothing.
 */

/** What an account is for. A kind decides whether its balance may go below zero. */
export const ACCOUNT_KINDS = [
  'PROVIDER_CLEARING',
  'CUSTOMER_DEPOSITS',
  'ORGANIZER_PAYABLE',
  'PLATFORM_FEES',
  'MEMBER_POINTS',
  'POINTS_ISSUED',
] as const;
export type AccountKind = (typeof ACCOUNT_KINDS)[number];

/** The currency of points. */
export const POINTS = 'PTS';

/** Names an account: it is made when a transfer first names it. */
export interface AccountName {
  kind: AccountKind;
  /** Of a provider its name, of an organizer or a member its id; the empty string where there is one of the kind. At most 100 characters. */
  owner: string;
  /** ISO 4217, or `PTS` for points. */
  currency: string;
}

/** Moves so many minor units into an account (positive) or out of it (negative). */
export interface Entry {
  account: AccountName;
  /** Not zero. */
  amountMinor: number;
}

/** Entries of each currency sum to zero. */
export interface Transfer {
  /** A UUID made by the caller before its first try: the same transfer posts once. */
  id: string;
  /** What it is, for readers: `capture`, `refund`, `points-spent`. */
  kind: string;
  /** What it is about, for example the id of the payment. */
  subjectId: string;
  /** 2 to 100. Their order is part of the transfer: in another order it is another. */
  entries: readonly Entry[];
}

/** `TRANSFER_REUSED`: the id was used for another transfer. `INSUFFICIENT`: an account that must not go below zero would have; nothing was posted. */
export const POSTED = ['POSTED', 'ALREADY_POSTED', 'TRANSFER_REUSED', 'INSUFFICIENT'] as const;
export type Posted = (typeof POSTED)[number];

/**
 * Posts in the caller's transaction, one statement, all of a transfer or nothing. In the order of the transfers, each with its own answer; what one of them
 * gives, the next can take. At most 512. An account that must not go below zero is checked after each entry, not only after the last.
 *
 * Whoever posts the same transfer at the same moment waits for this transaction, and then answers `ALREADY_POSTED`, or posts it if this one rolls back.
 *
 * Call it late and once: it locks the accounts that have a floor, and every account it locks comes after what the transaction locks of the inventory.
 * Flush what the unit of work still holds back before. Two transactions that post in several calls may deadlock, which `transact` heals.
 *
 * Throws for mistakes of ours: a transfer that does not balance, an amount that is no whole number, a call outside a transaction.
 */
export async function postTransfers(em: EntityManager, transfers: readonly Transfer[]): Promise<Posted[]> {
  if (transfers.length === 0) return [];
  assert(transfers.length <= TRANSFERS_MAX, `At most ${TRANSFERS_MAX} transfers are posted in one call, not ${transfers.length}.`);
  for (const transfer of transfers) assertPostable(transfer);
  const [row] = await queryIn<{ answers: Posted[] }>(em, 'postTransfers', POST_TRANSFERS, parametersOf(transfers));
  const answers = row?.answers;
  assert(
    answers?.length === transfers.length && answers.every((answer) => POSTED.includes(answer)),
    `post_transfers gave ${JSON.stringify(answers)} for ${transfers.length} transfers: run the migrations.`,
  );
  return answers;
}

/**
 * The balance of each account, 0 for one without entries, in the order they are given. One statement, so all are of one moment.
 *
 * Of an account with a floor it is read from its row. Of any other it is summed: that takes time in proportion to its entries, so it is for reports and
 * reconciliation, not for a request of a member. Throws for a balance past 2^53.
 */
export async function balancesOf(pool: pg.Pool, accounts: readonly AccountName[]): Promise<number[]> {
  const { rows } = await pool.query<{ balance: string }>({ name: 'balances_of', text: BALANCES_OF, values: namesOf(accounts) });
  return rows.map(({ balance }) => {
    assert(Number.isSafeInteger(Number(balance)), `A balance of ${balance} cannot be told as a number.`);
    return Number(balance);
  });
}

function assertPostable({ id, kind, subjectId, entries }: Transfer): void {
  assert(UUID.test(id), `The id of a transfer is a UUID, not ${JSON.stringify(id)}.`);
  assert(kind !== '' && subjectId !== '', `The transfer ${id} says what it is and what it is about.`);
  assert(
    entries.length >= ENTRIES_MIN && entries.length <= ENTRIES_MAX,
    `The transfer ${id} has ${ENTRIES_MIN} to ${ENTRIES_MAX} entries, not ${entries.length}.`,
  );
  // Not as numbers: the sum of safe integers need not be one.
  const sums = new Map<string, bigint>();
  for (const { account, amountMinor } of entries) {
    assertNamed(account);
    assert(Number.isSafeInteger(amountMinor) && amountMinor !== 0, `The transfer ${id} moves whole minor units, not ${amountMinor}.`);
    sums.set(account.currency, (sums.get(account.currency) ?? 0n) + BigInt(amountMinor));
  }
  for (const [currency, sum] of sums) assert(sum === 0n, `The entries of transfer ${id} sum to ${sum} ${currency}, not to zero.`);
}

function assertNamed({ kind, owner, currency }: AccountName): void {
  assert(ACCOUNT_KINDS.includes(kind), `There is no kind of account ${kind}.`);
  assert(owner.length <= OWNER_LENGTH_MAX, `The owner of an account has at most ${OWNER_LENGTH_MAX} characters.`);
  assert(CURRENCY.test(currency), `${JSON.stringify(currency)} is no currency.`);
  assert((currency === POINTS) === POINTS_KINDS.includes(kind), `An account ${kind} does not count ${currency}.`);
}

/** The parameters of `post_transfers`: accounts, each once; transfers; and entries that name both by number. */
function parametersOf(transfers: readonly Transfer[]): unknown[] {
  const numbers = new Map<string, number>();
  const accounts: AccountName[] = [];
  const numberOf = (account: AccountName): number => {
    const key = JSON.stringify([account.kind, account.owner, account.currency]);
    const known = numbers.get(key);
    if (known) return known;
    numbers.set(key, accounts.push(account));
    return accounts.length;
  };
  const entries = transfers.flatMap((transfer, index) =>
    transfer.entries.map(({ account, amountMinor }) => ({ transfer: index + 1, account: numberOf(account), amountMinor })),
  );
  return [
    ...namesOf(accounts),
    transfers.map(({ id }) => id),
    transfers.map(({ kind }) => kind),
    transfers.map(({ subjectId }) => subjectId),
    transfers.map(contentHash),
    entries.map(({ transfer }) => transfer),
    entries.map(({ account }) => account),
    entries.map(({ amountMinor }) => amountMinor),
  ];
}

const namesOf = (accounts: readonly AccountName[]) => [
  accounts.map(({ kind }) => kind),
  accounts.map(({ owner }) => owner),
  accounts.map(({ currency }) => currency),
];

/** Of everything but the id. */
const contentHash = ({ kind, subjectId, entries }: Transfer): Buffer =>
  hash(
    'sha256',
    JSON.stringify([
      kind,
      subjectId,
      entries.map(({ account, amountMinor }) => [account.kind, account.owner, account.currency, amountMinor]),
    ]),
    'buffer',
  );

const POST_TRANSFERS = 'select post_transfers($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) as answers';

const BALANCES_OF = `
  select coalesce(a.balance_minor, (select sum(e.amount_minor) from ledger_entry e where e.account_id = a.id), 0) as balance
  from unnest($1::text[], $2::text[], $3::bpchar[]) with ordinality as n(kind, owner, currency, n)
  left join ledger_account a on a.kind = n.kind and a.owner = n.owner and a.currency = n.currency
  order by n.n`;

/** As many as a batch of claims: more gain little by sharing a commit, and make everyone in them wait longer. */
const TRANSFERS_MAX = 512;
const ENTRIES_MIN = 2;
/** The limit of every list we take. */
const ENTRIES_MAX = 100;
const OWNER_LENGTH_MAX = 100;
const POINTS_KINDS: readonly AccountKind[] = ['MEMBER_POINTS', 'POINTS_ISSUED'];
const CURRENCY = /^[A-Z]{3}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
