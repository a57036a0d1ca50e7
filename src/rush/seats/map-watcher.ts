import { print } from 'graphql';
import { type Client, createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { RushSeatsDocument } from '../../../schema/generated/operations.ts';
import { reasonOf, refusedWatcher } from '../watcher.ts';
import { type MapMessage, MapView } from './map-view.ts';
import type { MapState } from './seat-stage.ts';

/** One browser with the map of a performance, with the client of graphql-ws as it is. After a reconnect it goes on from the version it knows. */
export class MapWatcher {
  readonly view = new MapView();
  reconnects = 0;
  /** Why it stopped for good; null while it watches. */
  failure: string | null = null;
  private readonly client: Client;
  private readonly performanceId: string;
  private isStopped = false;

  constructor(origin: string, performanceId: string) {
    this.performanceId = performanceId;
    let connected = 0;
    this.client = createClient({
      url: `${origin.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      on: {
        connected: () => {
          this.reconnects = connected++;
        },
      },
    });
  }

  /** Answers when the first map has come. @throws SetupError when the server does not take the socket. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const subscribe = () => {
        if (this.isStopped) return;
        const variables = { performanceId: this.performanceId, after: this.view.messages > 0 ? this.view.version : null };
        this.client.subscribe<{ seatsChanged: MapMessage }>(
          { query: print(RushSeatsDocument), variables },
          {
            next: ({ data, errors }) => {
              if (data) this.view.apply(data.seatsChanged);
              else this.failure = errors?.[0]?.message ?? 'an empty message';
              resolve();
            },
            error: (error) => {
              if (this.isStopped) return;
              if (this.view.messages > 0) setTimeout(subscribe, AGAIN_MS);
              else {
                this.failure = reasonOf(error);
                reject(refusedWatcher(this.failure, 'Look at its log.'));
              }
            },
            complete: () => {
              if (!this.isStopped) this.failure ??= 'the server completed the subscription';
            },
          },
        );
      };
      subscribe();
    });
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.resolve(this.client.dispose()).catch(() => undefined);
  }
}

/** What a watcher was told by a moment, and whether it was the truth. */
export interface WatchedMap {
  messages: number;
  gaps: number;
  versionsDown: number;
  reconnects: number;
  failure: string | null;
  /** Its map is that of the query, seat by seat and in its version, and it still watches. */
  isRight: boolean;
}

export function watchedOf({ view, reconnects, failure }: Pick<MapWatcher, 'view' | 'reconnects' | 'failure'>, map: MapState): WatchedMap {
  const { messages, gaps, versionsDown, version, states } = view;
  const isRight = failure === null && version === map.version && Buffer.from(states).equals(Buffer.from(map.states));
  return { messages, gaps, versionsDown, reconnects, failure, isRight };
}

const AGAIN_MS = 500;
