import type { CancellationStep } from '../holds/index.ts';
import { cancellationProblem } from '../holds/index.ts';
import type { SeatPlan } from '../venues/index.ts';
import { EventInputError, TierZonesError } from './events.errors.ts';

export const TITLE_CHARACTERS_MAX = 200;
export const BODY_CHARACTERS_MAX = 20_000;
export const TIERS_MAX = 20;
export const TIER_NAME_CHARACTERS_MAX = 50;
export const TIER_CAPACITY_MAX = 100_000;
/** A hundred of them are still an amount that fits into a GraphQL Int. */
export const TIER_PRICE_MAX_MINOR = 10_000_000;
export const MEMBER_MAX = 100;
export const HOLD_SECONDS_MIN = 30;
export const HOLD_SECONDS_MAX = 3_600;
/** The longest performance, an exhibition of a month. A sale that is open ends with its performance, so it began no longer ago than this. */
export const PERFORMANCE_DAYS_MAX = 31;
export const SEATS_CHANGED_MAX = 100;

const outside = (value: number | null | undefined, min: number, max: number) => value != null && (value < min || value > max);

/** What of an event is out of its limits, first things first. What is absent is not looked at. */
export function eventProblem({
  title,
  body,
}: {
  title?: string | null | undefined;
  body?: string | null | undefined;
}): EventInputError | undefined {
  if (title != null && (title.trim().length === 0 || title.length > TITLE_CHARACTERS_MAX))
    return new EventInputError(
      'title',
      `The title must have 1 to ${TITLE_CHARACTERS_MAX} characters.`,
      `제목은 1자 이상 ${TITLE_CHARACTERS_MAX}자 이하여야 합니다.`,
    );
  if (body != null && body.length > BODY_CHARACTERS_MAX)
    return new EventInputError(
      'body',
      `The text must have at most ${BODY_CHARACTERS_MAX.toLocaleString('en')} characters.`,
      `소개는 ${BODY_CHARACTERS_MAX.toLocaleString('en')}자 이하여야 합니다.`,
    );
  return undefined;
}

/** When a performance is, and when it is sold: always whole, also where only a part of it changes. */
export interface Schedule {
  startsAt: Date;
  endsAt: Date;
  /** Null: on sale at once. */
  onSaleFrom: Date | null;
  onSaleUntil: Date;
}

export function scheduleProblem({ startsAt, endsAt, onSaleFrom, onSaleUntil }: Schedule): EventInputError | undefined {
  if (endsAt <= startsAt)
    return new EventInputError('endsAt', 'A performance must end after it begins.', '종료 시각은 시작 시각보다 늦어야 합니다.');
  if (endsAt.getTime() - startsAt.getTime() > PERFORMANCE_DAYS_MAX * 86_400_000)
    return new EventInputError(
      'endsAt',
      `A performance lasts at most ${PERFORMANCE_DAYS_MAX} days. Make several of what lasts longer.`,
      `한 회차는 최대 ${PERFORMANCE_DAYS_MAX}일입니다. 더 길면 여러 회차로 나누어 주세요.`,
    );
  if (onSaleUntil > endsAt)
    return new EventInputError(
      'onSaleUntil',
      'The sale must close at the latest when the performance ends.',
      '판매 마감은 종료 시각보다 늦을 수 없습니다.',
    );
  if (onSaleFrom && onSaleFrom > onSaleUntil)
    return new EventInputError('onSaleFrom', 'The sale must open before it closes.', '판매 시작은 판매 마감보다 늦을 수 없습니다.');
  return undefined;
}

export const beginsInPast = () =>
  new EventInputError('startsAt', 'A performance must begin in the future.', '시작 시각은 현재 이후여야 합니다.');

/** What every pool of a performance is told. What is absent is not looked at. */
export function sellingProblem(selling: {
  perMemberMax?: number | null | undefined;
  holdSeconds?: number | null | undefined;
  cancellation?: readonly CancellationStep[] | null | undefined;
}): EventInputError | undefined {
  if (outside(selling.perMemberMax, 1, MEMBER_MAX))
    return new EventInputError(
      'perMemberMax',
      `The limit for a member must be 1 to ${MEMBER_MAX}.`,
      `1인당 한도는 1매 이상 ${MEMBER_MAX}매 이하여야 합니다.`,
    );
  if (outside(selling.holdSeconds, HOLD_SECONDS_MIN, HOLD_SECONDS_MAX))
    return new EventInputError(
      'holdSeconds',
      `Holds must last ${HOLD_SECONDS_MIN} to ${HOLD_SECONDS_MAX.toLocaleString('en')} seconds.`,
      `선점 시간은 ${HOLD_SECONDS_MIN}초 이상 ${HOLD_SECONDS_MAX.toLocaleString('en')}초 이하여야 합니다.`,
    );
  const wrongPolicy = selling.cancellation && cancellationProblem(selling.cancellation);
  return wrongPolicy ? new EventInputError('cancellation', wrongPolicy.en, wrongPolicy.ko) : undefined;
}

/** What of a tier is out of its limits. `at`: how the input calls it, for example `tiers[2].`. What is absent is not looked at. */
export function tierProblem(
  {
    name,
    priceMinor,
    capacity,
  }: { name?: string | null | undefined; priceMinor?: number | null | undefined; capacity?: number | null | undefined },
  at = '',
): EventInputError | undefined {
  if (name != null && (name.trim().length === 0 || name.length > TIER_NAME_CHARACTERS_MAX))
    return new EventInputError(
      `${at}name`,
      `The name of a tier must have 1 to ${TIER_NAME_CHARACTERS_MAX} characters.`,
      `등급 이름은 1자 이상 ${TIER_NAME_CHARACTERS_MAX}자 이하여야 합니다.`,
    );
  if (outside(priceMinor, 0, TIER_PRICE_MAX_MINOR))
    return new EventInputError(
      `${at}priceMinor`,
      `The price must be 0 to ${TIER_PRICE_MAX_MINOR.toLocaleString('en')} won.`,
      `가격은 0원 이상 ${TIER_PRICE_MAX_MINOR.toLocaleString('en')}원 이하여야 합니다.`,
    );
  if (outside(capacity, 0, TIER_CAPACITY_MAX))
    return new EventInputError(
      `${at}capacity`,
      `Capacity must be 0 to ${TIER_CAPACITY_MAX.toLocaleString('en')}.`,
      `수량은 0에서 ${TIER_CAPACITY_MAX.toLocaleString('en')} 사이여야 합니다.`,
    );
  return undefined;
}

export const tierNameTaken = (at = '') =>
  new EventInputError(
    `${at}name`,
    'Another tier of this performance has this name. Give each a name of its own.',
    '같은 이름의 등급이 이미 있습니다. 등급마다 다른 이름을 정해 주세요.',
  );

export interface TierWish {
  name: string;
  priceMinor: number;
  zone?: string | null;
  capacity?: number | null;
}

/** Whether these are the tiers of a performance: each is one of seats or of places, and together they price each zone of the plan once. */
export function tiersProblem(tiers: readonly TierWish[], plan: SeatPlan | null): EventInputError | TierZonesError | undefined {
  if (tiers.length === 0 || tiers.length > TIERS_MAX)
    return new EventInputError('tiers', `A performance has 1 to ${TIERS_MAX} tiers.`, `등급은 1개 이상 ${TIERS_MAX}개 이하여야 합니다.`);
  for (const [index, tier] of tiers.entries()) {
    const at = `tiers[${index}].`;
    const problem = tierProblem(tier, at) ?? kindProblem(tier, at, plan);
    if (problem) return problem;
    if (tiers.slice(0, index).some(({ name }) => name.trim() === tier.name.trim())) return tierNameTaken(at);
  }
  return plan ? zonesProblem(tiers, plan) : undefined;
}

function kindProblem({ zone, capacity }: TierWish, at: string, plan: SeatPlan | null): EventInputError | undefined {
  if ((zone == null) === (capacity == null))
    return new EventInputError(
      `${at}${zone == null ? 'capacity' : 'zone'}`,
      'A tier has either a zone, for numbered seats, or a capacity, for places without numbers.',
      '등급에는 구역(지정석) 또는 수량(비지정석) 중 하나만 정해 주세요.',
    );
  if (zone != null && !plan)
    return new EventInputError(
      `${at}zone`,
      'Zones are those of a seat plan. Name a `planId`, or give the tier a capacity.',
      '구역은 좌석 배치도가 있어야 합니다. planId를 정하거나 수량을 입력해 주세요.',
    );
  return undefined;
}

function zonesProblem(tiers: readonly TierWish[], plan: SeatPlan): TierZonesError | undefined {
  const zones = new Set(plan.seats.map(({ zone }) => zone));
  const named = tiers.flatMap(({ zone }) => (zone == null ? [] : [zone]));
  const missing = [...zones].filter((zone) => !named.includes(zone));
  const unknown = [...new Set(named.filter((zone) => !zones.has(zone)))];
  const repeated = [...new Set(named.filter((zone, index) => named.indexOf(zone) < index))];
  return missing.length + unknown.length + repeated.length > 0 ? new TierZonesError({ missing, unknown, repeated }) : undefined;
}
