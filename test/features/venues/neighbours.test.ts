import { describe, expect, test } from '@jest/globals';
import { neighboursOf, strayIn } from '../../../src/features/venues/neighbours.ts';

/** A straight row: seats at these metres from the left. */
const row = (name: string, xs: number[], y = 0, section = 'A') => xs.map((x) => ({ section, row: name, x, y }));

describe('the seat to the right', () => {
  test('is the next one of the row, and none at its end', () => {
    expect([...neighboursOf([...row('1', [0, 0.5, 1]), ...row('2', [0, 0.5, 1], 1)])]).toEqual([1, 2, -1, 4, 5, -1]);
  });

  test('is none across an aisle', () => {
    expect([...neighboursOf(row('1', [0, 0.5, 1.7, 2.2]))]).toEqual([1, -1, 3, -1]);
  });

  test.each([
    ['just under', 0.74, [1, 2, -1]],
    ['just over', 0.76, [1, -1, -1]],
  ])('1.5 times the usual pitch is where an aisle begins: %s', (_, gap, expected) => {
    expect([...neighboursOf(row('1', [0, 0.5, 0.5 + gap]))]).toEqual(expected);
  });

  test('is found in a row of pairs, where every second gap is an aisle', () => {
    expect([...neighboursOf(row('1', [0, 0.5, 2, 2.5, 4, 4.5]))]).toEqual([1, -1, 3, -1, 5, -1]);
  });

  test('is judged by the pitch of its own row: sofas are wider than chairs', () => {
    expect([...neighboursOf([...row('1', [0, 0.5, 1]), ...row('2', [0, 1.4, 2.8], 1)])]).toEqual([1, 2, -1, 4, 5, -1]);
  });

  test('is followed around a curve', () => {
    const seats = Array.from({ length: 30 }, (_, n) => ({
      section: 'A',
      row: '1',
      x: 10 * Math.sin(n * 0.05),
      y: 10 * Math.cos(n * 0.05),
    }));

    expect([...neighboursOf(seats)]).toEqual([...Array.from({ length: 29 }, (_, n) => n + 1), -1]);
  });

  test('is never in another row or section, however near and whatever their names', () => {
    expect([...neighboursOf([...row('1', [0, 0.5]), ...row('1', [1, 1.5], 0, 'B'), ...row('2', [2, 2.5], 0, 'B')])]).toEqual([
      1, -1, 3, -1, 5, -1,
    ]);
  });

  test('is none for a row of one and in a plan of none', () => {
    expect([...neighboursOf(row('1', [3]))]).toEqual([-1]);
    expect([...neighboursOf([])]).toEqual([]);
  });
});

describe('a row', () => {
  test('told from one end to the other has no stray, in either direction and across aisles', () => {
    expect(strayIn(row('1', [0, 0.5, 1, 3, 3.5]))).toBe(-1);
    expect(strayIn(row('1', [3.5, 3, 1, 0.5, 0]))).toBe(-1);
    expect(strayIn(row('1', [0]))).toBe(-1);
  });

  test('told by its labels, with odd ones on the left and even ones on the right, has one', () => {
    // 5 3 1 2 4 6 as they stand, 1 2 3 4 5 6 as they are told: 1 is beside 2, but 2 is beside 4 and not beside 3.
    expect(strayIn(row('1', [1, 1.5, 0.5, 2, 0, 2.5]))).toBe(1);
  });
});
