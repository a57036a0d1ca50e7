import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { CompactSign, compactVerify, createLocalJWKSet } from 'jose';
import { type TicketClaims, TicketCodes } from '../../../src/features/tickets/index.ts';

const [SECRET, OTHER] = ['a signing secret of the tests, 32 b', 'another secret of the tests, 32 by'];
const CLAIMS: TicketClaims = {
  ticketId: '019a9a11-7b3c-7d4e-8f50-0123456789ab',
  performanceId: '019a9a11-0000-7000-8000-0000000000ff',
  generation: 3,
};

const encoded = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const partsOf = (code: string) => code.split('.') as [header: string, payload: string, signature: string];
const headerOf = (code: string) => JSON.parse(Buffer.from(partsOf(code)[0], 'base64url').toString());

describe('the code of a ticket', () => {
  let codes: TicketCodes;
  let code: string;
  beforeAll(async () => {
    codes = await TicketCodes.open([SECRET]);
    code = await codes.sign(CLAIMS);
  });

  test('is read as what it says, is short enough for a QR code, and the same whenever it is made', async () => {
    expect(await codes.read(code)).toEqual(CLAIMS);
    expect(code.length).toBeLessThanOrEqual(230);
    expect(code).toMatch(/^[\w.-]+$/);
    expect(await (await TicketCodes.open([SECRET])).sign(CLAIMS)).toBe(code);
  });

  test('of another ticket, performance or generation is another one', async () => {
    const others = [
      { ...CLAIMS, ticketId: CLAIMS.performanceId },
      { ...CLAIMS, performanceId: CLAIMS.ticketId },
      { ...CLAIMS, generation: 4 },
    ];

    const made = await Promise.all(others.map((claims) => codes.sign(claims)));

    expect(new Set([code, ...made]).size).toBe(4);
    for (const [index, claims] of others.entries()) expect(await codes.read(made[index] as string)).toEqual(claims);
  });

  test('can be read by any JOSE library that has the public keys, which say nothing private', async () => {
    const { jwks } = codes;

    const { payload } = await compactVerify(code, createLocalJWKSet(jwks));

    const { t, p, g } = JSON.parse(Buffer.from(payload).toString());
    expect(Buffer.from(t, 'base64url').toString('hex')).toBe(CLAIMS.ticketId.replaceAll('-', ''));
    expect(Buffer.from(p, 'base64url').toString('hex')).toBe(CLAIMS.performanceId.replaceAll('-', ''));
    expect(g).toBe(3);
    expect(jwks.keys.map((key) => Object.keys(key).sort())).toEqual([['alg', 'crv', 'kid', 'kty', 'use', 'x']]);
    expect(jwks.keys[0]).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig', kid: headerOf(code).kid });
  });

  test('a new secret in front signs, and codes of the old one are read until it is taken out', async () => {
    const both = await TicketCodes.open([OTHER, SECRET]);
    const fresh = await both.sign(CLAIMS);
    const later = await TicketCodes.open([OTHER]);

    expect(headerOf(fresh).kid).not.toBe(headerOf(code).kid);
    expect([await both.read(code), await both.read(fresh)]).toEqual([CLAIMS, CLAIMS]);
    expect(both.jwks.keys.map(({ kid }) => kid)).toEqual([headerOf(fresh).kid, headerOf(code).kid]);
    expect([await later.read(code), await later.read(fresh)]).toEqual([null, CLAIMS]);
  });

  describe('is nothing when it is', () => {
    const stranger = generateKeyPairSync('ed25519');
    const signedBy = (header: object, payload: unknown, key = stranger.privateKey) => {
      const signed = `${encoded(header)}.${encoded(payload)}`;
      return `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`;
    };
    const payloadOf = () => JSON.parse(Buffer.from(partsOf(code)[1], 'base64url').toString());

    const forgeries: [string, () => string | Promise<string>][] = [
      ['signed with a key of somebody else', async () => (await TicketCodes.open([OTHER])).sign(CLAIMS)],
      ['signed with a strange key under our id', () => signedBy({ alg: 'EdDSA', kid: headerOf(code).kid }, payloadOf())],
      [
        'signed with a key it brings along',
        () => signedBy({ alg: 'EdDSA', kid: headerOf(code).kid, jwk: stranger.publicKey.export({ format: 'jwk' }) }, payloadOf()),
      ],
      ['not signed: alg none', () => `${encoded({ alg: 'none', kid: headerOf(code).kid })}.${partsOf(code)[1]}.`],
      [
        'not signed: alg none with our signature',
        () => `${encoded({ alg: 'none', kid: headerOf(code).kid })}.${partsOf(code)[1]}.${partsOf(code)[2]}`,
      ],
      [
        'signed by HMAC with our public key',
        () =>
          new CompactSign(Buffer.from(JSON.stringify(payloadOf())))
            .setProtectedHeader({ alg: 'HS256', kid: headerOf(code).kid })
            .sign(Buffer.from(String(codes.jwks.keys[0]?.x).padEnd(64))),
      ],
      ['of an unknown key id', () => `${encoded({ alg: 'EdDSA', kid: 'unknown1' })}.${partsOf(code)[1]}.${partsOf(code)[2]}`],
      ['without a key id', () => `${encoded({ alg: 'EdDSA' })}.${partsOf(code)[1]}.${partsOf(code)[2]}`],
      ['of a critical extension', () => `${encoded({ ...headerOf(code), crit: ['exp'] })}.${partsOf(code)[1]}.${partsOf(code)[2]}`],
      [
        'with the payload of another',
        async () => `${partsOf(code)[0]}.${partsOf(await codes.sign({ ...CLAIMS, generation: 4 }))[1]}.${partsOf(code)[2]}`,
      ],
      ['with a raised generation', () => `${partsOf(code)[0]}.${encoded({ ...payloadOf(), g: 4 })}.${partsOf(code)[2]}`],
      ['without its last character', () => code.slice(0, -1)],
      ['without its signature', () => `${partsOf(code)[0]}.${partsOf(code)[1]}.`],
      ['without a part', () => `${partsOf(code)[0]}.${partsOf(code)[1]}`],
      ['with a part more', () => `${code}.${partsOf(code)[2]}`],
      ['empty', () => ''],
      ['three dots', () => '...'],
      ['not a code', () => 'https://example.com/ticket/1'],
      ['text beyond ASCII', () => `${code}좌석`],
      ['a megabyte', () => 'a'.repeat(1_000_000)],
      ['one character too long to look at', () => code.padEnd(501, 'A')],
    ];
    test.each(forgeries)('%s', async (_, forge) => {
      expect(await codes.read(await forge())).toBeNull();
    });

    test.each([
      ['null', null],
      ['a list', []],
      ['a text', '"x"'],
      ['no JSON', 'x'],
      ['no ids', { g: 1 }],
      ['ids of other lengths', { t: 'AAAA', p: 'AAAA', g: 1 }],
      ['numbers for ids', { t: 1, p: 2, g: 1 }],
      ['a generation that is no number', { t: 'AZqaEXs8fU6PUAEjRWeJqw', p: 'AZqaEQAAcACAAAAAAAAA_w', g: '1' }],
      ['a generation that is not whole', { t: 'AZqaEXs8fU6PUAEjRWeJqw', p: 'AZqaEQAAcACAAAAAAAAA_w', g: 1.5 }],
    ])('signed by us and says %s', async (_, payload) => {
      const key = (codes as unknown as { keys: { privateKey: typeof stranger.privateKey }[] }).keys[0]
        ?.privateKey as typeof stranger.privateKey;

      expect(await codes.read(signedBy({ alg: 'EdDSA', kid: headerOf(code).kid }, payload, key))).toBeNull();
    });

    test('changed by any one bit', async () => {
      const bytes = Buffer.from(code);
      const changed = Array.from({ length: bytes.length }, (_, index) => {
        const copy = Buffer.from(bytes);
        copy[index] = (copy[index] as number) ^ 1;
        return copy.toString();
      });

      const read = await Promise.all(changed.map((forged) => codes.read(forged)));

      // The last character of each part has bits that stand for nothing: what is read from it is the same, or nothing.
      const ends = partsOf(code).map((_, index, parts) => parts.slice(0, index + 1).join('.').length - 1);
      const good = read.flatMap((claims, index) => (claims ? [index] : []));
      expect(good.filter((index) => !ends.includes(index))).toEqual([]);
      for (const index of good) expect(read[index]).toEqual(CLAIMS);
    });
  });

  test('the key follows from the secret alone, and is not the secret', async () => {
    const [key] = codes.jwks.keys;

    expect((await TicketCodes.open([SECRET])).jwks).toEqual(codes.jwks);
    expect((await TicketCodes.open([OTHER])).jwks.keys[0]?.x).not.toBe(key?.x);
    expect(key?.x).not.toBe(createHash('sha256').update(SECRET).digest('base64url'));
  });
});
