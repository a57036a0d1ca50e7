import { describe, expect, test } from '@jest/globals';
import { redact, redactText } from '../../../../src/features/payments/providers/redact.ts';

const CARD = '4330123412341235';
/** The same with a wrong check digit: a number like others. */
const NO_CARD = '4330123412341234';

describe('redaction', () => {
  test('replaces what is secret by the name of its field, however it is spelt and nested, and keeps the rest', () => {
    const answer = {
      status: 'DONE',
      totalAmount: 11_000,
      paymentKey: 'tviva2026',
      orderName: '수영 강습',
      Secret: 'ps_1',
      PG_TOKEN: 'abc',
      list: [{ deeper: [{ paymentToken: { value: 'x' }, encData: 'ff', 'X-Signature': 's', ok: true }] }],
      customer: { name: { full: '김하나' }, phoneNumber: '010-1234-5678' },
      customerEmail: 'hana@example.com',
      ordNm: '김하나',
      ordTel: '01012345678',
      virtualAccount: { accountNumber: '110123456789', bankCode: '88', customerName: '김하나' },
      mobilePhone: null,
      next_redirect_mobile_url: 'https://pay.example/1',
    };

    const redacted = redact(answer);

    expect(redacted).toEqual({
      status: 'DONE',
      totalAmount: 11_000,
      paymentKey: 'tviva2026',
      orderName: '수영 강습',
      Secret: '[redacted]',
      PG_TOKEN: '[redacted]',
      list: [{ deeper: [{ paymentToken: '[redacted]', encData: '[redacted]', 'X-Signature': '[redacted]', ok: true }] }],
      customer: '[redacted]',
      customerEmail: '[redacted]',
      ordNm: '[redacted]',
      ordTel: '[redacted]',
      virtualAccount: { accountNumber: '[redacted]', bankCode: '88', customerName: '[redacted]' },
      mobilePhone: null,
      next_redirect_mobile_url: 'https://pay.example/1',
    });
  });

  test('replaces the numbers of cards, whole and masked, as text and as numbers', () => {
    const answer = {
      card: { number: '43301234****123*', issuerCode: '4V', amount: 11_000, approveNo: '00000000', more: [{ x: '4330-12**-****-1234' }] },
      card_info: { bin: '433012', no: 4_330_123_412_341_235 },
      note: `paid with 4330 1234 1234 1235, not ${NO_CARD}`,
      amount: 4_330_123_412_341_235,
      at: 1_790_000_000_006,
    };

    const redacted = redact(answer);

    expect(redacted).toEqual({
      card: { number: '[redacted]', issuerCode: '4V', amount: 11_000, approveNo: '00000000', more: [{ x: '[redacted]' }] },
      card_info: { bin: '433012', no: '[redacted]' },
      note: `paid with [redacted], not ${NO_CARD}`,
      amount: '[redacted]',
      at: 1_790_000_000_006,
    });
  });

  test('looks into JSON that is the text of a field, into lists, and at the names of fields', () => {
    const answer = {
      payload: JSON.stringify({ inner: JSON.stringify([{ pg_token: 'abc', ok: 1 }]) }),
      'of hana@example.com': 1,
      proto__x: 2,
      ...(JSON.parse('{"__proto__": {"secret": "s", "polluted": true}}') as object),
    };

    const redacted = redact(answer) as Record<string, unknown>;

    expect(redacted).toEqual({
      payload: JSON.stringify({ inner: JSON.stringify([{ pg_token: '[redacted]', ok: 1 }]) }),
      'of [redacted]': 1,
      proto__x: 2,
      ['__proto__']: { secret: '[redacted]', polluted: true },
    });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test.each([
    ['GET https://x.example/a?pg_token=abc123&orderId=1', 'GET https://x.example/a?pg_token=[redacted]&orderId=1'],
    ['{"paymentToken": "abc 123", "card": {"number": "4330123412341235"', '{"paymentToken": [redacted], "card": {"number": "[redacted]"'],
    ['Authorization: Basic dGVzdF9zazo6OjoK', 'Authorization: [redacted] [redacted]'],
    ['rejected SECRET_KEY DEVabcdef123456', 'rejected SECRET_KEY [redacted]'],
    ['call 010-1234-5678 or +82 10 1234 5678', 'call [redacted] or [redacted]'],
    [`${CARD} ${NO_CARD}`, `[redacted] ${NO_CARD}`],
    ['order 01234567-0123-4123-8123-012345678901', 'order 01234567-0123-4123-8123-012345678901'],
    ['tid T4330123412341235', 'tid T4330123412341235'],
  ])('in text: %s', (text, expected) => {
    expect(redactText(text)).toBe(expected);
  });

  test('is bounded: depth, one text, and all of it', () => {
    const deep = JSON.parse(`${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`) as unknown;
    const cycle: Record<string, unknown> = { pin: '1234' };
    cycle.self = [cycle, cycle];

    const sizes = [
      JSON.stringify(redact(deep)).length,
      JSON.stringify(redact('가'.repeat(1_000_000))).length,
      JSON.stringify(redact(Array.from({ length: 1_000_000 }, () => 'abcdefgh'))).length,
    ];

    expect(sizes).toEqual([127, 4_002, 80_111]);
    expect(JSON.stringify(redact(cycle)).includes('1234')).toBe(false);
    expect(JSON.stringify(redact(cycle)).length).toBeLessThan(400_000);
  });
});
