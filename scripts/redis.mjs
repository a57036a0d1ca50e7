import { spawnSync } from 'node:child_process';
import { fail, say } from './ensure.mjs';

const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
const isThere = () => Boolean(process.env.REDIS_URL) || has('redis-server') || has('valkey-server');

const MANAGERS = [
  ['apt-get', 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server'],
  ['apk', 'apk add --no-cache redis'],
  ['dnf', 'dnf install -y -q valkey || dnf install -y -q redis'],
  ['pacman', 'pacman -Sy --noconfirm valkey'],
  ['brew', 'brew install redis'],
];

/** A real Redis for the tests: one on the PATH, the one of REDIS_URL, else one from the system's package manager. */
export function ensureRedis() {
  if (isThere()) return;
  const manager = MANAGERS.find(([name]) => has(name));
  const isRoot = process.getuid?.() === 0 || manager?.[0] === 'brew';
  const maySudo = !isRoot && has('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0;
  if (manager && (isRoot || maySudo)) {
    say(`Installing Redis with ${manager[0]}, for the tests.`);
    const [command, args] = isRoot ? ['sh', ['-c', manager[1]]] : ['sudo', ['-n', 'sh', '-c', manager[1]]];
    spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  if (!isThere())
    fail(
      `The tests need a real Redis. Install it (${manager ? `as root: ${manager[1]}` : 'package redis-server or valkey-server of your system'}), or set REDIS_URL to one that may be flushed.`,
    );
}
