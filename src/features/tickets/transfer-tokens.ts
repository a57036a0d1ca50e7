import { createHmac, hash } from 'node:crypto';

/** What `base64url` makes of 256 bits. */
const TOKEN = /^[\w-]{43}$/;

/**
 * The secrets of the links that hand tickets on. Each follows from the id of its transfer, so that repeating a request answers with the same link while the
 * database has only its hash: whoever reads the database can accept nothing.
 */
export class TransferTokens {
  /** The first secret makes new tokens; those of the others stay good. */
  constructor(private readonly secrets: readonly [string, ...string[]]) {}

  of(transferId: string): string {
    return tokenOf(this.secrets[0], transferId);
  }

  /** The token whose hash this is, also after another secret has become the first. */
  again(transferId: string, tokenHash: string): string {
    const tokens = this.secrets.map((secret) => tokenOf(secret, transferId));
    // The secret that made it has been removed, and its links with it: this one is refused as any other link that ended.
    return tokens.find((token) => tokenHashOf(token) === tokenHash) ?? this.of(transferId);
  }
}

const tokenOf = (secret: string, transferId: string): string =>
  createHmac('sha256', secret).update(`ticket transfer ${transferId}`).digest('base64url');

/** What is stored of a token, in hexadecimal; null for what cannot be one. */
export const hashOfGiven = (token: string): string | null => (TOKEN.test(token) ? tokenHashOf(token) : null);

export const tokenHashOf = (token: string): string => hash('sha256', token, 'hex');
