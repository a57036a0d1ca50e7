import { describe, expect, test } from '@jest/globals';
import { displayNameOf } from '../../../src/features/accounts/display-name.ts';
import { emailOf } from '../../../src/features/accounts/email.ts';
import { networkOf } from '../../../src/features/accounts/network.ts';
import { isPossiblePassword } from '../../../src/features/accounts/passwords.ts';

describe('an e-mail address', () => {
  test.each([
    ['  Mina@Example.COM ', 'mina@example.com'],
    ['re\u0301my@example.com', 'r\u00e9my@example.com'],
    ['R\u00c9MY@EXAMPLE.COM', 'r\u00e9my@example.com'],
    ['\u1112\u1161\u11ab@예시.한국', '한@예시.한국'],
    [`${'a'.repeat(64)}@${'b'.repeat(185)}.com`, `${'a'.repeat(64)}@${'b'.repeat(185)}.com`],
  ])('%j is kept as %j', (typed, kept) => {
    expect(emailOf(typed)).toBe(kept);
  });

  test.each([
    '',
    'mina',
    'mina@',
    '@example.com',
    'mina@example',
    'mina@example.',
    'a b@example.com',
    'a@b@example.com',
    'mina\u0000@example.com',
    'mina@example.com\nbcc:x@example.com',
    'mi\u200bna@example.com',
    'mina\ud800@example.com',
    `${'a'.repeat(65)}@example.com`,
    `${'a'.repeat(64)}@${'b'.repeat(186)}.com`,
    `${'a'.repeat(1_000_000)}@example.com`,
  ])('%j is none', (typed) => {
    expect(emailOf(typed)).toBeNull();
  });
});

describe('a display name', () => {
  test.each([
    [' Mina ', 'Mina'],
    ['\u1100\u1175\u11b7', '\uae40'],
    ['👩‍👩‍👧', '👩‍👩‍👧'],
    ['👋'.repeat(50), '👋'.repeat(50)],
  ])('%j is kept as %j', (typed, kept) => {
    expect(displayNameOf(typed)).toBe(kept);
  });

  test.each(['', '   ', '\u200d', 'a\u0000b', 'a\nb', 'a\ud800', 'abc\u202edef', '👋'.repeat(51), 'a'.repeat(1_000_000)])(
    '%j is none',
    (typed) => {
      expect(displayNameOf(typed)).toBeNull();
    },
  );
});

describe('a password', () => {
  test.each([
    ['a'.repeat(9), false],
    ['a'.repeat(10), true],
    ['비밀번호열글자입니다', true],
    ['👋'.repeat(9), false],
    ['👋'.repeat(200), true],
    ['a'.repeat(200), true],
    ['a'.repeat(201), false],
    ['\u0000'.repeat(10), true],
    [`${'a'.repeat(10)}\ud800`, false],
  ])('%j is possible: %s', (typed, isPossible) => {
    expect(isPossiblePassword(typed)).toBe(isPossible);
  });
});

describe('the network of a caller', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:DB8:0001:2::9', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0'],
    ['1:2:3::', '1:2:3:0'],
    ['not an address', 'not an address'],
    ['x'.repeat(1_000), 'x'.repeat(64)],
  ])('%s is counted as %s', (clientIp, network) => {
    expect(networkOf(clientIp)).toBe(network);
  });
});
