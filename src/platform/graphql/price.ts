import {
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isCompositeType,
  isListType,
} from 'graphql';
import { Extensions } from 'type-graphql';

/** How many items a list or connection counts as when neither the field nor the request says. Also the default page. */
export const LIST_SIZE_DEFAULT = 20;

const MUTATION_WEIGHT = 10;
const SUBSCRIPTION_WEIGHT = 5;
const OBJECT_WEIGHT = 1;

/**
 * Introspection of the whole schema answers hundreds of kilobytes whatever its selection, so it has a flat price: one
 * per operation fits into the default limit, and a handful of `__type`.
 */
export const INTROSPECTION_WEIGHTS: Readonly<Record<string, number>> = { __schema: 600, __type: 100, __typename: 0 };

export interface Multiplier {
  /** The argument that says how many: the value of an Int, or the length of a list. `input.ids` reaches into an input object. */
  multipliedBy?: string;
  /** How many there are when no argument says; with `multipliedBy`, how many when that argument is absent and has no default. */
  size?: number;
}

export interface FieldPrice extends Multiplier {
  weight: number;
}

declare module 'graphql' {
  interface GraphQLFieldExtensions<_TSource, _TContext, _TArgs> {
    price?: FieldPrice;
  }
}

/**
 * Puts a price on a field. What is not priced costs 1 if it answers an object and 0 if it answers a scalar; a mutation
 * costs 10, a subscription 5, and a list of objects counts as 20 of them.
 *
 * - A list costs its size times (its weight + what is selected inside).
 * - A connection costs its weight + what is selected inside, where the lists `edges` and `nodes` have its size.
 * - Any other field with a size costs its size times (its weight + what is selected inside).
 *
 * @example `@Price(1, { multipliedBy: 'first' })`, `@Price(1, { size: 31 })`, `@Price(10, { multipliedBy: 'input.seatIds' })`
 */
export const Price = (weight: number, multiplier: Multiplier = {}): MethodDecorator & PropertyDecorator =>
  Extensions({ price: { weight, ...multiplier } satisfies FieldPrice });

type AnyField = GraphQLField<unknown, unknown>;

/** The price declared on a field, or the default of its place. */
export function priceOf(schema: GraphQLSchema, parent: GraphQLNamedType, field: AnyField): FieldPrice {
  return field.extensions.price ?? { weight: weightOf(schema, parent, field) };
}

function weightOf(schema: GraphQLSchema, parent: GraphQLNamedType, field: AnyField): number {
  if (parent === schema.getMutationType()) return MUTATION_WEIGHT;
  if (parent === schema.getSubscriptionType()) return SUBSCRIPTION_WEIGHT;
  return isCompositeType(getNamedType(field.type)) ? OBJECT_WEIGHT : 0;
}

export const answersList = (field: AnyField) => isListType(getNullableType(field.type));

/** Relay's rule: a type whose name ends in `Connection` is one. */
export const answersConnection = (field: AnyField) => !answersList(field) && getNamedType(field.type).name.endsWith('Connection');
