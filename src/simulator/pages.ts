import { createHash } from 'node:crypto';
import type { Locale } from '../platform/locale.ts';
import type { SimulatedPayment } from './books.ts';
import type { Answer, SimulatedCall } from './calls.ts';
import type { SimulatedProvider } from './faults.ts';

/** What the customer sees of an order. */
export interface PageOrder {
  provider: SimulatedProvider;
  orderId: string;
  title: string;
  amountMinor: number;
  currency: string;
  /** Where the buttons lead. */
  action: string;
}

/** The customer's page: what is paid, and three buttons. */
export function paymentPage(order: PageOrder, locale: Locale): Answer {
  const words = WORDS[locale];
  const facts: [string, string][] = [
    [words.title, order.title],
    [words.amount, moneyText(order.amountMinor, order.currency, locale)],
    [words.order, order.orderId],
    [words.provider, NAMES[order.provider][locale]],
  ];
  const buttons = (['approve', 'refuse', 'close'] as const).map(
    (act) => `<button type="submit" name="act" value="${act}" class="${act}">${words[act]}</button>`,
  );
  return page(200, locale, {
    heading: `${NAMES[order.provider][locale]} · ${words.heading}`,
    body: `<dl>${facts.map(([name, value]) => `<dt>${name}</dt><dd>${escaped(value)}</dd>`).join('')}</dl>
<form method="post" action="${escaped(order.action)}">${buttons.join('')}</form>`,
  });
}

/** A form that sends the browser on to the merchant by itself, and by a button where scripts do not run. */
export function forwardingPage(url: string, fields: Readonly<Record<string, string>>, locale: Locale): Answer {
  const inputs = Object.entries(fields).map(([name, value]) => `<input type="hidden" name="${escaped(name)}" value="${escaped(value)}">`);
  const answer = page(200, locale, {
    heading: WORDS[locale].forwarding,
    body: `<form method="post" action="${escaped(url)}">${inputs.join('')}<button type="submit" class="approve">${WORDS[locale].forward}</button></form>
<script>${SUBMIT}</script>`,
  });
  return { ...answer, recorded: { form: url, fields } };
}

/** The customer closed the window: it stays here, and nobody is told. */
export function closedPage(locale: Locale): Answer {
  return page(200, locale, { heading: WORDS[locale].closed, body: `<p>${WORDS[locale].closedHint}</p>` });
}

/** Sends the browser on. */
export function redirection(url: string): Answer {
  return { status: 303, headers: { location: url, 'cache-control': 'no-store' }, body: '', recorded: { location: url } };
}

export function problemPage(status: number, problem: Problem, locale: Locale, detail = ''): Answer {
  return page(status, locale, {
    heading: WORDS[locale].problem,
    body: `<p>${WORDS[locale][problem]}</p>${detail ? `<p>${escaped(detail)}</p>` : ''}`,
  });
}

/** What a person sees at the simulator's root. */
export function overviewPage(payments: readonly SimulatedPayment[], calls: readonly SimulatedCall[], locale: Locale): Answer {
  const words = WORDS[locale];
  const paymentRows = payments.map((payment) => [
    NAMES[payment.provider][locale],
    payment.orderId,
    moneyText(payment.amountMinor, payment.currency, locale),
    moneyText(payment.capturedMinor, payment.currency, locale),
    moneyText(payment.refundedMinor, payment.currency, locale),
  ]);
  const callRows = calls.map((call) => [
    call.at.toISOString(),
    NAMES[call.provider][locale],
    call.call,
    call.orderId ?? '',
    call.status === null ? '' : String(call.status),
    call.fault ?? '',
  ]);
  return page(200, locale, {
    heading: words.overview,
    body: `<p>${words.overviewHint}</p><ul>${CONTROLS.map((control) => `<li><code>${escaped(control)}</code></li>`).join('')}</ul>
${table(words.payments, [words.provider, words.order, words.amount, words.captured, words.refunded], paymentRows)}
${table(words.calls, [words.at, words.provider, words.call, words.order, words.status, words.fault], callRows)}`,
  });
}

function page(status: number, locale: Locale, { heading, body }: { heading: string; body: string }): Answer {
  return {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'content-security-policy': `default-src 'none'; style-src '${hashOf(STYLE)}'; script-src '${hashOf(SUBMIT)}'; base-uri 'none'; frame-ancestors 'none'`,
    },
    body: `<!doctype html>
<html lang="${locale}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped(heading)}</title><style>${STYLE}</style></head>
<body><p class="notice" role="note">${WORDS[locale].simulation}</p><main><h1>${escaped(heading)}</h1>
${body}</main></body></html>`,
    recorded: { page: heading },
  };
}

function table(caption: string, headings: string[], rows: string[][]): string {
  const head = headings.map((heading) => `<th scope="col">${heading}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`).join('');
  return `<table><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>`;
}

function moneyText(amountMinor: number, currency: string, locale: Locale): string {
  const format = new Intl.NumberFormat(locale, { style: 'currency', currency });
  return format.format(amountMinor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 0));
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

type Problem = 'unknown' | 'over' | 'mistaken' | 'broken';

const NAMES: Record<SimulatedProvider, Record<Locale, string>> = {
  KAKAOPAY: { en: 'KakaoPay', ko: '카카오페이' },
  TOSS: { en: 'Toss Payments', ko: '토스페이먼츠' },
  PORTONE: { en: 'PortOne', ko: '포트원' },
  KISPG: { en: 'KISPG', ko: 'KISPG' },
};

const WORDS = {
  en: {
    simulation: 'Simulation: no money moves.',
    heading: 'payment',
    provider: 'Provider',
    title: 'What you buy',
    amount: 'Amount',
    order: 'Order',
    approve: 'Approve',
    refuse: 'Refuse',
    close: 'Close the window',
    forwarding: 'Back to the shop',
    forward: 'Continue',
    closed: 'The window is closed',
    closedHint: 'A customer who closes the window goes nowhere. You may close this tab.',
    problem: 'This payment cannot go on',
    unknown: 'There is no such payment.',
    over: 'This payment is over: it was paid, refused, or replaced.',
    mistaken: 'The shop sent something that this provider does not accept.',
    broken: 'The provider broke down.',
    overview: 'The simulated payment providers',
    overviewHint: 'One sandbox speaks the protocols of four providers. It can be told to misbehave:',
    payments: 'The last payments',
    calls: 'The last calls',
    captured: 'Captured',
    refunded: 'Refunded',
    at: 'When',
    call: 'Call',
    status: 'Status',
    fault: 'Fault',
  },
  ko: {
    simulation: '모의 결제입니다. 실제로 돈이 움직이지 않습니다.',
    heading: '결제',
    provider: '결제사',
    title: '상품',
    amount: '금액',
    order: '주문번호',
    approve: '결제하기',
    refuse: '결제 거절',
    close: '창 닫기',
    forwarding: '상점으로 돌아갑니다',
    forward: '계속',
    closed: '창이 닫혔습니다',
    closedHint: '창을 닫은 고객은 어디로도 이동하지 않습니다. 이 탭을 닫으셔도 됩니다.',
    problem: '결제를 계속할 수 없습니다',
    unknown: '존재하지 않는 결제입니다.',
    over: '이미 끝난 결제입니다. 결제되었거나, 거절되었거나, 새 결제로 바뀌었습니다.',
    mistaken: '상점이 보낸 내용을 결제사가 받아들이지 않습니다.',
    broken: '결제사에 장애가 발생했습니다.',
    overview: '모의 결제사',
    overviewHint: '네 결제사의 규격을 하나의 모의 서버가 처리합니다. 장애를 주문할 수 있습니다:',
    payments: '최근 결제',
    calls: '최근 호출',
    captured: '결제됨',
    refunded: '환불됨',
    at: '시각',
    call: '호출',
    status: '상태',
    fault: '장애',
  },
} satisfies Record<Locale, Record<string, string>>;

const CONTROLS = [
  'POST /simulator/faults {"provider":"TOSS","call":"approve","fault":"RESET_AFTER"}',
  'DELETE /simulator/faults',
  'GET /simulator/payments',
  'GET /simulator/calls',
  'GET /simulator/webhooks',
  'PUT /simulator/webhooks {"provider":"TOSS","url":"http://127.0.0.1:4000/…"}',
];

const SUBMIT = 'document.forms[0].submit();';

const STYLE = `body{font:1rem/1.5 system-ui,sans-serif;margin:0;color:#1b1b1f;background:#f4f4f6}
.notice{margin:0;padding:.75rem 1rem;background:#7a1f1f;color:#fff;font-weight:600;text-align:center}
main{max-width:28rem;margin:1.5rem auto;padding:1.5rem;background:#fff;border-radius:.75rem;overflow-x:auto}
main:has(table){max-width:72rem}
h1{font-size:1.25rem;margin:0 0 1rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;margin:0 0 1.5rem}
dt{color:#55555f}
dd{margin:0;text-align:right;overflow-wrap:anywhere}
button{display:block;width:100%;min-height:3rem;margin:.5rem 0;border:1px solid #55555f;border-radius:.5rem;font:inherit;background:#fff;color:inherit;cursor:pointer}
button.approve{background:#1c4fd8;border-color:#1c4fd8;color:#fff;font-weight:600}
button:focus-visible{outline:3px solid #f0a400;outline-offset:2px}
table{border-collapse:collapse;width:100%;margin:1.5rem 0;font-size:.875rem}
caption{text-align:left;font-weight:600}
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #ddd}`;
