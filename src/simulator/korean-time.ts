const NINE_HOURS_MS = 9 * 60 * 60 * 1000;

/** The wall clock in Korea without a zone, as KakaoPay writes it: `2026-11-21T21:34:02`. Korea has no summer time. */
export function koreanLocal(at: Date): string {
  return new Date(at.getTime() + NINE_HOURS_MS).toISOString().slice(0, 19);
}

/** The same with its zone, as Toss writes it: `2026-11-21T21:34:02+09:00`. */
export function koreanZoned(at: Date): string {
  return `${koreanLocal(at)}+09:00`;
}

/** The same in digits only, as KISPG writes it: `20261121213402`. */
export function koreanDigits(at: Date): string {
  return koreanLocal(at).replace(/\D/g, '');
}
