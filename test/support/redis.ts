import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually } from './wait.ts';

export interface TestRedis extends AsyncDisposable {
  /** The same before and after a restart. */
  readonly url: string;
  readonly port: number;
  /** Ends it politely: clients see their connections closed. */
  stop(): Promise<void>;
  /** Ends it with -9: nothing is said to anybody. */
  kill(): Promise<void>;
  /** Starts it again, empty, on the same port, stopping it first if it runs. */
  restart(): Promise<void>;
}

/** A real Redis (or Valkey) of the test's own on a free port of 127.0.0.1, keeping nothing on disk. */
export async function testRedis(): Promise<TestRedis> {
  const binary = ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0);
  if (!binary) throw new Error('No redis-server or valkey-server on the PATH: run `npm test`, which installs one or says how.');
  const directory = await mkdtemp(path.join(tmpdir(), 'lastseat-redis-'));
  const port = await freePort();
  let running = await start(binary, directory, port);

  const end = async (signal: NodeJS.Signals) => {
    if (running.exitCode !== null || running.signalCode !== null) return;
    running.kill(signal);
    await once(running, 'exit');
  };
  const stop = async () => {
    await end('SIGTERM');
    await rm(directory, { recursive: true, force: true });
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop,
    kill: () => end('SIGKILL'),
    restart: async () => {
      await end('SIGTERM');
      running = await start(binary, directory, port);
    },
    [Symbol.asyncDispose]: stop,
  };
}

async function start(binary: string, directory: string, port: number): Promise<ChildProcess> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'];
  const server = spawn(binary, args, { stdio: 'ignore' });
  // A test run that is killed takes its Redis along.
  const endWithUs = () => server.kill('SIGKILL');
  process.once('exit', endWithUs);
  server.once('exit', () => process.removeListener('exit', endWithUs));
  await eventually(() => answersPing(port));
  return server;
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.once('data', (answer) => {
      socket.destroy();
      resolve(answer.toString().startsWith('+PONG'));
    });
    socket.once('error', () => resolve(false));
  });
}

/** Below those that the system gives away by itself: while Redis is down, nobody else comes to have it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const probe = createServer().listen(port, '127.0.0.1');
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}
