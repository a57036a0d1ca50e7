import { isIPv6 } from 'node:net';

/**
 * What counts as one caller when attempts are counted: an IPv4 address, or the first 64 bits of an IPv6 address, because whoever
 * has one IPv6 address usually has all 2^64 of its network.
 */
export function networkOf(clientIp: string): string {
  const address = clientIp.split('%', 1)[0] ?? '';
  if (!isIPv6(address)) return address.slice(0, 64);
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1]) return mapped[1];
  // URL writes an IPv6 address in its one canonical form; what "::" left out is put back.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const before = head ? head.split(':') : [];
  const after = tail ? tail.split(':') : [];
  const left = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array<string>(left).fill('0'), ...after].slice(0, 4).join(':');
}
