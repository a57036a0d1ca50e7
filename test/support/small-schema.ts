import { GraphQLError, type GraphQLSchema } from 'graphql';
import {
  Arg,
  Args,
  buildSchema,
  Ctx,
  Field,
  FieldResolver,
  ID,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
  Subscription,
} from 'type-graphql';
import { Connection, ConnectionArgs, type ConnectionPage, pageOf, toConnection } from '../../src/platform/graphql/connections.ts';
import type { RequestContext } from '../../src/platform/graphql/context.ts';
import { Money } from '../../src/platform/graphql/money.ts';
import { Node, NodeResolver, type NodeTypes } from '../../src/platform/graphql/node-ids.ts';
import { Price } from '../../src/platform/graphql/price.ts';
import { DateTime, LocalTime, scalarsMap, YearMonth } from '../../src/platform/graphql/scalars.ts';

/** A schema that knows no business word, to test the platform with. It counts how often a root resolver really ran. */
@InputType({ description: 'What to touch.' })
class ThingInput {
  @Field(() => String, { nullable: true, description: 'A text.' })
  email?: string | null;

  @Field(() => String, { nullable: true, description: 'A secret.' })
  password?: string | null;

  @Field(() => Int, { nullable: true, description: 'A number.' })
  count?: number | null;

  @Field(() => [ID], { nullable: true, description: 'Some ids.' })
  ids?: string[] | null;

  @Field(() => ThingInput, { nullable: true, description: 'Another one inside.' })
  inner?: ThingInput | null;

  @Field(() => DateTime, { nullable: true, description: 'An instant.' })
  at?: Date | null;

  @Field(() => YearMonth, { nullable: true, description: 'A month.' })
  month?: string | null;

  @Field(() => LocalTime, { nullable: true, description: 'A time of day.' })
  time?: string | null;
}

@ObjectType('Thing', { implements: Node, description: 'A thing.' })
class Thing extends Node {
  @Field(() => String, { nullable: true, description: 'Its name.' })
  name?: string | null;

  @Price(1)
  @Field(() => Thing, { description: 'Itself.' })
  self?: Thing;

  @Price(1, { size: 31 })
  @Field(() => [Thing], { description: 'Many.' })
  many?: Thing[];

  @Field(() => Date, { nullable: true, description: 'When it was made.' })
  madeAt?: Date | null;

  @Field(() => Money, { nullable: true, description: 'What it costs.' })
  price?: Money | null;
}

const { ConnectionType: ThingConnection } = Connection('Thing', Thing);

export const executions = { count: 0, totalCounts: 0 };

const thing = (id = 'thing-1'): Thing => Object.assign(new Thing(), { id, name: 'a thing' });

const ROWS = Array.from({ length: 25 }, (_, index) => ({ id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`, rank: index }));
const ORDER = ['integer', 'uuid'] as const;

@Resolver(() => Thing)
class ThingResolver {
  @Query(() => Thing, { nullable: true, description: 'Reads a thing.' })
  thing(
    @Arg('text', () => String, { nullable: true, description: 'A text.' }) text: string | null,
    @Arg('number', () => Int, { nullable: true, description: 'A number.' }) _number: number | null,
    @Arg('ids', () => [ID], { nullable: true, description: 'Some ids.' }) _ids: string[] | null,
    @Arg('input', () => ThingInput, { nullable: true, description: 'An input.' }) _input: ThingInput | null,
  ): Thing {
    executions.count += 1;
    failIfAsked(text);
    return thing();
  }

  @Mutation(() => Thing, { nullable: true, description: 'Touches a thing.' })
  touch(
    @Arg('text', () => String, { nullable: true, description: 'A text.' }) text: string | null,
    @Arg('number', () => Int, { nullable: true, description: 'A number.' }) _number: number | null,
    @Arg('ids', () => [ID], { nullable: true, description: 'Some ids.' }) _ids: string[] | null,
    @Arg('input', () => ThingInput, { nullable: true, description: 'An input.' }) _input: ThingInput | null,
  ): Thing {
    executions.count += 1;
    failIfAsked(text);
    return thing();
  }

  @Price(5, { multipliedBy: 'input.ids' })
  @Mutation(() => Boolean, { description: 'Claims several.' })
  claim(@Arg('input', () => ThingInput, { description: 'An input.' }) _input: ThingInput): boolean {
    executions.count += 1;
    return true;
  }

  @Subscription(() => Thing, { subscribe: oneThing, description: 'Watches a thing.' })
  watched(
    @Root() root: Thing,
    @Arg('text', () => String, { nullable: true, description: 'A text.' }) _text: string | null,
    @Arg('number', () => Int, { nullable: true, description: 'A number.' }) _number: number | null,
    @Arg('ids', () => [ID], { nullable: true, description: 'Some ids.' }) _ids: string[] | null,
    @Arg('input', () => ThingInput, { nullable: true, description: 'An input.' }) _input: ThingInput | null,
  ): Thing {
    return root;
  }

  @Price(1, { multipliedBy: 'ids' })
  @Query(() => [Thing], { description: 'Reads some things.' })
  some(@Arg('ids', () => [ID], { description: 'Which.' }) ids: string[]): Thing[] {
    executions.count += 1;
    return ids.map((id) => thing(id));
  }

  @Price(1, { multipliedBy: 'first' })
  @Query(() => ThingConnection, { description: 'Lists things.' })
  things(@Args(() => ConnectionArgs) args: ConnectionArgs): ConnectionPage<Thing> {
    executions.count += 1;
    const page = pageOf(args, ORDER);
    const rows = ROWS.filter(({ rank }) => page.after === null || rank > page.after[0]).slice(0, page.limit);
    const nodes = rows.map((row) => Object.assign(thing(row.id), { rank: row.rank }));
    return toConnection(nodes, {
      page,
      cursorOf: ({ rank, id }) => [rank, id],
      totalCount: async () => {
        executions.totalCounts += 1;
        return ROWS.length;
      },
    });
  }

  @Query(() => String, { description: 'The request id as the context has it.' })
  requestId(@Ctx() context: RequestContext): string {
    return context.requestId;
  }

  @FieldResolver(() => Thing)
  self(@Root() root: Thing): Thing {
    return root;
  }

  @FieldResolver(() => [Thing])
  many(@Root() root: Thing): Thing[] {
    return [root, root];
  }
}

async function* oneThing(): AsyncGenerator<Thing> {
  executions.count += 1;
  yield thing();
}

/** Errors of every origin, by the text of the request. */
function failIfAsked(text: string | null) {
  switch (text) {
    case 'throw Error':
      throw new Error('connect ECONNREFUSED 10.0.0.7:5432');
    case 'throw foreign error with a known code':
      throw Object.assign(new Error('duplicate key (email)=(a@b.c)'), { extensions: { code: 'BAD_USER_INPUT' } });
    case 'throw GraphQLError without code':
      throw new GraphQLError('select * from members');
    case 'throw GraphQLError with unknown code':
      throw new GraphQLError('select * from members', { extensions: { code: 'DRIVER_EXCEPTION', sql: 'select' } });
    case 'throw known GraphQLError':
      throw new GraphQLError('Too fast.', {
        originalError: new Error('inside'),
        extensions: { code: 'TOO_MANY_REQUESTS', retryAfterSeconds: 7 },
      });
    case 'throw string':
      throw 'a secret string';
  }
}

export const buildSmallSchema = (nodeTypes: NodeTypes = new Map()): Promise<GraphQLSchema> =>
  buildSchema({
    resolvers: [ThingResolver, NodeResolver],
    scalarsMap,
    validate: false,
    container: { get: (type) => (type === NodeResolver ? new NodeResolver(nodeTypes) : new type()) },
    // Subscriptions bring their own `subscribe`; type-graphql insists on a pubSub all the same.
    pubSub: { publish: () => undefined, subscribe: () => oneThing() as never },
  });
