import type { Locale } from '../../platform/locale.ts';
import type { Payment } from '../payments/index.ts';

type Words = Record<Payment['state'] | 'LATE_PLACE', { title: string; text: string }>;

const WORDS: Record<Locale, Words> = {
  en: {
    PENDING: {
      title: 'Your payment is being checked',
      text: 'The outcome is not known yet. This page looks again by itself; there is no need to pay again.',
    },
    APPROVED: { title: 'Paid', text: 'Your booking is confirmed. You can close this page.' },
    LATE_PLACE: {
      title: 'Paid',
      text: 'Your payment came after the time to pay was over, and there was still a place: your booking is confirmed.',
    },
    REFUSED: {
      title: 'Not paid',
      text: 'The payment did not go through and nothing was charged. The place went back; you can claim again.',
    },
    ABANDONED: { title: 'Not paid', text: 'This payment is no longer open and nothing was charged.' },
    REFUNDING: { title: 'Your money is on its way back', text: 'It is being refunded. There is nothing you need to do.' },
    REFUNDED: { title: 'Refunded', text: 'Your money went back.' },
  },
  ko: {
    PENDING: {
      title: '결제를 확인하고 있습니다',
      text: '아직 결과를 확인하는 중입니다. 이 화면은 자동으로 새로 고쳐지며, 다시 결제하지 않으셔도 됩니다.',
    },
    APPROVED: { title: '결제 완료', text: '예약이 확정되었습니다. 이 화면을 닫으셔도 됩니다.' },
    LATE_PLACE: { title: '결제 완료', text: '결제 시간이 지났지만 자리가 남아 있어 예약이 확정되었습니다.' },
    REFUSED: {
      title: '결제되지 않았습니다',
      text: '결제가 완료되지 않아 금액이 청구되지 않았습니다. 자리는 반환되었으며 다시 신청하실 수 있습니다.',
    },
    ABANDONED: { title: '결제되지 않았습니다', text: '더 이상 진행할 수 없는 결제입니다. 금액은 청구되지 않았습니다.' },
    REFUNDING: { title: '환불 진행 중', text: '결제하신 금액을 환불하고 있습니다. 따로 하실 일은 없습니다.' },
    REFUNDED: { title: '환불 완료', text: '결제하신 금액이 환불되었습니다.' },
  },
};

const LOOK_AGAIN_SECONDS = 2;

/** What a customer without a frontend of its own sees after paying. It shows no name and no id: its address may be in a browser's history. */
export function paymentPage(payment: Payment): string {
  const isLate = payment.state === 'APPROVED' && payment.lateOutcome !== null;
  const { title, text } = WORDS[payment.locale][isLate ? 'LATE_PLACE' : payment.state];
  const looksAgain = payment.state === 'PENDING' || payment.state === 'REFUNDING';
  const amount = new Intl.NumberFormat(payment.locale, { style: 'currency', currency: payment.currency }).format(
    payment.amountMinor / 10 ** fractionDigits(payment.currency),
  );
  return `<!doctype html>
<html lang="${payment.locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${looksAgain ? `<meta http-equiv="refresh" content="${LOOK_AGAIN_SECONDS}">` : ''}
<title>${title}</title>
<style>
body { font: 1.1rem/1.6 system-ui, sans-serif; margin: 0; display: grid; place-items: center; min-height: 100vh; background: #f4f4f1; color: #1c1c1a }
main { max-width: 32rem; padding: 2rem; text-align: center }
p.what { color: #55554f }
@media (prefers-color-scheme: dark) { body { background: #161614; color: #eeeeea } p.what { color: #a9a9a0 } }
</style>
</head>
<body>
<main role="status">
<h1>${title}</h1>
<p>${text}</p>
<p class="what">${escaped(payment.title)} · ${escaped(amount)}</p>
</main>
</body>
</html>
`;
}

const fractionDigits = (currency: string) =>
  new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 0;

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
