import type { Refused, Unknown, UnknownReason } from '../payment-provider.ts';
import type { Classified } from './provider-http.ts';

export const done = <Result>(result: Result): Classified<Result> => ({ result, outcome: 'DONE', code: null });

export const refused = (code: string): Classified<Refused> => ({ result: { outcome: 'REFUSED', code }, outcome: 'REFUSED', code });

export const unknown = (reason: UnknownReason): Classified<Unknown> => ({
  result: { outcome: 'UNKNOWN', reason },
  outcome: 'UNKNOWN',
  code: reason,
});

export type Fields = Record<string, unknown>;

/** A field that is an object itself; an empty one when it is not. */
export function objectOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** A whole amount, as a number or as its digits, which some of a vendor's samples have. Null when it is neither. */
export function wholeOf(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : null;
}

/** Text of 1 to `lengthMax` characters; null when it is not. */
export function textOf(value: unknown, lengthMax: number): string | null {
  return typeof value === 'string' && value.length > 0 && value.length <= lengthMax ? value : null;
}

/** An address that a browser may be sent to; null when it is not. */
export function webAddressOf(value: unknown): string | null {
  const address = textOf(value, 2_000);
  return address !== null && URL.canParse(address) && /^https?:$/.test(new URL(address).protocol) ? address : null;
}
