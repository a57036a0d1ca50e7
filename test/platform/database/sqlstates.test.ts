import { expect, test } from '@jest/globals';
import { isConnectionLost, sqlStateOf } from '../../../src/platform/database/sqlstates.ts';

const wrapped = (cause: object) =>
  Object.assign(new Error('the ORM says'), { cause: Object.assign(new Error('the driver says'), { cause }) });

test('a SQLSTATE is found through the wrappers', () => {
  expect(sqlStateOf(wrapped({ code: '40P01' }))).toBe('40P01');
  expect(sqlStateOf(wrapped({}))).toBeUndefined();
  expect(sqlStateOf(undefined)).toBeUndefined();
});

test.each([
  ['a server that was shut down', { code: '57P01' }, true],
  ['a broken connection by SQLSTATE', { code: '08006' }, true],
  ['a broken pipe, whose code has the form of a SQLSTATE', { code: 'EPIPE', message: 'write EPIPE' }, true],
  ['a reset connection of another realm', { code: 'ECONNRESET', message: 'read ECONNRESET' }, true],
  ['a deadlock', { code: '40P01', message: 'deadlock detected' }, false],
  ['a canceled statement', { code: '57014', message: 'canceling statement due to statement timeout' }, false],
])('%s: connection lost is %s', (_what, cause, expected) => {
  expect(isConnectionLost(cause)).toBe(expected);
  expect(isConnectionLost(wrapped(cause))).toBe(expected);
});
