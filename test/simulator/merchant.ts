import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { PaymentClient } from '@portone/server-sdk';
import { Agent, request } from 'undici';
import { payAs } from '../../src/simulator/customer.ts';
import { koreanDigits } from '../../src/simulator/korean-time.ts';
import { Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts';

/** A request that the merchant's server received. */
export interface Received {
  method: string;
  path: string;
  query: Record<string, string>;
  headers: Record<string, string>;
  body: string;
}

/** A merchant's real server: takes browsers and webhooks, and remembers them. */
export interface MerchantServer extends AsyncDisposable {
  readonly url: string;
  readonly received: Received[];
  /** What it answers from now on; 200 `OK` unless said otherwise. */
  answers: Answering | ((received: Received) => Answering);
}

interface Answering {
  status: number;
  body: string;
}

export async function merchantServer(): Promise<MerchantServer> {
  const merchant: Pick<MerchantServer, 'received' | 'answers'> = { received: [], answers: { status: 200, body: 'OK' } };
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const url = new URL(incoming.url ?? '/', 'http://merchant');
    const received = {
      method: incoming.method ?? '',
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers: Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)])),
      body: Buffer.concat(chunks).toString(),
    };
    merchant.received.push(received);
    const { status, body } = typeof merchant.answers === 'function' ? merchant.answers(received) : merchant.answers;
    outgoing.writeHead(status).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(merchant, {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  });
}

export interface Answered {
  status: number;
  json: Record<string, unknown>;
  text: string;
}

/** How a merchant's backend calls a vendor: nothing but the vendor's documented requests. */
export class Vendors implements AsyncDisposable {
  readonly #agent = new Agent();
  readonly simulator: Simulator;

  constructor(simulator: Simulator) {
    this.simulator = simulator;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    path: string,
    {
      headers = {},
      body,
      giveUp = AbortSignal.timeout(30_000),
    }: { headers?: Record<string, string>; body?: string | object; giveUp?: AbortSignal } = {},
  ): Promise<Answered> {
    const { statusCode, body: answer } = await request(`${this.simulator.url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: { ...(typeof body === 'object' && { 'content-type': 'application/json' }), ...headers },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
      signal: giveUp,
    });
    const text = await answer.text();
    return { status: statusCode, text, json: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {} };
  }

  kakaopay(name: 'ready' | 'approve' | 'cancel' | 'order', fields: object, secretKey = this.simulator.settings.KAKAOPAY.secretKey) {
    return this.call('POST', `/online/v1/payment/${name}`, {
      headers: { authorization: `SECRET_KEY ${secretKey}` },
      body: { cid: this.simulator.settings.KAKAOPAY.cid, ...fields },
    });
  }

  toss(method: 'GET' | 'POST', path: string, body?: object, headers: Record<string, string> = {}) {
    const authorization = `Basic ${Buffer.from(`${this.simulator.settings.TOSS.secretKey}:`).toString('base64')}`;
    return this.call(method, `/v1/payments${path}`, { headers: { authorization, ...headers }, ...(body && { body }) });
  }

  portone(secret = this.simulator.settings.PORTONE.apiSecret) {
    const { baseUrl, storeId } = this.simulator.settings.PORTONE;
    return PaymentClient({ secret, baseUrl, storeId });
  }

  /** Signed with the amount that the call is about. */
  kispg(path: '/v2/payment' | '/v2/cancel' | '/v2/cancelTrans.do', fields: Record<string, string>) {
    return this.call('POST', path, { body: { ...this.kispgSigned(fields.goodsAmt ?? fields.canAmt ?? ''), charset: 'utf-8', ...fields } });
  }

  kispgSigned(amount: string): { mid: string; ediDate: string; encData: string } {
    const { merchantId: mid, merchantKey } = this.simulator.settings.KISPG;
    const ediDate = koreanDigits(new Date());
    return { mid, ediDate, encData: createHash('sha256').update(`${mid}${ediDate}${amount}${merchantKey}`).digest('hex') };
  }
}

/** The checkout of each vendor, prepared as its documentation says. */
export class Merchant {
  readonly vendors: Vendors;
  readonly home: string;

  constructor(vendors: Vendors, home: string) {
    this.vendors = vendors;
    this.home = home;
  }

  readyFields(orderId: string, amount: number) {
    return {
      partner_order_id: orderId,
      partner_user_id: 'member-1',
      item_name: '일일 강습권',
      quantity: '1',
      total_amount: String(amount),
      tax_free_amount: '0',
      approval_url: `${this.home}/paid`,
      cancel_url: `${this.home}/cancelled`,
      fail_url: `${this.home}/failed`,
    };
  }

  async kakaopay(amount = 12_000, orderId: string = randomUUID()) {
    const { json } = this.#prepared(await this.vendors.kakaopay('ready', this.readyFields(orderId, amount)));
    const named = { tid: json.tid as string, partner_order_id: orderId, partner_user_id: 'member-1' };
    return { orderId, named, checkout: { url: json.next_redirect_pc_url as string, method: 'GET' as const, fields: {} } };
  }

  createFields(orderId: string, amount: number) {
    return {
      method: 'CARD',
      amount,
      orderId,
      orderName: '일일 강습권',
      successUrl: `${this.home}/paid`,
      failUrl: `${this.home}/failed`,
    };
  }

  async toss(amount = 12_000, orderId: string = randomUUID()) {
    const { json } = this.#prepared(await this.vendors.toss('POST', '', this.createFields(orderId, amount)));
    const named = { paymentKey: json.paymentKey as string, orderId, amount };
    return { orderId, named, checkout: { url: (json.checkout as { url: string }).url, method: 'GET' as const, fields: {} } };
  }

  async portone(amount = 12_000, orderId: string = randomUUID()) {
    await this.vendors.portone().preRegisterPayment({ paymentId: orderId, totalAmount: amount, currency: 'KRW' });
    return { orderId, checkout: this.portoneCheckout(orderId, amount) };
  }

  #prepared(answer: Answered): Answered {
    if (answer.status !== 200) throw new Error(`The order was not prepared: ${answer.status} ${answer.text}`);
    return answer;
  }

  portoneCheckout(paymentId: string, amount: number) {
    const { checkoutUrl, storeId, channelKey } = this.vendors.simulator.settings.PORTONE;
    const fields = {
      storeId,
      channelKey,
      paymentId,
      orderName: '일일 강습권',
      totalAmount: String(amount),
      currency: 'KRW',
      redirectUrl: `${this.home}/paid`,
    };
    return { url: checkoutUrl, method: 'GET' as const, fields };
  }

  kispg(amount = 12_000, orderId: string = randomUUID()) {
    const fields: Record<string, string> = {
      payMethod: 'card',
      trxCd: '0',
      goodsNm: '일일 강습권',
      ordNo: orderId,
      goodsAmt: String(amount),
      ordNm: '회원',
      ordTel: '01000000000',
      ordEmail: '',
      returnUrl: `${this.home}/paid`,
      model: 'WEB',
      charset: 'utf-8',
      currencyType: 'KRW',
      mbsReserved: 'kept',
      ...this.vendors.kispgSigned(String(amount)),
    };
    return { orderId, amount, checkout: { url: `${this.vendors.simulator.url}/v2/auth`, method: 'POST' as const, fields } };
  }
}

/** A simulator, a merchant's server and its backend. */
export interface World extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly server: MerchantServer;
  readonly vendors: Vendors;
  readonly merchant: Merchant;
}

export async function startWorld(options: SimulatorOptions = {}): Promise<World> {
  const simulator = await Simulator.start(options);
  const server = await merchantServer();
  const vendors = new Vendors(simulator);
  return {
    simulator,
    server,
    vendors,
    merchant: new Merchant(vendors, server.url),
    async [Symbol.asyncDispose]() {
      await vendors[Symbol.asyncDispose]();
      await simulator.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

type Prepared = { checkout: Parameters<typeof payAs>[0] };

/** The customer approves; answers what the browser brought back to the merchant, as query or as form. */
export async function agreed({ server }: World, { checkout }: Prepared): Promise<Record<string, string>> {
  await payAs(checkout, 'approve');
  const back = server.received.at(-1)!;
  return back.method === 'GET' ? back.query : Object.fromEntries(new URLSearchParams(back.body));
}

/** An order that was paid by KakaoPay. */
export async function paidByKakaopay(world: World, amount = 12_000) {
  const prepared = await world.merchant.kakaopay(amount);
  const { pg_token } = await agreed(world, prepared);
  const approved = await world.vendors.kakaopay('approve', { ...prepared.named, pg_token });
  return { ...prepared, pg_token, approved };
}

/** An order that was paid by Toss. */
export async function paidByToss(world: World, amount = 12_000, headers: Record<string, string> = {}) {
  const prepared = await world.merchant.toss(amount);
  await agreed(world, prepared);
  const confirmed = await world.vendors.toss('POST', '/confirm', prepared.named, headers);
  return { ...prepared, confirmed };
}

/** An order that was paid by PortOne. */
export async function paidByPortone(world: World, amount = 12_000) {
  const prepared = await world.merchant.portone(amount);
  const { paymentToken = '', txId = '' } = await agreed(world, prepared);
  const confirmed = await world.vendors
    .portone()
    .confirmPayment({ paymentId: prepared.orderId, paymentToken, txId, totalAmount: amount, currency: 'KRW', isTest: true });
  return { ...prepared, paymentToken, txId, confirmed };
}

/** An order that was paid by KISPG. */
export async function paidByKispg(world: World, amount = 12_000) {
  const prepared = world.merchant.kispg(amount);
  const { tid = '' } = await agreed(world, prepared);
  const approved = await world.vendors.kispg('/v2/payment', { tid, goodsAmt: String(amount) });
  return { ...prepared, tid, approved };
}

/**
 * Does something while a call takes so long, and checks what it saw in that time: a machine that stalled meanwhile has seen too late, and then it is done again
 * with more time.
 */
export async function duringLatency(work: (milliseconds: number) => Promise<{ waitedMs: number; check(): void }>): Promise<void> {
  for (const milliseconds of [1_000, 8_000]) {
    const { waitedMs, check } = await work(milliseconds);
    if (waitedMs >= milliseconds && milliseconds === 1_000) continue;
    check();
    return;
  }
}

/** What the books say of an order, without the moments. */
export function booked({ simulator }: World, orderId: string) {
  const payment = simulator.payment(orderId);
  return (
    payment && {
      captured: payment.capturedMinor,
      refunded: payment.refundedMinor,
      entries: payment.entries.map(({ kind, amountMinor }) => [kind, amountMinor]),
    }
  );
}

/** The body of a thrown PortOne error. */
export async function portoneProblem(calling: Promise<unknown>): Promise<Record<string, unknown>> {
  const thrown = await calling.then(
    () => new Error('PortOne did not refuse.'),
    (error: unknown) => error,
  );
  if (typeof thrown === 'object' && thrown !== null && 'data' in thrown) return thrown.data as Record<string, unknown>;
  throw thrown;
}
