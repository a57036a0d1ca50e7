import { Field, ID, InputType } from 'type-graphql';
import type { Role } from '../../platform/graphql/context.ts';
import type { Gender } from './member.entity.ts';
import { GenderEnum, RoleEnum } from './member.types.ts';

@InputType({ description: 'A new account.' })
export class SignUpInput {
  @Field(() => String, { description: 'An e-mail address of at most 254 characters. Upper and lower case are the same.' })
  email!: string;

  @Field(() => String, { description: '10 to 200 characters of any kind.' })
  password!: string;

  @Field(() => String, { description: 'The name shown to others. 1 to 50 characters.' })
  displayName!: string;

  @Field(() => GenderEnum, {
    nullable: true,
    description: 'Needed only to take a locker. Null or absent: not said.',
  })
  gender?: Gender | null;
}

@InputType({ description: 'Who signs in.' })
export class SignInInput {
  @Field(() => String, { description: 'The e-mail address of the account. Upper and lower case are the same.' })
  email!: string;

  @Field(() => String, { description: 'The password of the account.' })
  password!: string;
}

@InputType({ description: 'A session to go on with.' })
export class RefreshSessionInput {
  @Field(() => String, { description: 'The newest refresh token of the session.' })
  refreshToken!: string;
}

@InputType({ description: 'What to end.' })
export class SignOutInput {
  @Field(() => Boolean, { defaultValue: false, description: 'True ends all sessions of the caller, on all their devices.' })
  everywhere!: boolean;
}

@InputType({ description: 'A role for a member.' })
export class SetMemberRoleInput {
  @Field(() => ID, { description: 'The member who gets the role.' })
  memberId!: string;

  @Field(() => RoleEnum, { description: 'The role the member has from then on.' })
  role!: Role;
}
