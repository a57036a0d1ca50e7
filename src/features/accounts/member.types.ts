import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import type { Role } from '../../platform/graphql/context.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import type { Locale } from '../../platform/locale.ts';
import type { Gender, Member } from './member.entity.ts';

export const RoleEnum = { MEMBER: 'MEMBER', ORGANIZER: 'ORGANIZER', ADMIN: 'ADMIN' } as const satisfies { [Name in Role]: Name };
registerEnumType(RoleEnum, {
  name: 'Role',
  description: 'What a member may do. A higher role includes the lower ones.',
  valuesConfig: {
    MEMBER: { description: 'May enrol and see what is their own.' },
    ORGANIZER: { description: 'May also offer things and change what they offer.' },
    ADMIN: { description: 'May also change what others own, and roles.' },
  },
});

export const GenderEnum = { MALE: 'MALE', FEMALE: 'FEMALE' } as const satisfies { [Name in Gender]: Name };
registerEnumType(GenderEnum, {
  name: 'Gender',
  description: 'Whose changing room a locker is in, or a member uses; nothing else depends on it.',
  valuesConfig: {
    MALE: { description: "The men's changing room." },
    FEMALE: { description: "The women's changing room." },
  },
});

export const LocaleEnum = { EN: 'en', KO: 'ko' } as const satisfies Record<string, Locale>;
registerEnumType(LocaleEnum, {
  name: 'Locale',
  description: 'A language that messages are written in.',
  valuesConfig: {
    EN: { description: 'English.' },
    KO: { description: 'Korean.' },
  },
});

@ObjectType('Member', {
  implements: Node,
  description: 'A person with an account. Shown to that person and to administrators only.',
})
export class MemberType implements Pick<Member, 'id' | 'email' | 'displayName' | 'role' | 'gender' | 'locale' | 'createdAt'> {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'The e-mail address the member signs in with, in lower case. At most 254 characters.' })
  email!: string;

  @Field(() => String, { description: 'The name shown to others. 1 to 50 characters.' })
  displayName!: string;

  @Field(() => RoleEnum, { description: 'What the member may do at this moment.' })
  role!: Role;

  @Field(() => GenderEnum, { nullable: true, description: 'Needed only to take a locker. Null when the member did not say.' })
  gender!: Gender | null;

  @Field(() => LocaleEnum, { description: 'The language of the messages sent to the member: that of the request they signed up with.' })
  locale!: Locale;

  @Field(() => Date, { description: 'When the account was made.' })
  createdAt!: Date;
}
