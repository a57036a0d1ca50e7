import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Crowd, type CrowdPlan, type CrowdResult, LocalCrowd, mergedResults, type Progress } from './crowd.ts';
import { SetupError, UnjudgedError } from './options.ts';
import type { Watched } from './watcher.ts';

/** What the parent asks; the child answers each with the same `id`. */
type Question = { id: number } & ({ ask: 'prepare'; plan: CrowdPlan } | { ask: 'rush' } | { ask: 'watched' });
type Reply = { id: number; value: unknown } | { id: number; failure: string; isSetup: boolean } | { progress: Progress };

const PROGRESS_EVERY_MS = 200;

/** The members of a plan, played by `processes` of them: this one when it is 1. */
export function crowdOf(plan: CrowdPlan, processes: number): Crowd {
  if (processes === 1) return new LocalCrowd(plan);
  return new ManyCrowds(Array.from({ length: processes }, (_, index) => new DistantCrowd(partOf(plan, index, processes))));
}

function partOf(plan: CrowdPlan, index: number, processes: number): CrowdPlan {
  const part = (count: number) => Math.floor(((index + 1) * count) / processes) - Math.floor((index * count) / processes);
  const first = Math.floor((index * plan.accessTokens.length) / processes);
  const accessTokens = plan.accessTokens.slice(first, first + part(plan.accessTokens.length));
  return { ...plan, accessTokens, watchers: Math.min(part(plan.watchers), accessTokens.length), connections: part(plan.connections) };
}

/** Several crowds as one. */
class ManyCrowds implements Crowd {
  private readonly crowds: readonly Crowd[];

  constructor(crowds: readonly Crowd[]) {
    this.crowds = crowds;
  }

  get progress(): Progress {
    const sum = (key: keyof Progress) => this.crowds.reduce((total, { progress }) => total + progress[key], 0);
    return { answered: sum('answered'), won: sum('won'), paid: sum('paid') };
  }

  async prepare(): Promise<void> {
    await Promise.all(this.crowds.map((crowd) => crowd.prepare()));
  }

  async rush(): Promise<CrowdResult> {
    return mergedResults(await Promise.all(this.crowds.map((crowd) => crowd.rush())));
  }

  async watched(): Promise<Watched[]> {
    return (await Promise.all(this.crowds.map((crowd) => crowd.watched()))).flat();
  }

  async close(): Promise<void> {
    await Promise.all(this.crowds.map((crowd) => crowd.close()));
  }
}

/** A crowd in a process of its own. It ends with ours: a closed channel disconnects it. */
class DistantCrowd implements Crowd {
  progress: Progress = { answered: 0, won: 0, paid: 0 };
  private readonly plan: CrowdPlan;
  private readonly child: ChildProcess;
  private readonly open = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private questions = 0;
  private hasRushed = false;

  constructor(plan: CrowdPlan) {
    this.plan = plan;
    this.child = fork(fileURLToPath(import.meta.url), [PLAYER], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.child.on('message', (reply: Reply) => this.hear(reply));
    this.child.on('exit', (code, signal) => {
      const sentence = `A process that plays members ended (${signal ?? `exit code ${code}`}).`;
      for (const { reject } of this.open.values()) reject(this.hasRushed ? new UnjudgedError(sentence) : new SetupError(sentence));
      this.open.clear();
    });
  }

  prepare = () => this.ask<void>({ ask: 'prepare', plan: this.plan });
  rush = () => {
    this.hasRushed = true;
    return this.ask<CrowdResult>({ ask: 'rush' });
  };
  watched = () => this.ask<Watched[]>({ ask: 'watched' });

  async close(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    if (this.child.connected) this.child.disconnect();
    await exited;
  }

  private ask<Value>(question: { ask: 'prepare'; plan: CrowdPlan } | { ask: 'rush' } | { ask: 'watched' }): Promise<Value> {
    const id = ++this.questions;
    return new Promise((resolve, reject) => {
      this.open.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.child.send({ id, ...question } satisfies Question, (error) => error && reject(error));
    });
  }

  private hear(reply: Reply): void {
    if ('progress' in reply) {
      this.progress = reply.progress;
      return;
    }
    const asker = this.open.get(reply.id);
    this.open.delete(reply.id);
    if ('failure' in reply) asker?.reject(reply.isSetup ? new SetupError(reply.failure) : new Error(reply.failure));
    else asker?.resolve(reply.value);
  }
}

const PLAYER = '--play-members';

/** The other side: plays members for the process that forked this one. */
function play(tell: (reply: Reply) => void): void {
  let crowd: LocalCrowd | undefined;
  const answers = {
    prepare: async (question: Question) => {
      if (question.ask === 'prepare') crowd = new LocalCrowd(question.plan);
      await crowd?.prepare();
    },
    rush: async () => {
      const timer = setInterval(() => crowd && tell({ progress: crowd.progress }), PROGRESS_EVERY_MS);
      try {
        return await crowd?.rush();
      } finally {
        clearInterval(timer);
        if (crowd) tell({ progress: crowd.progress });
      }
    },
    watched: async () => crowd?.watched(),
  };
  process.on('message', (question: Question) => {
    answers[question.ask](question).then(
      (value) => tell({ id: question.id, value }),
      (error: Error) => tell({ id: question.id, failure: error.message, isSetup: error instanceof SetupError }),
    );
  });
  // Ctrl+C in a terminal reaches every process of the group: the parent decides what ends when.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
  process.on('disconnect', () => void (crowd?.close() ?? Promise.resolve()).finally(() => process.exit(0)));
}

if (process.argv[2] === PLAYER && process.send) play((reply) => void process.send?.(reply));
