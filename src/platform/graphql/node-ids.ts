import { GraphQLError, type GraphQLNamedType, isObjectType } from 'graphql';
import { Arg, Ctx, Field, ID, InterfaceType, Query, Resolver } from 'type-graphql';
import { isUuid } from '../uuid.ts';
import type { RequestContext } from './context.ts';
import { Price } from './price.ts';

/** A well-formed node id, taken apart. */
export interface NodeId {
  type: string;
  /** In lower case, as PostgreSQL prints it. */
  uuid: string;
}

const TYPE_NAME = /^[A-Z][A-Za-z0-9]{0,49}$/;

/** `Type:` and a UUID in base64url: a type name has at most 50 characters, so 87 bytes. Longer texts are not looked at. */
const NODE_ID_LENGTH_MAX = 116;

/** The opaque id of a node: base64url of `Type:uuid`. */
export const toNodeId = (type: string, uuid: string): string => Buffer.from(`${type}:${uuid}`, 'latin1').toString('base64url');

/**
 * Takes a node id apart, or answers null if it is malformed or of a type that is not among `allowedTypes` (none given: any
 * type). Each node has exactly one id: another spelling of the same bytes is malformed.
 */
export function parseNodeId(id: string, ...allowedTypes: readonly string[]): NodeId | null {
  if (id.length > NODE_ID_LENGTH_MAX) return null;
  const text = Buffer.from(id, 'base64url').toString('latin1');
  const colon = text.indexOf(':');
  const type = text.slice(0, colon);
  const uuid = text.slice(colon + 1);
  if (colon < 1 || !TYPE_NAME.test(type) || !isUuid(uuid) || toNodeId(type, uuid) !== id) return null;
  return allowedTypes.length === 0 || allowedTypes.includes(type) ? { type, uuid } : null;
}

/** The UUID in a node id of one of the given types. Throws BAD_USER_INPUT that says which types were expected. */
export function uuidOf(id: string, ...types: readonly [string, ...string[]]): string {
  const node = parseNodeId(id);
  if (node && types.includes(node.type)) return node.uuid;
  const expected = types.join(' or ');
  const message = node ? `This is the id of a ${node.type}; an id of ${expected} is expected here.` : `This is not an id of ${expected}.`;
  throw new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
}

/** Loads one node of a type for this caller: null if it does not exist or the caller may not see it. */
export type NodeLoader = (context: RequestContext, uuid: string) => Promise<object | null>;

/** Type name to loader, of every type that implements `Node`. */
export type NodeTypes = ReadonlyMap<string, NodeLoader>;

/**
 * Which type an object was loaded as. Resolvers return entities, which are not instances of the GraphQL classes, so the
 * loader that found an object is what tells its type.
 */
const typeNames = new WeakMap<object, string>();

@InterfaceType('Node', {
  description: 'Anything with an id of its own, to be read again by the query `node`.',
  resolveType: (value: object) => typeNames.get(value),
})
export abstract class Node {
  @Field(() => ID, { description: 'An opaque id, unique over all types. Keep it as it is: its inside is not for clients.' })
  id!: string;
}

@Resolver()
export class NodeResolver {
  constructor(private readonly nodeTypes: NodeTypes) {}

  @Price(1)
  @Query(() => Node, {
    nullable: true,
    description: 'Reads any node by its id. Null for an id that is malformed, unknown, or of something the caller may not see.',
  })
  async node(
    @Arg('id', () => ID, { description: 'An id as any field `id` answers it.' }) id: string,
    @Ctx() context: RequestContext,
  ): Promise<object | null> {
    const parsed = parseNodeId(id);
    const node = (parsed && (await this.nodeTypes.get(parsed.type)?.(context, parsed.uuid))) ?? null;
    if (parsed && node) typeNames.set(node, parsed.type);
    return node;
  }
}

/** Types of a schema that implement `Node` without a loader: a start-up check of the composition root. */
export function nodeTypesWithoutLoader(types: Iterable<GraphQLNamedType>, nodeTypes: NodeTypes): string[] {
  return [...types]
    .filter((type) => isObjectType(type) && type.getInterfaces().some(({ name }) => name === 'Node') && !nodeTypes.has(type.name))
    .map(({ name }) => name);
}
