import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SetupError } from './options.ts';

const DATA_DIR = path.resolve('.data/rush');
/** A server that was interrupted while it started leaves its database shutting down for a moment. */
const REMOVE = { recursive: true, force: true, maxRetries: 10, retryDelay: 200 };
const SAID_MAX = 20;
/** Beside the watchers: somebody may look at the rehearsal in a browser. */
const MORE_SOCKETS = 100;

export interface OwnServerOptions {
  environment: NodeJS.ProcessEnv;
  watchers: number;
  keep: boolean;
}

/** A server with an embedded database of its own, for one rehearsal. */
export class OwnServer implements AsyncDisposable {
  private readonly child: ChildProcess;
  private readonly options: OwnServerOptions;
  private readonly said: string[] = [];
  private databaseDirectory: string | undefined;

  constructor(options: OwnServerOptions) {
    this.options = options;
    const main = fileURLToPath(new URL('../main.js', import.meta.url));
    const sockets = String(options.watchers + MORE_SOCKETS);
    this.child = spawn(process.execPath, ['--enable-source-maps', main, '--port', '0'], {
      // Whatever database the environment names is not for rehearsals. Empty means unset.
      env: {
        ...options.environment,
        NODE_ENV: 'development',
        HOST: '127.0.0.1',
        DATABASE_URL: '',
        REDIS_URL: '',
        METRICS_TOKEN: '',
        PAYMENT_SIMULATOR: 'on',
        PAYMENT_SIMULATOR_PORT: '0',
        REHEARSALS: 'on',
        SEED: 'on',
        DATA_DIR,
        LOG_LEVEL: 'warn',
        SOCKETS_MAX: sockets,
        SOCKETS_PER_ADDRESS_MAX: sockets,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Answers its address. @throws SetupError with what the server said, when it ended instead. */
  ready(): Promise<string> {
    return new Promise((resolve, reject) => {
      let url: string | undefined;
      const hear = (line: string) => {
        this.said.push(line);
        if (this.said.length > SAID_MAX) this.said.shift();
        url ??= /^lastseat is ready at (\S+)$/.exec(line)?.[1];
        this.databaseDirectory ??= /embedded PostgreSQL on port \d+, kept in (.+)$/.exec(line)?.[1];
        if (url && this.databaseDirectory) resolve(url);
      };
      for (const stream of [this.child.stdout, this.child.stderr]) if (stream) createInterface({ input: stream }).on('line', hear);
      this.child.on('error', (error) => reject(new SetupError(`The server of the rehearsal did not start: ${error.message}`)));
      this.child.on('close', () =>
        reject(new SetupError(`The server of the rehearsal did not start. It said: ${this.said.join(' ') || 'nothing'}`)),
      );
    });
  }

  /** Stops it and removes its data, unless they are to be kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null && this.child.pid !== undefined) {
      const exited = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await exited;
    }
    if (this.options.keep) return;
    // As root the database may live where the user postgres can reach it, outside of DATA_DIR.
    for (const directory of [this.databaseDirectory, DATA_DIR]) if (directory) await rm(directory, REMOVE);
  }
}
