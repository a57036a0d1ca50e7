import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto';
import { CompactSign, calculateJwkThumbprint, compactVerify, type JWK } from 'jose';
import { isUuid } from '../../platform/uuid.ts';

/** What the code of a ticket says. */
export interface TicketClaims {
  ticketId: string;
  performanceId: string;
  /** Raised when the ticket changes hands, so that older codes of it are good for nothing. */
  generation: number;
}

interface Key {
  id: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
  jwk: JWK;
}

/**
 * Signs and reads the codes of tickets: compact JWS with Ed25519, some 220 characters. The payload is {"t": ticket, "p": performance, "g": generation},
 * both ids as the 16 bytes of their UUIDs in base64url. Signing the same twice gives the same code, so none is stored. Whoever has the public keys can read a
 * code without us; that a ticket was not used or refunded meanwhile only we know.
 */
export class TicketCodes {
  private constructor(private readonly keys: readonly [Key, ...Key[]]) {}

  /** The first secret signs; codes signed with any of them are read. Each has at least 32 bytes. */
  static async open(secrets: readonly [string, ...string[]]): Promise<TicketCodes> {
    return new TicketCodes((await Promise.all(secrets.map(keyOf))) as [Key, ...Key[]]);
  }

  /** The public keys as a JSON Web Key Set. */
  get jwks(): { keys: JWK[] } {
    return { keys: this.keys.map(({ jwk }) => jwk) };
  }

  async sign({ ticketId, performanceId, generation }: TicketClaims): Promise<string> {
    const payload = JSON.stringify({ t: packed(ticketId), p: packed(performanceId), g: generation });
    const [{ id, privateKey }] = this.keys;
    return new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg: 'EdDSA', kid: id }).sign(privateKey);
  }

  /** Null for anything we did not sign. */
  async read(code: string): Promise<TicketClaims | null> {
    if (code.length > CODE_LENGTH_MAX) return null;
    try {
      const { payload } = await compactVerify(code, ({ kid }) => this.publicKeyOf(kid), { algorithms: ['EdDSA'] });
      const { t, p, g } = JSON.parse(Buffer.from(payload).toString());
      const claims = { ticketId: unpacked(t), performanceId: unpacked(p), generation: g };
      return isUuid(claims.ticketId) && isUuid(claims.performanceId) && Number.isSafeInteger(g) ? claims : null;
    } catch {
      return null;
    }
  }

  private publicKeyOf(id: string | undefined): KeyObject {
    const key = this.keys.find((known) => known.id === id);
    if (!key) throw new Error('no key of ours');
    return key.publicKey;
  }
}

const CODE_LENGTH_MAX = 500;
/** What stands before the 32 bytes of an Ed25519 private key in PKCS #8. */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');
/** A code carries the id of its key; eight characters tell a handful of keys apart. */
const KEY_ID_LENGTH = 8;

async function keyOf(secret: string): Promise<Key> {
  const seed = Buffer.from(hkdfSync('sha256', secret, '', 'lastseat ticket codes', 32));
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(privateKey);
  const jwk = publicKey.export({ format: 'jwk' }) as JWK;
  const id = (await calculateJwkThumbprint(jwk)).slice(0, KEY_ID_LENGTH);
  return { id, privateKey, publicKey, jwk: { ...jwk, kid: id, alg: 'EdDSA', use: 'sig' } };
}

const packed = (uuid: string) => Buffer.from(uuid.replaceAll('-', ''), 'hex').toString('base64url');

const unpacked = (text: unknown): string =>
  Buffer.from(String(text), 'base64url')
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
