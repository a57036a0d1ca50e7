import { plainTextOf } from './plain-text.ts';
import { type PlanSeat, SEAT_SALES, type SeatSale } from './seat-plan.ts';
import type { PlanProblems } from './seat-plan-problems.ts';

/** A seat, and where in the file it stands. */
export type ReadSeat = Omit<PlanSeat, 'number'> & { at: string };
/** What a file says, before its seats are looked at together. */
export interface Draft {
  name: string | null;
  focus: { x: number; y: number } | undefined;
  /** Those in which nothing was wrong. */
  seats: ReadSeat[];
}

export const PLAN_NAME_MAX = 100;
export const LENGTHS = { section: 50, row: 10, label: 10, zone: 20 } as const;
/** Millimetres are exact in the four bytes a coordinate is stored in, up to here. */
const METRES_MAX = 1_000;

export function textField(value: unknown, at: string, max: number, problems: PlanProblems): string | null {
  const text = typeof value === 'string' ? plainTextOf(value, max) : null;
  if (text === null)
    problems.add(
      at,
      `Expected a text of 1 to ${max} characters without control characters.`,
      `제어 문자가 없는 1~${max}자의 텍스트여야 합니다.`,
    );
  return text;
}

export function pointOf(
  { x, y }: { readonly x?: unknown; readonly y?: unknown },
  at: (axis: 'x' | 'y') => string,
  problems: PlanProblems,
): { x: number; y: number } | undefined {
  const before = problems.count;
  for (const [axis, value] of [
    ['x', x],
    ['y', y],
  ] as const)
    if (typeof value !== 'number' || !(Math.abs(value) <= METRES_MAX))
      problems.add(
        at(axis),
        `Expected a number of metres from -${METRES_MAX} to ${METRES_MAX}.`,
        `-${METRES_MAX}에서 ${METRES_MAX} 사이의 미터 단위 숫자여야 합니다.`,
      );
  return problems.count > before ? undefined : { x: rounded(x as number), y: rounded(y as number) };
}

/** To millimetres. Adding 0 makes -0 the 0 that it is read back as. */
export const rounded = (metres: number) => Math.round(metres * 1_000) / 1_000 + 0;

export function saleOf(value: unknown, at: string, problems: PlanProblems): SeatSale {
  const sale = SEAT_SALES.find((known) => known === value);
  if (!sale) problems.add(at, `Expected one of ${SEAT_SALES.join(', ')}.`, `${SEAT_SALES.join(', ')} 중 하나여야 합니다.`);
  return sale ?? 'SALE';
}

/** A name from the file, short enough to be told back. */
export const shown = (name: string) => JSON.stringify(name.length > 30 ? `${name.slice(0, 30).toWellFormed()}…` : name.toWellFormed());
