import { GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import { GraphQLDateTime } from 'graphql-scalars';
import type { BuildSchemaOptions } from 'type-graphql';

/** Years a client may send. PostgreSQL has no year 0, and a year of five digits is a typing error. */
const YEAR_FIRST = 1;

/** An instant: a `Date` inside, RFC 3339 outside. */
export const DateTime = new GraphQLScalarType<Date, Date>({
  name: 'DateTime',
  description: 'An instant as RFC 3339 writes it, for example `2026-12-01T00:00:00Z`. Any offset is accepted; answers are in UTC.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (value) => GraphQLDateTime.serialize(value) as Date,
  parseValue: instantOf,
  parseLiteral: (node) => instantOf(textOf(node)),
});

/** A month of the calendar, as text inside and outside. */
export const YearMonth = textScalar(
  'YearMonth',
  'A month of the calendar as `YYYY-MM`, for example `2026-12`. Has no time zone.',
  (text) => (/^\d{4}-(0[1-9]|1[0-2])$/.test(text) && Number(text.slice(0, 4)) >= YEAR_FIRST ? text : undefined),
);

/** A day of the calendar, as text inside and outside. */
export const LocalDate = textScalar(
  'LocalDate',
  'A day of the calendar as `YYYY-MM-DD`, for example `2026-12-24`. Has no time zone.',
  (text) => (/^\d{4}-\d\d-\d\d$/.test(text) && Number(text.slice(0, 4)) >= YEAR_FIRST && isDay(text) ? text : undefined),
);

/** A time of day without seconds. PostgreSQL's `time` prints seconds, so they are accepted from inside and cut off. */
export const LocalTime = textScalar(
  'LocalTime',
  'A time of day as `HH:MM`, from `00:00` to `23:59`, on the clock of the place. Has no time zone.',
  (text) => (/^([01]\d|2[0-3]):[0-5]\d$/.test(text) ? text : undefined),
  (value) => (typeof value === 'string' ? value.replace(/^(\d\d:\d\d):\d\d(\.\d+)?$/, '$1') : value),
);

/** For `buildSchema`: a field declared as `Date` is a `DateTime`. */
export const scalarsMap: NonNullable<BuildSchemaOptions['scalarsMap']> = [{ type: Date, scalar: DateTime }];

function instantOf(value: unknown): Date {
  const instant = typeof value === 'string' ? parsedInstant(value) : undefined;
  if (!instant || instant.getUTCFullYear() < YEAR_FIRST) throw new TypeError('Not an instant as RFC 3339 writes it.');
  return instant;
}

function parsedInstant(text: string): Date | undefined {
  try {
    return GraphQLDateTime.parseValue(text) as Date;
  } catch {
    // Its message repeats the value.
    return undefined;
  }
}

/** JavaScript reads the 30th of February as the 2nd of March. */
function isDay(text: string): boolean {
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

function textScalar(
  name: string,
  description: string,
  parse: (text: string) => string | undefined,
  fromInside: (value: unknown) => unknown = (value) => value,
): GraphQLScalarType<string, string> {
  function checked(value: unknown): string {
    const text = typeof value === 'string' ? parse(value) : undefined;
    // graphql-js says `Expected type "…"` before this and the path around it; the value must not be repeated.
    if (text === undefined) throw new TypeError(`Not a ${name}.`);
    return text;
  }
  return new GraphQLScalarType({
    name,
    description,
    serialize: (value) => checked(fromInside(value)),
    parseValue: checked,
    parseLiteral: (node) => checked(textOf(node)),
  });
}

const textOf = (node: ValueNode): string | undefined => (node.kind === Kind.STRING ? node.value : undefined);
