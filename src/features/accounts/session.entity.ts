import { defineEntity, p } from '@mikro-orm/postgresql';
import { Member } from './member.entity.ts';

export const REVOKED_REASONS = ['SIGNED_OUT', 'REFRESH_TOKEN_REUSED', 'TOO_MANY_SESSIONS'] as const;
export type RevokedReason = (typeof REVOKED_REASONS)[number];

export const SessionSchema = defineEntity({
  name: 'Session',
  tableName: 'session',
  properties: {
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    member: () => p.manyToOne(Member),
    /** SHA-256 of the half of the refresh token that stays the same for the whole session. */
    familyHash: p.blob().unique('session_family'),
    /** SHA-256 of the half that is new after every use: the current one, and the one before it. */
    tokenHash: p.blob(),
    previousTokenHash: p.blob().nullable(),
    rotatedAt: p.datetime().nullable(),
    createdAt: p.datetime().defaultRaw('now()'),
    expiresAt: p.datetime(),
    revokedAt: p.datetime().nullable(),
    revokedReason: p.enum(REVOKED_REASONS).nullable(),
    clientIp: p.text().nullable(),
    userAgent: p.text().nullable(),
  },
});

/** One sign-in on one device, and the family of refresh tokens that came from it. */
export class Session extends SessionSchema.class {}
SessionSchema.setClass(Session);
