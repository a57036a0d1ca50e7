import { GraphQLError } from 'graphql';
import { ArgsType, type ClassType, Field, Int, ObjectType } from 'type-graphql';
import { isUuid } from '../uuid.ts';
import { LIST_SIZE_DEFAULT, Price } from './price.ts';
import { faultOfText } from './text-hygiene.ts';

/** Items of one page. */
export const PAGE_SIZE_MAX = 100;

/** A cursor carries a few values of one row; a longer one was not made by us. */
const CURSOR_LENGTH_MAX = 1_000;

@ArgsType()
export class ConnectionArgs {
  @Field(() => Int, {
    defaultValue: LIST_SIZE_DEFAULT,
    description: `How many items the page may have, from 1 to ${PAGE_SIZE_MAX}. The price of the field grows with it.`,
  })
  first!: number;

  @Field(() => String, {
    nullable: true,
    description: 'The `endCursor` of the page before, or any `cursor` of an edge. Null or absent starts at the first item.',
  })
  after?: string | null;
}

@ObjectType('PageInfo', { description: 'Where a page stands in its connection. Pages are read forward only.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether there are items after this page.' })
  hasNextPage!: boolean;

  @Field(() => Boolean, { description: 'Whether this page was asked for with `after`.' })
  hasPreviousPage!: boolean;

  @Field(() => String, { nullable: true, description: 'The cursor of the first item. Null if the page is empty.' })
  startCursor!: string | null;

  @Field(() => String, { nullable: true, description: 'The cursor of the last item, to be passed as `after`. Null if the page is empty.' })
  endCursor!: string | null;
}

export interface Edge<Item> {
  cursor: string;
  node: Item;
}

/** One page, as resolvers return it. */
export interface ConnectionPage<Item> {
  edges: Edge<Item>[];
  nodes: Item[];
  pageInfo: PageInfo;
  /** Counted when the field `totalCount` is asked for, and only then. */
  totalCount: () => Promise<number>;
}

/**
 * Declares `XConnection` and `XEdge` for the object type `X`. `totalCount` costs 10 of its own, because it counts all
 * rows. Call it once per type, at module level.
 *
 * @param name of the node's type in the schema
 * @example `export const { ConnectionType: LessonConnection } = Connection('Lesson', LessonType);`
 */
export function Connection<Item extends object>(
  name: string,
  node: ClassType<Item>,
): { ConnectionType: ClassType<ConnectionPage<object>>; EdgeType: ClassType<Edge<object>> } {
  @ObjectType(`${name}Edge`, { description: `One item of a ${name}Connection.` })
  class EdgeType implements Edge<object> {
    @Field(() => String, { description: 'An opaque place in this list, to be passed as `after` with the same filter and order.' })
    cursor!: string;

    @Price(1)
    @Field(() => node, { description: 'The item itself.' })
    node!: object;
  }

  @ObjectType(`${name}Connection`, { description: `One page of a list of ${name} items.` })
  class ConnectionType {
    @Price(0)
    @Field(() => [EdgeType], { description: 'The items of this page with their cursors, in order, at most `first`.' })
    edges!: EdgeType[];

    @Price(1)
    @Field(() => [node], { description: 'The items of this page, in order, at most `first`.' })
    nodes!: object[];

    @Price(0)
    @Field(() => PageInfo, { description: 'Where this page stands.' })
    pageInfo!: PageInfo;

    @Price(10)
    @Field(() => Int, { description: 'How many items match the filter on all pages together, counted at the moment of asking.' })
    totalCount(): Promise<number> {
      // A page is a plain object with a `totalCount` of its own, which type-graphql calls instead of this one.
      throw new Error(`A ${name}Connection must be made by toConnection.`);
    }
  }

  return { ConnectionType, EdgeType };
}

/** What a value in a cursor must be: a forged cursor must not reach PostgreSQL as something it fails to compare. */
export interface CursorTypes {
  text: string;
  /** 32 bits, as an `integer` column. */
  integer: number;
  /** In lower case. */
  uuid: string;
  /** As `Date.toISOString` prints it. */
  instant: string;
}
export type CursorShape = readonly (keyof CursorTypes)[];
export type CursorValues<Shape extends CursorShape> = { [Index in keyof Shape]: CursorTypes[Shape[Index]] };

/** A keyset cursor: the values of the order's columns in one row, ending with a unique one. */
export const encodeCursor = (values: readonly (string | number)[]): string => Buffer.from(JSON.stringify(values)).toString('base64url');

/** Takes a cursor apart. Throws BAD_USER_INPUT unless it has exactly the values of `shape`. */
export function decodeCursor<const Shape extends CursorShape>(cursor: string, shape: Shape): CursorValues<Shape> {
  const values = cursor.length <= CURSOR_LENGTH_MAX ? parsed(cursor) : undefined;
  if (!Array.isArray(values) || values.length !== shape.length || !shape.every((type, index) => CHECKS[type](values[index]))) {
    throw badInput('`after` is not a cursor of this list. Pass an `endCursor` of the same field unchanged.');
  }
  return values as unknown as CursorValues<Shape>;
}

export interface Page<Shape extends CursorShape> {
  first: number;
  /** Rows to fetch: one more than asked for tells whether there is a next page. */
  limit: number;
  after: CursorValues<Shape> | null;
}

/** Checks the arguments of a connection. Throws BAD_USER_INPUT for a `first` outside 1 to 100 or a foreign cursor. */
export function pageOf<const Shape extends CursorShape>({ first, after }: ConnectionArgs, shape: Shape): Page<Shape> {
  if (first < 1 || first > PAGE_SIZE_MAX) throw badInput(`\`first\` must be from 1 to ${PAGE_SIZE_MAX}.`);
  return { first, limit: first + 1, after: after == null ? null : decodeCursor(after, shape) };
}

export interface ConnectionSource<Row> {
  page: Page<CursorShape>;
  /** The values of the order's columns, in the order of the cursor's shape. */
  cursorOf: (row: Row) => readonly (string | number)[];
  totalCount: () => Promise<number>;
}

/** Makes a page of rows that were fetched with `page.limit`. */
export function toConnection<Row>(rows: readonly Row[], { page, cursorOf, totalCount }: ConnectionSource<Row>): ConnectionPage<Row> {
  const nodes = rows.slice(0, page.first);
  const edges = nodes.map((node) => ({ cursor: encodeCursor(cursorOf(node)), node }));
  const pageInfo: PageInfo = {
    hasNextPage: rows.length > page.first,
    hasPreviousPage: page.after !== null,
    startCursor: edges[0]?.cursor ?? null,
    endCursor: edges.at(-1)?.cursor ?? null,
  };
  return { edges, nodes, pageInfo, totalCount };
}

/** A page of rows whose order is that of their ids. `read` gets the id to go on behind, and how many rows to fetch. */
export async function connectionById<Row extends { id: string }>(
  args: ConnectionArgs,
  read: (after: string | null, limit: number) => Promise<readonly Row[]>,
  totalCount: () => Promise<number>,
): Promise<ConnectionPage<Row>> {
  const page = pageOf(args, ['uuid']);
  const rows = await read(page.after?.[0] ?? null, page.limit);
  return toConnection(rows, { page, cursorOf: ({ id }) => [id], totalCount });
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const INTEGER_MAX = 2 ** 31;

const CHECKS: { [Type in keyof CursorTypes]: (value: unknown) => boolean } = {
  text: (value) => typeof value === 'string' && faultOfText(value) === null,
  integer: (value) => typeof value === 'number' && Number.isInteger(value) && value >= -INTEGER_MAX && value < INTEGER_MAX,
  uuid: isUuid,
  instant: (value) => typeof value === 'string' && INSTANT.test(value) && !Number.isNaN(Date.parse(value)) && value >= '0001',
};

function parsed(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
