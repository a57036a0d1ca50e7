import { defineEntity, p } from '@mikro-orm/postgresql';
import { ROLES } from '../../platform/graphql/context.ts';

export const GENDERS = ['MALE', 'FEMALE'] as const;
/** Lockers are in the men's or the women's room; nothing else asks for it. */
export type Gender = (typeof GENDERS)[number];

const LOCALES = ['en', 'ko'] as const;

export const MemberSchema = defineEntity({
  name: 'Member',
  tableName: 'member',
  properties: {
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    /** As `emailOf` writes it: NFC, lower case. Unique in that form. */
    email: p.text().unique('member_email'),
    displayName: p.text(),
    /** Null: cannot sign in with a password (the members of a rehearsal). */
    passwordHash: p.text().nullable().hidden(),
    role: p.enum(ROLES).default('MEMBER'),
    gender: p.enum(GENDERS).nullable(),
    locale: p.enum(LOCALES).default('en'),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** A person who can sign in and claim things. */
export class Member extends MemberSchema.class {}
MemberSchema.setClass(Member);
