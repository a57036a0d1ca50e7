import { print } from 'graphql';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { RushWatchDocument, type RushWatchSubscription } from '../../schema/generated/operations.ts';
import { SetupError } from './options.ts';

/** What a watcher was told. */
export interface Watched {
  messages: number;
  /** Versions that were lower than one before. Must stay 0. */
  versionsDown: number;
  last: { version: number; free: number } | null;
  /** Times its socket was opened again after it was lost. */
  reconnects: number;
  /** Why it stopped for good; null while it watches. */
  failure: string | null;
}

/** One member who watches the lesson, with the client of graphql-ws as it is. */
export class Watcher {
  readonly watched: Watched = { messages: 0, versionsDown: 0, last: null, reconnects: 0, failure: null };
  private readonly client: Client;
  private readonly lessonId: string;

  constructor(origin: string, lessonId: string, accessToken: string) {
    this.lessonId = lessonId;
    let connected = 0;
    this.client = createClient({
      url: `${origin.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${accessToken}` },
      // Before the rush a refusal is an answer, not a reason to wait.
      shouldRetry: () => this.watched.last !== null,
      on: {
        connected: () => {
          this.watched.reconnects = connected++;
        },
      },
    });
  }

  /** Answers when the first state has come. @throws SetupError when the server does not take the socket. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.client.subscribe<RushWatchSubscription>(
        { query: print(RushWatchDocument), variables: { ids: [this.lessonId] } },
        {
          next: ({ data, errors }) => {
            if (data) note(this.watched, data.availabilityChanged);
            else this.watched.failure = errors?.[0]?.message ?? 'an empty message';
            resolve();
          },
          error: (error) => {
            this.watched.failure = reasonOf(error);
            reject(refusedWatcher(this.watched.failure));
          },
          complete: () => {
            this.watched.failure ??= 'the server completed the subscription';
          },
        },
      );
    });
  }

  async stop(): Promise<void> {
    // It rejects with why the last connection failed, which is written down already.
    await Promise.resolve(this.client.dispose()).catch(() => undefined);
  }
}

/** Writes down one message. */
export function note(watched: Watched, { version, free }: { version: number; free: number }): void {
  watched.messages++;
  if (watched.last && version < watched.last.version) watched.versionsDown++;
  watched.last = { version, free };
}

/** Why a socket was lost or not taken. */
export function reasonOf(error: unknown): string {
  const { code, reason, message } = error as { code?: number | string; reason?: string; message?: string };
  if (typeof code === 'number') return `closed with ${code}${reason ? `, ${reason}` : ''}`;
  if (Array.isArray(error)) return String(error[0]?.message);
  return message || String(code ?? 'the socket failed');
}

/** For the person at the terminal: what to do about it. */
export const refusedWatcher = (reason: string, otherwise = 'Look at its log, or rehearse without watchers: --watchers 0.') =>
  new SetupError(
    `The server does not take a watcher's WebSocket (${reason}). ${
      reason.includes('Too many connections')
        ? 'Start it with SOCKETS_PER_ADDRESS_MAX (and SOCKETS_MAX) above the number of watchers, or ask for fewer with --watchers.'
        : otherwise
    }`,
  );
