import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  GraphQLIncludeDirective,
  type GraphQLSchema,
  GraphQLSkipDirective,
  getArgumentValues,
  getDirectiveValues,
  getVariableValues,
  type OperationDefinitionNode,
  print,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql';

export type Variables = { readonly [name: string]: unknown };

/** The one field a subscription selects, with its arguments as the resolver would get them. */
export interface RootField {
  name: string;
  args: Record<string, unknown>;
  /** Where the document selects it first. */
  node: FieldNode;
}

/**
 * Finds the root field of a subscription through fragments, aliases and directives.
 * Returns undefined when there is not exactly one, and errors when variables or arguments do not fit.
 */
export function rootFieldOf(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables | undefined,
): RootField | undefined | readonly GraphQLError[] {
  const values = getVariableValues(schema, operation.variableDefinitions ?? [], variables ?? {}, { maxErrors: 10 });
  if (values.errors) return values.errors;
  const nodes = [...fieldsOf(operation.selectionSet, fragmentsOf(document), values.coerced)];
  const [node] = nodes;
  const field = node && schema.getSubscriptionType()?.getFields()[node.name.value];
  if (!field || nodes.some((other) => responseKeyOf(other) !== responseKeyOf(node))) return undefined;
  try {
    return { name: field.name, args: getArgumentValues(field, node, values.coerced), node };
  } catch (error) {
    if (error instanceof GraphQLError) return [error];
    throw error;
  }
}

/**
 * A key that two subscriptions share exactly when they select the same: layout, comments, the order of variables and
 * variables the operation does not declare make no difference, nor does the variable `apart`.
 */
export function keyOf(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables | undefined,
  locale: string,
  apart?: string,
): string {
  const declared = (operation.variableDefinitions ?? []).map(({ variable }) => variable.name.value).sort();
  const values = declared
    .filter((name) => name !== apart && variables && Object.hasOwn(variables, name))
    .map((name) => [name, variables?.[name]]);
  return JSON.stringify([locale, operation.name?.value ?? null, sortedKeys(values), printedOf(document)]);
}

/** The variable that gives this argument its value and is used for nothing else; undefined if there is none. */
export function onlyVariableOf(document: DocumentNode, field: FieldNode, argument: string): string | undefined {
  const value = field.arguments?.find(({ name }) => name.value === argument)?.value;
  if (value?.kind !== 'Variable') return undefined;
  const uses = printedOf(document).split(new RegExp(`\\$${value.name.value}\\b`)).length - 1;
  // Once where it is declared, once where it is used.
  return uses === 2 ? value.name.value : undefined;
}

const printed = new WeakMap<DocumentNode, string>();

/** Documents are often the same object (a document cache), and printing one costs more than looking it up. */
function printedOf(document: DocumentNode): string {
  let text = printed.get(document);
  if (text === undefined) {
    text = print(document);
    printed.set(document, text);
  }
  return text;
}

const responseKeyOf = (node: FieldNode | undefined) => node?.alias?.value ?? node?.name.value;

function fragmentsOf(document: DocumentNode): Map<string, FragmentDefinitionNode> {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === 'FragmentDefinition') fragments.set(definition.name.value, definition);
  }
  return fragments;
}

/** Validation has refused fragments that contain themselves, so this ends. */
function* fieldsOf(set: SelectionSetNode, fragments: Map<string, FragmentDefinitionNode>, values: Variables): Generator<FieldNode> {
  for (const node of set.selections) {
    if (!isIncluded(node, values)) continue;
    if (node.kind === 'Field') yield node;
    else {
      const inner = node.kind === 'InlineFragment' ? node : fragments.get(node.name.value);
      if (inner) yield* fieldsOf(inner.selectionSet, fragments, values);
    }
  }
}

const isIncluded = (node: SelectionNode, values: Variables) =>
  getDirectiveValues(GraphQLSkipDirective, node, values)?.if !== true &&
  getDirectiveValues(GraphQLIncludeDirective, node, values)?.if !== false;

function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sortedKeys(inner)]),
  );
}
