import 'reflect-metadata';
import { describe, expect, test } from '@jest/globals';
import { Kind } from 'graphql';
import { DateTime, LocalTime, YearMonth } from '../../../src/platform/graphql/scalars.ts';
import { buildSmallSchema } from '../../support/small-schema.ts';

const literal = (value: string) => ({ kind: Kind.STRING, value }) as const;

test('a field of Date is a DateTime in the schema', async () => {
  const schema = await buildSmallSchema();

  expect(
    String(
      schema.getType('Thing')?.toConfig &&
        (schema.getType('Thing') as never as { getFields(): Record<string, { type: unknown }> }).getFields().madeAt?.type,
    ),
  ).toBe('DateTime');
  expect(schema.getType('DateTimeISO')).toBeUndefined();
});

describe('DateTime', () => {
  test('takes any offset and answers UTC', () => {
    expect(DateTime.parseValue('2026-12-01T09:00:00+09:00')).toEqual(new Date('2026-12-01T00:00:00.000Z'));
    expect(DateTime.parseLiteral(literal('2026-12-01T00:00:00Z'))).toEqual(new Date('2026-12-01T00:00:00.000Z'));
    expect(JSON.stringify(DateTime.serialize(new Date('2026-12-01T09:00:00+09:00')))).toBe('"2026-12-01T00:00:00.000Z"');
  });

  test.each([
    '',
    'now',
    '2026-12-01',
    '2026-02-29T00:00:00Z',
    '2026-12-01T24:00:00Z',
    '2026-12-01 00:00:00Z',
    '0000-01-01T00:00:00Z',
    '12026-01-01T00:00:00Z',
    1764547200000,
    null,
    {},
  ])('refuses %p without repeating it', (value) => {
    expect(() => DateTime.parseValue(value)).toThrow(new TypeError('Not an instant as RFC 3339 writes it.'));
  });
});

describe('YearMonth and LocalTime', () => {
  test('are texts of exactly one form', () => {
    expect(YearMonth.parseValue('2026-12')).toBe('2026-12');
    expect(YearMonth.serialize('2026-01')).toBe('2026-01');
    expect(LocalTime.parseValue('23:59')).toBe('23:59');
    expect(LocalTime.parseLiteral(literal('06:00'))).toBe('06:00');
    expect(LocalTime.serialize('06:00:00')).toBe('06:00');
  });

  test.each(['2026-13', '2026-00', '2026-1', '0000-01', '26-12', '2026-12-01', '2026-12\n', '', 202612, null])(
    'YearMonth refuses %p',
    (value) => {
      expect(() => YearMonth.parseValue(value)).toThrow('Not a YearMonth.');
    },
  );

  test.each(['24:00', '6:00', '06:60', '06:00:00', '06:00Z', '', 600, null])('LocalTime refuses %p', (value) => {
    expect(() => LocalTime.parseValue(value)).toThrow('Not a LocalTime.');
  });
});
