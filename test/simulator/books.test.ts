import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Books } from '../../src/simulator/books.ts';
import { Simulator } from '../../src/simulator/simulator.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { agreed, booked, type Merchant, paidByToss, startWorld, type World } from './merchant.ts';

failOnLeaks();

describe('the journal', () => {
  let folder: string;
  let journal: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'lastseat-simulator-'));
    journal = path.join(folder, 'journal.jsonl');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  /** An order that was paid and partly given back before a restart, and one that was only agreed to. */
  async function earlierRun() {
    await using world = await startWorld({ journal });
    const paid = await paidByToss(world, 12_000, { 'idempotency-key': 'confirm-1' });
    await world.vendors.toss('POST', `/${paid.named.paymentKey}/cancel`, { cancelReason: '비', cancelAmount: 5_000 });
    const agreedTo = await world.merchant.toss(9_000);
    await agreed(world, agreedTo);
    return { paid, agreedTo, payments: world.simulator.payments() };
  }

  test('a simulator that starts again knows what was paid, given back and agreed to', async () => {
    const { paid, agreedTo, payments } = await earlierRun();

    await using world = await startWorld({ journal });
    const before = world.simulator.payments();
    const refunded = await world.vendors.toss('POST', `/${paid.named.paymentKey}/cancel`, { cancelReason: '비' });
    const confirmed = await world.vendors.toss('POST', '/confirm', agreedTo.named);

    expect(before).toEqual(payments);
    expect(refunded.json).toMatchObject({ status: 'CANCELED', balanceAmount: 0 });
    expect(confirmed.json.status).toBe('DONE');
    expect(booked(world, paid.orderId)?.refunded).toBe(12_000);
  });

  test('it remembers the answers to idempotency keys', async () => {
    const { paid } = await earlierRun();

    await using world = await startWorld({ journal });
    const again = await world.vendors.toss('POST', '/confirm', paid.named, { 'idempotency-key': 'confirm-1' });

    expect([again.status, again.json]).toEqual([200, paid.confirmed.json]);
  });

  test('a last line that was cut is left out, and what is written next is a line of its own', async () => {
    const { payments } = await earlierRun();
    appendFileSync(journal, '{"order":{"provider":"TO');

    const second = await startWorld({ journal });
    const { orderId } = await paidByToss(second);
    await second[Symbol.asyncDispose]();
    await using third = await startWorld({ journal });

    expect(third.simulator.payments()).toHaveLength(payments.length + 1);
    expect(booked(third, orderId)?.captured).toBe(12_000);
  });

  test('starting again writes only what is still known', async () => {
    const { payments } = await earlierRun();
    const linesBefore = readFileSync(journal, 'utf8').trimEnd().split('\n').length;

    await (await Simulator.start({ journal })).close();

    // One line for each order, one for the answer that was kept.
    expect(linesBefore).toBeGreaterThan(payments.length + 1);
    expect(readFileSync(journal, 'utf8').trimEnd().split('\n')).toHaveLength(payments.length + 1);
  });

  test('a file that is not a journal is refused and not touched', async () => {
    writeFileSync(journal, 'my thesis\nchapter one\n');

    const starting = Simulator.start({ journal });

    await expect(starting).rejects.toThrow(
      `${journal}:1 is not a line of the simulator's journal. Delete the file to begin with empty books.`,
    );
    expect(readFileSync(journal, 'utf8')).toBe('my thesis\nchapter one\n');
  });
});

describe('the books', () => {
  test('forget the oldest order that nobody paid, and never one that was paid instead', () => {
    const books = new Books(() => new Date(), null);
    const returnUrls = { paid: '', cancelled: '', failed: '' };
    const terms = { amountMinor: 12_000, currency: 'KRW', title: '', returnUrls, terms: {} };
    books.capture(books.begin('TOSS', 'paid', { ...terms, reference: 'paid' }));

    for (let order = 0; order <= 10_000; order += 1) books.begin('TOSS', `unpaid-${order}`, { ...terms, reference: `unpaid-${order}` });

    expect(books.payments()).toHaveLength(10_001);
    expect(books.order('TOSS', 'unpaid-0')).toBeUndefined();
    expect(books.attempt('TOSS', 'unpaid-0')).toBeUndefined();
    expect(books.order('TOSS', 'unpaid-1')?.attempts).toHaveLength(1);
    expect(books.payment('paid')?.capturedMinor).toBe(12_000);
  });

  test('keep an order’s last twenty attempts, and the one that was paid', () => {
    const books = new Books(() => new Date(), null);
    const returnUrls = { paid: '', cancelled: '', failed: '' };
    const terms = { amountMinor: 12_000, currency: 'KRW', title: '', returnUrls, terms: {} };
    books.capture(books.begin('KAKAOPAY', 'order', { ...terms, reference: 'paid' }));

    for (let attempt = 1; attempt <= 25; attempt += 1) books.begin('KAKAOPAY', 'order', { ...terms, reference: `attempt-${attempt}` });

    expect(books.order('KAKAOPAY', 'order')?.attempts).toHaveLength(20);
    expect(books.attempt('KAKAOPAY', 'paid')?.attempt.state).toBe('CAPTURED');
    expect(books.attempt('KAKAOPAY', 'attempt-6')).toBeUndefined();
    expect(books.attempt('KAKAOPAY', 'attempt-7')?.attempt.state).toBe('PREPARED');
  });

  const ORDER_IDS = ['order-one', 'order-two'];
  /** Most calls go well. */
  const NO_FAULT = Array.from({ length: 12 }, () => null);
  const operation = fc.record({
    provider: fc.constantFrom('KAKAOPAY' as const, 'TOSS' as const, 'PORTONE' as const, 'KISPG' as const),
    act: fc.constantFrom('prepare' as const, 'agree' as const, 'approve' as const, 'approve' as const, 'cancel' as const),
    orderId: fc.constantFrom(...ORDER_IDS),
    amount: fc.constantFrom(1_000, 5_000, 12_000),
    fault: fc.constantFrom(...NO_FAULT, 'RESET_AFTER' as const, 'ERROR_AFTER' as const, 'ERROR_BEFORE' as const, 'REFUSE' as const),
  });

  test('balance after 1,000 operations in any order, with faults: one capture per order, never more back than was taken', async () => {
    const providers = ['KAKAOPAY', 'TOSS', 'PORTONE', 'KISPG'] as const;
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 84, maxLength: 84 }), async (drawn) => {
        await using world = await startWorld();
        const shop = new Shop(world);
        // First each provider has an order that is paid and partly given back, whatever is drawn: there is something to be wrong about.
        const paid = providers.flatMap((provider) =>
          (['prepare', 'agree', 'approve', 'cancel'] as const).map((act) => ({
            provider,
            act,
            orderId: 'order-one',
            amount: 1_000,
            fault: null,
          })),
        );
        const operations = [...paid, ...drawn];
        for (const { provider, act, orderId, amount, fault } of operations) {
          if (fault !== null && act !== 'agree') world.simulator.order({ provider, call: act, fault });
          // Each provider has orders of its own.
          await shop[act](provider, `${provider}-${orderId}`, act === 'cancel' ? amount : 12_000).catch(ignoreLostAnswer);
          world.simulator.clearFaults();
        }

        for (const payment of world.simulator.payments()) {
          const captures = payment.entries.filter(({ kind }) => kind === 'CAPTURE');
          const refunds = payment.entries.filter(({ kind }) => kind === 'REFUND');
          expect(captures.length).toBeLessThanOrEqual(1);
          expect(payment.capturedMinor).toBe(captures[0]?.amountMinor ?? 0);
          expect(payment.refundedMinor).toBe(refunds.reduce((sum, { amountMinor }) => sum + amountMinor, 0));
          expect(payment.refundedMinor).toBeLessThanOrEqual(payment.capturedMinor);
          expect(payment.capturedMinor).toBeGreaterThanOrEqual(shop.known(payment.orderId).captured);
          expect(payment.refundedMinor).toBeGreaterThanOrEqual(shop.known(payment.orderId).refunded);
        }
        for (const provider of providers) {
          const { capturedMinor, refundedMinor } = world.simulator.payment(`${provider}-order-one`) ?? {};
          expect([provider, capturedMinor, Number(refundedMinor) >= 1_000]).toEqual([provider, 12_000, true]);
        }
      }),
      { numRuns: 10 },
    );
  });
});

type Provider = 'KAKAOPAY' | 'TOSS' | 'PORTONE' | 'KISPG';

/** A merchant that calls without thinking, and adds up what it was told. */
class Shop {
  readonly #world: World;
  readonly #merchant: Merchant;
  readonly #checkouts = new Map<string, { checkout: { url: string; method: 'GET' | 'POST'; fields: Record<string, string> } }>();
  readonly #brought = new Map<string, Record<string, string>>();
  readonly #named = new Map<string, Record<string, unknown>>();
  readonly #told = new Map<string, { captured: number; refunded: number }>();

  constructor(world: World) {
    this.#world = world;
    this.#merchant = world.merchant;
  }

  known(orderId: string): { captured: number; refunded: number } {
    return this.#told.get(orderId) ?? { captured: 0, refunded: 0 };
  }

  async prepare(provider: Provider, orderId: string, amount: number): Promise<void> {
    switch (provider) {
      case 'KAKAOPAY':
      case 'TOSS': {
        const prepared = provider === 'TOSS' ? await this.#merchant.toss(amount, orderId) : await this.#merchant.kakaopay(amount, orderId);
        this.#checkouts.set(orderId, prepared);
        this.#named.set(orderId, prepared.named);
        return;
      }
      case 'PORTONE':
        this.#checkouts.set(orderId, await this.#merchant.portone(amount, orderId));
        return;
      case 'KISPG':
        this.#checkouts.set(orderId, this.#merchant.kispg(amount, orderId));
        return;
    }
  }

  async agree(_provider: Provider, orderId: string): Promise<void> {
    const prepared = this.#checkouts.get(orderId);
    if (prepared !== undefined) this.#brought.set(orderId, await agreed(this.#world, prepared));
  }

  async approve(provider: Provider, orderId: string, amount: number): Promise<void> {
    const { vendors } = this.#world;
    const brought = this.#brought.get(orderId);
    if (brought === undefined) return;
    switch (provider) {
      case 'KAKAOPAY':
        return this.#add(
          orderId,
          'captured',
          amountIn((await vendors.kakaopay('approve', { ...this.#named.get(orderId), pg_token: brought.pg_token })).json.amount),
        );
      case 'TOSS':
        return this.#add(orderId, 'captured', (await vendors.toss('POST', '/confirm', this.#named.get(orderId))).json.totalAmount);
      case 'PORTONE':
        await vendors.portone().confirmPayment({ paymentId: orderId, paymentToken: brought.paymentToken ?? '' });
        return this.#add(orderId, 'captured', this.#world.simulator.payment(orderId)?.capturedMinor);
      case 'KISPG':
        return this.#add(
          orderId,
          'captured',
          Number((await vendors.kispg('/v2/payment', { tid: brought.tid ?? '', goodsAmt: String(amount) })).json.amt),
        );
    }
  }

  async cancel(provider: Provider, orderId: string, amount: number): Promise<void> {
    const { vendors, simulator } = this.#world;
    const reference = simulator.payment(orderId)?.reference;
    if (!reference) return;
    switch (provider) {
      case 'KAKAOPAY': {
        const { json } = await vendors.kakaopay('cancel', { tid: reference, cancel_amount: amount, cancel_tax_free_amount: 0 });
        return this.#add(orderId, 'refunded', amountIn(json.approved_cancel_amount));
      }
      case 'TOSS': {
        const { status } = await vendors.toss('POST', `/${reference}/cancel`, { cancelReason: '비', cancelAmount: amount });
        return this.#add(orderId, 'refunded', status === 200 ? amount : 0);
      }
      case 'PORTONE': {
        const { cancellation } = await vendors.portone().cancelPayment({ paymentId: orderId, reason: '비', amount });
        return this.#add(orderId, 'refunded', 'totalAmount' in cancellation ? cancellation.totalAmount : 0);
      }
      case 'KISPG': {
        const fields = {
          payMethod: 'card',
          tid: reference,
          canAmt: String(amount),
          canId: 'shop',
          canNm: '상점',
          canMsg: '비',
          partCanFlg: '1',
        };
        const { json } = await vendors.kispg('/v2/cancel', fields);
        return this.#add(orderId, 'refunded', json.resultCd === '0000' ? Number(json.amt) : 0);
      }
    }
  }

  #add(orderId: string, what: 'captured' | 'refunded', amount: unknown): void {
    const known = this.known(orderId);
    if (typeof amount === 'number' && !Number.isNaN(amount))
      this.#told.set(orderId, { ...known, [what]: what === 'captured' ? amount : known.refunded + amount });
  }
}

function amountIn(amounts: unknown): number | undefined {
  return (amounts as { total?: number } | undefined)?.total;
}

/** A reset, an error page, a refusal that the SDK throws: the shop goes on. Our own mistakes are not among them. */
function ignoreLostAnswer(error: unknown): void {
  if (error instanceof TypeError && error.message !== 'fetch failed') throw error;
}
