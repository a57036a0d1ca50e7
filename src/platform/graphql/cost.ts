import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLArgument,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isCompositeType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  type ValueNode,
} from 'graphql';
import { answersConnection, answersList, INTROSPECTION_WEIGHTS, LIST_SIZE_DEFAULT, priceOf } from './price.ts';

/** What an operation costs and what it may cost, as every response says in `extensions.cost`. */
export interface Cost {
  requested: number;
  limit: number;
}

type Variables = Readonly<Record<string, unknown>>;

/** A number known from the document, or one that needs the variables. */
type Size = number | ((variables: Variables) => number);

/** The price of a selection: a constant and what depends on variables. */
interface Plan {
  constant: number;
  terms: { size: (variables: Variables) => number; inner: Plan }[];
}

/**
 * Selections looked at in one operation, fragments expanded. Documents within the limits have hundreds; one that
 * reaches this number by spreading fragments is priced as infinite instead of being followed.
 */
const SELECTIONS_MAX = 5_000;

const plans = new WeakMap<GraphQLSchema, WeakMap<DocumentNode, ReadonlyMap<string, Plan>>>();

/**
 * The price of an operation, see `Price` for how it is counted. An upper bound: `@skip` and `@include` are ignored, the
 * branches of a union are added up, and a list counts as long as it may be.
 *
 * A document is compiled once; after that a price that does not depend on variables is a look-up.
 * Returns 0 for an operation that does not exist, and at most `Number.MAX_SAFE_INTEGER`. Never throws.
 */
export function costOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | null | undefined,
  variables: Variables | null | undefined,
): number {
  const plan = plansOf(schema, document).get(operationName || '');
  if (!plan) return 0;
  const cost = plan.terms.length === 0 ? plan.constant : evaluate(plan, variables ?? {});
  return Math.min(cost, Number.MAX_SAFE_INTEGER);
}

/** Whether the name, or its absence, picks exactly one operation of the document. */
export const hasOperation = (schema: GraphQLSchema, document: DocumentNode, operationName: string | null | undefined): boolean =>
  plansOf(schema, document).has(operationName || '');

function plansOf(schema: GraphQLSchema, document: DocumentNode): ReadonlyMap<string, Plan> {
  let ofSchema = plans.get(schema);
  if (!ofSchema) {
    ofSchema = new WeakMap();
    plans.set(schema, ofSchema);
  }
  let ofDocument = ofSchema.get(document);
  if (!ofDocument) {
    ofDocument = compileDocument(schema, document);
    ofSchema.set(document, ofDocument);
  }
  return ofDocument;
}

function compileDocument(schema: GraphQLSchema, document: DocumentNode): ReadonlyMap<string, Plan> {
  const operations = document.definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
  const compiled = new Map<string, Plan>();
  for (const operation of operations) {
    const plan = compileOperation(schema, document, operation);
    compiled.set(operation.name?.value ?? '', plan);
    if (operations.length === 1) compiled.set('', plan);
  }
  return compiled;
}

function evaluate(plan: Plan, variables: Variables): number {
  let cost = plan.constant;
  for (const { size, inner } of plan.terms) cost += size(variables) * evaluate(inner, variables);
  return infiniteIfNaN(cost);
}

function compileOperation(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode): Plan {
  const root = schema.getRootType(operation.operation);
  if (!root) return constant(0);
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  const defaults = new Map((operation.variableDefinitions ?? []).map((node) => [node.variable.name.value, node.defaultValue]));
  const open = new Set<string>();
  let selections = 0;

  /** `pageSize` is what the connection around this selection set says of its `edges` and `nodes`. */
  function selectionSet(set: SelectionSetNode, parent: GraphQLCompositeType, pageSize: Size | undefined): Plan {
    const total = constant(0);
    for (const selection of set.selections) {
      selections += 1;
      if (selections > SELECTIONS_MAX) return constant(Number.POSITIVE_INFINITY);
      switch (selection.kind) {
        case Kind.FIELD:
          add(total, field(selection, parent, pageSize));
          break;
        case Kind.INLINE_FRAGMENT:
          add(total, onType(selection.selectionSet, selection.typeCondition?.name.value, parent, pageSize));
          break;
        case Kind.FRAGMENT_SPREAD:
          add(total, spread(selection.name.value, parent, pageSize));
      }
    }
    return total;
  }

  function spread(name: string, parent: GraphQLCompositeType, pageSize: Size | undefined): Plan {
    const fragment = fragments.get(name);
    if (!fragment || open.has(name)) return constant(0);
    open.add(name);
    const plan = onType(fragment.selectionSet, fragment.typeCondition.name.value, parent, pageSize);
    open.delete(name);
    return plan;
  }

  function onType(set: SelectionSetNode, condition: string | undefined, parent: GraphQLCompositeType, pageSize: Size | undefined): Plan {
    const type = condition ? schema.getType(condition) : parent;
    return isCompositeType(type) ? selectionSet(set, type, pageSize) : constant(0);
  }

  function field(node: FieldNode, parent: GraphQLCompositeType, pageSize: Size | undefined): Plan {
    const introspection = INTROSPECTION_WEIGHTS[node.name.value];
    if (introspection !== undefined) return constant(introspection);
    const definition = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[node.name.value] : undefined;
    if (!definition) return constant(0);

    const price = priceOf(schema, parent, definition);
    const isSized = price.multipliedBy !== undefined || price.size !== undefined;
    const declared = isSized ? sizeOf(definition, node, price.multipliedBy, price.size ?? LIST_SIZE_DEFAULT, defaults) : undefined;
    const inside = (size?: Size) => {
      const type = getNamedType(definition.type);
      return node.selectionSet && isCompositeType(type) ? selectionSet(node.selectionSet, type, size) : constant(0);
    };

    if (answersConnection(definition)) return plus(price.weight, inside(declared ?? LIST_SIZE_DEFAULT));
    const one = plus(price.weight, inside());
    if (answersList(definition)) return times(declared ?? pageSize ?? LIST_SIZE_DEFAULT, one);
    return declared === undefined ? one : times(declared, one);
  }

  return selectionSet(operation.selectionSet, root, undefined);
}

/** How many items a field may answer: what its argument says, else the argument's default, else `fallback`. */
function sizeOf(
  field: GraphQLField<unknown, unknown>,
  node: FieldNode,
  argumentPath: string | undefined,
  fallback: number,
  variableDefaults: ReadonlyMap<string, ValueNode | undefined>,
): Size {
  if (argumentPath === undefined) return fallback;
  const [argumentName, ...path] = argumentPath.split('.');
  const definition = field.args.find(({ name }) => name === argumentName);
  if (!definition) return fallback;
  const value = node.arguments?.find(({ name }) => name.value === argumentName)?.value;
  return sizeOfInput(definition, value, path, fallback, variableDefaults);
}

function sizeOfInput(
  definition: GraphQLArgument | GraphQLInputField,
  value: ValueNode | undefined,
  path: readonly string[],
  fallback: number,
  variableDefaults: ReadonlyMap<string, ValueNode | undefined>,
): Size {
  const absent = () => sizeOfJson(definition, definition.defaultValue, path, fallback);
  if (value === undefined) return absent();
  if (value.kind === Kind.VARIABLE) {
    const name = value.name.value;
    const defaultNode = variableDefaults.get(name);
    const whenAbsent = sizeOfInput(definition, defaultNode, path, fallback, new Map());
    return (variables) => {
      if (!Object.hasOwn(variables, name) || variables[name] === undefined) return typeof whenAbsent === 'number' ? whenAbsent : fallback;
      return sizeOfJson(definition, variables[name], path, fallback);
    };
  }
  const [key, ...rest] = path;
  if (key === undefined) return sizeOfLiteral(definition.type, value, fallback);
  const inner = inputFieldOf(definition.type, key);
  if (!inner || value.kind !== Kind.OBJECT) return fallback;
  return sizeOfInput(inner, value.fields.find(({ name }) => name.value === key)?.value, rest, fallback, variableDefaults);
}

function sizeOfLiteral(type: GraphQLInputType, value: ValueNode, fallback: number): number {
  if (value.kind === Kind.NULL) return fallback;
  if (isListType(getNullableType(type))) return value.kind === Kind.LIST ? value.values.length : 1;
  return value.kind === Kind.INT ? sizeOfNumber(Number(value.value)) : fallback;
}

/** The same over values as JSON carries them: variables, and defaults of the schema. */
function sizeOfJson(
  definition: GraphQLArgument | GraphQLInputField,
  value: unknown,
  [key, ...rest]: readonly string[],
  fallback: number,
): number {
  if (key !== undefined) {
    const inner = inputFieldOf(definition.type, key);
    if (!inner || typeof value !== 'object' || value === null) return fallback;
    const given = Object.hasOwn(value, key) ? (value as Variables)[key] : inner.defaultValue;
    return sizeOfJson(inner, given, rest, fallback);
  }
  if (value === null || value === undefined) return fallback;
  // A single value where a list is expected becomes a list of one.
  if (isListType(getNullableType(definition.type))) return Array.isArray(value) ? value.length : 1;
  return typeof value === 'number' ? sizeOfNumber(value) : fallback;
}

/** A negative page is refused by the field itself; here it must not make an operation cheaper than nothing. */
const sizeOfNumber = (value: number) => Math.max(value, 0);

function inputFieldOf(type: GraphQLInputType, name: string): GraphQLInputField | undefined {
  const nullable = getNullableType(type);
  return isInputObjectType(nullable) ? nullable.getFields()[name] : undefined;
}

const constant = (value: number): Plan => ({ constant: value, terms: [] });

const plus = (weight: number, plan: Plan): Plan => ({ constant: weight + plan.constant, terms: plan.terms });

function times(size: Size, plan: Plan): Plan {
  if (typeof size === 'function') return { constant: 0, terms: [{ size, inner: plan }] };
  if (plan.terms.length === 0) return constant(infiniteIfNaN(size * plan.constant));
  return { constant: 0, terms: [{ size: () => size, inner: plan }] };
}

function add(total: Plan, part: Plan) {
  total.constant += part.constant;
  total.terms.push(...part.terms);
}

/** Infinity times 0 is not a number; nothing that is infinite may become cheap that way. */
const infiniteIfNaN = (cost: number) => (Number.isNaN(cost) ? Number.POSITIVE_INFINITY : cost);
