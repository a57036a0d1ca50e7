import { strict as assert } from 'node:assert';
import { createSigner, createVerifier } from 'fast-jwt';
import { isUuid } from '../../platform/uuid.ts';

export interface AccessClaims {
  memberId: string;
  sessionId: string;
  expiresAt: Date;
}

const ISSUER = 'lastseat';
const TYPE = 'access';
/** Ours have some 290 characters; what is longer is not worth a signature check. */
const CHARACTERS_MAX = 1_024;

/**
 * Signs and verifies access tokens: JWT, HS256 only. Verification is synchronous, because it happens once per request.
 * A token says who somebody was when it was signed; only `SessionGate` says whether that still holds.
 */
export class AccessTokens {
  private readonly signed: (payload: object) => string;
  private readonly verified: (token: string) => unknown;

  constructor(
    secret: string,
    private readonly lifeSeconds: number,
  ) {
    assert(Buffer.byteLength(secret) >= 32, 'accessTokenSecret needs at least 32 bytes: HS256 is as strong as its key');
    this.signed = createSigner({ algorithm: 'HS256', key: secret, iss: ISSUER });
    this.verified = createVerifier({
      algorithms: ['HS256'],
      key: secret,
      allowedIss: ISSUER,
      requiredClaims: ['sub', 'sid', 'iat', 'exp', 'iss', 'typ'],
      cache: false,
    });
  }

  sign(memberId: string, sessionId: string, lifeSeconds = this.lifeSeconds): { accessToken: string; expiresAt: Date } {
    const issuedAt = Math.floor(Date.now() / 1_000);
    const exp = issuedAt + lifeSeconds;
    const accessToken = this.signed({ sub: memberId, sid: sessionId, iat: issuedAt, exp, typ: TYPE });
    return { accessToken, expiresAt: new Date(exp * 1_000) };
  }

  /** The claims, or null for anything that is not a whole, unexpired token of ours. */
  verify(token: string): AccessClaims | null {
    if (token.length > CHARACTERS_MAX) return null;
    let payload: unknown;
    try {
      payload = this.verified(token);
    } catch {
      return null;
    }
    const { sub, sid, exp, typ } = payload as Record<string, unknown>;
    if (typ !== TYPE || typeof exp !== 'number') return null;
    // Checked although we signed it: one malformed id would fail the query that answers up to a thousand other requests.
    if (!isUuid(sub) || !isUuid(sid)) return null;
    return { memberId: sub, sessionId: sid, expiresAt: new Date(exp * 1_000) };
  }
}
