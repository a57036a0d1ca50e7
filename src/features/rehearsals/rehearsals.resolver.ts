import { GraphQLError } from 'graphql';
import { Arg, Field, ID, Int, Mutation, ObjectType, Resolver } from 'type-graphql';
import { RequiresRole } from '../../platform/graphql/authorization.ts';
import { toNodeId } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import type { RehearsalMember, RehearsalMembers } from '../accounts/index.ts';

const MEMBERS_PER_CALL_MAX = 10_000;

@ObjectType('RehearsalMember', { description: 'A member made for a rehearsal, without a password.' })
class RehearsalMemberType {
  @Field(() => ID, { description: 'The opaque id of the member.' })
  memberId!: string;

  @Field(() => String, { description: 'An access token of its own, valid for 2 hours.' })
  accessToken!: string;
}

@Resolver()
export class RehearsalsResolver {
  constructor(private readonly rehearsalMembers: RehearsalMembers) {}

  @RequiresRole('ADMIN')
  @Price(500, { size: 1 })
  @Mutation(() => [RehearsalMemberType], {
    nullable: true,
    description:
      'Makes members for the rehearsal of a sale, each with an access token, without hashing passwords. Needs the role ADMIN; exists only where rehearsals are switched on, never in production.',
  })
  async createRehearsalMembers(
    @Arg('count', () => Int, { description: `How many, 1 to ${MEMBERS_PER_CALL_MAX}.` }) count: number,
  ): Promise<RehearsalMemberType[]> {
    if (count < 1 || count > MEMBERS_PER_CALL_MAX)
      throw new GraphQLError(`\`count\` must be from 1 to ${MEMBERS_PER_CALL_MAX}.`, { extensions: { code: 'BAD_USER_INPUT' } });
    const members = await this.rehearsalMembers.createRehearsalMembers(count);
    return members.map((member: RehearsalMember) => ({ ...member, memberId: toNodeId('Member', member.memberId) }));
  }
}
