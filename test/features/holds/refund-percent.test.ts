import { describe, expect, test } from '@jest/globals';
import {
  type CancellationPolicy,
  cancellationProblem,
  earliestFirst,
  FREE_UNTIL_START,
  refundPercent,
} from '../../../src/features/holds/index.ts';

const STARTS_AT = new Date('2027-03-10T06:00:00+09:00');
const MUNICIPAL: CancellationPolicy = [
  { hoursBefore: 72, percent: 100 },
  { hoursBefore: 24, percent: 50 },
  { hoursBefore: 0, percent: 10 },
];

const hoursEarlier = (hours: number, milliseconds = 0) => new Date(STARTS_AT.getTime() - hours * 3_600_000 - milliseconds);

describe('the share that goes back', () => {
  test.each([
    ['long before', hoursEarlier(1_000), 100],
    ['an instant before the first step ends', hoursEarlier(72, 1), 100],
    ['when the first step ends', hoursEarlier(72), 100],
    ['an instant after it', hoursEarlier(72, -1), 50],
    ['when the second step ends', hoursEarlier(24), 50],
    ['an instant after it', hoursEarlier(24, -1), 10],
    ['when it starts', hoursEarlier(0), 10],
    ['an instant after the start', hoursEarlier(0, -1), 0],
    ['long after', hoursEarlier(-1_000), 0],
  ])('%s', (_when, at, percent) => {
    expect(refundPercent(MUNICIPAL, STARTS_AT, at)).toBe(percent);
  });

  test('is nothing after the last step even when it has not started', () => {
    const policy = [{ hoursBefore: 48, percent: 80 }];

    expect(refundPercent(policy, STARTS_AT, hoursEarlier(48))).toBe(80);
    expect(refundPercent(policy, STARTS_AT, hoursEarlier(48, -1))).toBe(0);
  });

  test('is nothing where there are no steps', () => {
    expect(refundPercent([], STARTS_AT, hoursEarlier(1_000))).toBe(0);
    expect(refundPercent([], null, hoursEarlier(1_000))).toBe(0);
  });

  test('is that of the most generous step for what has no date', () => {
    expect(refundPercent(MUNICIPAL, null, hoursEarlier(-1_000))).toBe(100);
    expect(refundPercent([{ hoursBefore: 8_760, percent: 30 }], null, hoursEarlier(0))).toBe(30);
  });

  test('does not depend on the order of the steps', () => {
    const [first, second, third] = MUNICIPAL as [CancellationPolicy[0], CancellationPolicy[0], CancellationPolicy[0]];
    const orders = [
      [first, third, second],
      [second, first, third],
      [third, second, first],
    ];

    for (const order of orders)
      expect(
        [hoursEarlier(73), hoursEarlier(25), hoursEarlier(1), hoursEarlier(-1)].map((at) => refundPercent(order, STARTS_AT, at)),
      ).toEqual([100, 50, 10, 0]);
  });

  test('of what nobody said anything about is everything until it starts', () => {
    expect(refundPercent(FREE_UNTIL_START, STARTS_AT, hoursEarlier(0))).toBe(100);
    expect(refundPercent(FREE_UNTIL_START, STARTS_AT, hoursEarlier(0, -1))).toBe(0);
  });
});

describe('a policy', () => {
  test.each([
    ['none at all', []],
    ['what is promised where nobody says otherwise', FREE_UNTIL_START],
    [
      'the widest limits',
      [
        { hoursBefore: 8_760, percent: 100 },
        { hoursBefore: 0, percent: 1 },
      ],
    ],
    [
      'any order',
      [
        { hoursBefore: 0, percent: 10 },
        { hoursBefore: 72, percent: 100 },
        { hoursBefore: 24, percent: 50 },
      ],
    ],
    [
      'the same share at a shorter notice',
      [
        { hoursBefore: 72, percent: 50 },
        { hoursBefore: 24, percent: 50 },
      ],
    ],
    ['five steps', [5, 4, 3, 2, 1].map((hoursBefore) => ({ hoursBefore, percent: hoursBefore }))],
  ])('may be %s', (_what, steps) => {
    expect(cancellationProblem(steps)).toBeUndefined();
  });

  test('is kept from the longest notice to the shortest, and the given one stays as it was', () => {
    const given = [
      { hoursBefore: 0, percent: 10 },
      { hoursBefore: 72, percent: 100 },
      { hoursBefore: 24, percent: 50 },
    ];

    const kept = earliestFirst(given);

    expect(kept.map(({ hoursBefore }) => hoursBefore)).toEqual([72, 24, 0]);
    expect(given.map(({ hoursBefore }) => hoursBefore)).toEqual([0, 72, 24]);
  });
});
