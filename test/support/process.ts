import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Environment } from '../../src/config.ts';
import { TestStage } from './app.ts';
import { eventually } from './wait.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
/** `npm test` builds it before. */
const MAIN = path.join(ROOT, 'dist/src/main.js');

/** A server of its own process: the built `main.js`, as it is deployed. */
export class ServerProcess implements AsyncDisposable {
  private readonly child: ChildProcess;
  stdout = '';
  stderr = '';

  constructor(environment: Environment, args: readonly string[]) {
    if (!existsSync(MAIN))
      throw new Error('dist/src/main.js is not there: run `npm run build`, or the tests by `npm test`, which builds first.');
    // Nothing of the tests' own environment: what is not given is not set.
    this.child = spawn(process.execPath, [MAIN, ...args], {
      cwd: ROOT,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
    });
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk;
    });
    // A test run that is killed takes its servers along.
    const endWithUs = () => this.child.kill('SIGKILL');
    process.once('exit', endWithUs);
    this.child.once('exit', () => process.removeListener('exit', endWithUs));
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Where it serves, once it says so. Throws with what it said when it ends instead. */
  async ready(): Promise<string> {
    await eventually(() => !this.isRunning || this.stdout.includes('Stop      Ctrl+C'), { withinMs: 120_000 });
    const url = /ready at (http:\S+)/.exec(this.stdout)?.[1];
    if (!url) throw new Error(`The server did not start: ${this.stderr || this.stdout}`);
    return url;
  }

  /** How it ended, when it has. */
  async ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    // `close` and not `exit`: by then everything it said has been read.
    if (this.isRunning || !this.child.stdout?.closed || !this.child.stderr?.closed) await once(this.child, 'close');
    return { code: this.child.exitCode, signal: this.child.signalCode };
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Ends it with -9, in the middle of whatever it does. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended();
  }

  /** Ends it as an operator does, and with -9 when that takes too long. */
  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.signal('SIGTERM');
    const deadline = setTimeout(() => this.signal('SIGKILL'), 10_000);
    await this.ended();
    clearTimeout(deadline);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** A running server with everything tests do with one. */
export class ServerNode extends TestStage implements AsyncDisposable {
  constructor(
    url: string,
    databaseUrl: string,
    readonly process: ServerProcess,
  ) {
    super(url, databaseUrl);
  }

  async stop(): Promise<void> {
    await this.anonymous.close();
    await this.process.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** Starts a node on a database and waits until it serves. */
export async function startNode(environment: Environment & { DATABASE_URL: string }, ...args: string[]): Promise<ServerNode> {
  const server = new ServerProcess(environment, args);
  try {
    return new ServerNode(await server.ready(), environment.DATABASE_URL, server);
  } catch (error) {
    await server.stop();
    throw error;
  }
}
