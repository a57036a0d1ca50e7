import {
  type ASTVisitor,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  NoSchemaIntrospectionCustomRule,
  type OperationDefinitionNode,
  OperationTypeNode,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import type { GraphqlLimits } from './limits.ts';

/**
 * The standard introspection query is 15 deep (nine levels of `ofType`), more than `depthMax`. graphql-js' own rule
 * additionally refuses lists of fields inside lists of fields there, which is what made introspection explode.
 */
const INTROSPECTION_DEPTH_MAX = 15;

/** What a selection set asks for, all fragments expanded. */
interface Measure {
  depth: number;
  introspectionDepth: number;
  aliases: number;
  fields: number;
}

const NOTHING: Measure = { depth: 0, introspectionDepth: 0, aliases: 0, fields: 0 };

/** Validation rules for the limits that a document alone can break. */
export function documentLimitRules(limits: Readonly<GraphqlLimits>): readonly ValidationRule[] {
  const rule = (context: ValidationContext): ASTVisitor => limitVisitor(context, limits);
  return limits.introspection ? [rule] : [rule, NoSchemaIntrospectionCustomRule];
}

function limitVisitor(context: ValidationContext, limits: Readonly<GraphqlLimits>): ASTVisitor {
  const measureOf = measurer((name) => context.getFragment(name));
  let directives = 0;

  function check(limit: keyof GraphqlLimits, what: string, value: number, max: number) {
    if (value <= max) return;
    context.reportError(new GraphQLError(`${what}: at most ${max} allowed.`, { extensions: { limit, max } }));
  }

  function checkOperation(operation: OperationDefinitionNode) {
    const { depth, introspectionDepth, aliases, fields } = measureOf(operation.selectionSet);
    check('depthMax', `The operation nests fields ${depth} deep`, depth, limits.depthMax);
    check('depthMax', `The introspection nests fields ${introspectionDepth} deep`, introspectionDepth, INTROSPECTION_DEPTH_MAX);
    check('aliasesMax', `The operation has ${aliases} aliases`, aliases, limits.aliasesMax);
    if (operation.operation === OperationTypeNode.MUTATION)
      check('rootMutationsMax', `The operation calls ${fields} mutations`, fields, limits.rootMutationsMax);
    else check('rootFieldsMax', `The operation asks for ${fields} root fields`, fields, limits.rootFieldsMax);
  }

  return {
    OperationDefinition: checkOperation,
    ListValue: (node) => check('listItemsMax', `A list has ${node.values.length} items`, node.values.length, limits.listItemsMax),
    Directive: () => {
      directives += 1;
    },
    Document: { leave: () => check('directivesMax', `The document has ${directives} directives`, directives, limits.directivesMax) },
  };
}

/**
 * Measures selection sets, each fragment once: the time is linear in the document although the numbers may be
 * exponential. A fragment inside itself counts as nothing; the rule against cycles refuses the document.
 */
function measurer(fragmentNamed: (name: string) => FragmentDefinitionNode | null | undefined) {
  const measured = new Map<string, Measure>();

  function fragment(name: string): Measure {
    const known = measured.get(name);
    if (known) return known;
    measured.set(name, NOTHING);
    const definition = fragmentNamed(name);
    const measure = definition ? selectionSet(definition.selectionSet) : NOTHING;
    measured.set(name, measure);
    return measure;
  }

  function selectionSet(set: SelectionSetNode): Measure {
    const total = { ...NOTHING };
    for (const selection of set.selections) {
      switch (selection.kind) {
        case Kind.FIELD: {
          const inner = selection.selectionSet ? selectionSet(selection.selectionSet) : NOTHING;
          const isIntrospection = selection.name.value === '__schema' || selection.name.value === '__type';
          total.fields += 1;
          total.aliases += inner.aliases + (selection.alias ? 1 : 0);
          total.depth = Math.max(total.depth, isIntrospection ? 1 : 1 + inner.depth);
          total.introspectionDepth = Math.max(total.introspectionDepth, isIntrospection ? 1 + inner.depth : inner.introspectionDepth);
          break;
        }
        case Kind.INLINE_FRAGMENT:
          add(total, selectionSet(selection.selectionSet));
          break;
        case Kind.FRAGMENT_SPREAD:
          add(total, fragment(selection.name.value));
      }
    }
    return total;
  }

  return selectionSet;
}

function add(total: Measure, part: Measure) {
  total.fields += part.fields;
  total.aliases += part.aliases;
  total.depth = Math.max(total.depth, part.depth);
  total.introspectionDepth = Math.max(total.introspectionDepth, part.introspectionDepth);
}
