import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { TestSeatMapChangeFragment } from '../../../schema/generated/operations.ts';
import { sourceOf } from '../../support/client.ts';
import { eventually } from '../../support/wait.ts';

export type Change = TestSeatMapChangeFragment;

const CODES = { available: 0, held: 1, sold: 2, blocked: 3 } as const;

/** What a client makes of the changes it is sent, as the schema's descriptions say it should. */
export class FollowedMap {
  version: number | undefined;
  states: number[] = [];
  /** Every change, in the order they came. */
  readonly changes: Change[] = [];
  /** What a client could not go on from: a change of a version it does not have, or versions that do not rise. */
  readonly gaps: string[] = [];
  /** How many versions were missed each time the whole map came in place of a change. */
  readonly wholeAfter: number[] = [];

  apply(change: Change): void {
    this.changes.push(change);
    if (change.since === null) {
      if (this.version !== undefined && change.version <= this.version) this.gaps.push(`whole map ${change.version} after ${this.version}`);
      if (this.version !== undefined) this.wholeAfter.push(change.version - this.version);
      this.states = change.sections.flatMap(unpacked);
    } else if (change.since !== this.version) this.gaps.push(`a change of ${change.since}, having ${this.version}`);
    for (const name of Object.keys(CODES) as (keyof typeof CODES)[]) for (const number of change[name]) this.states[number] = CODES[name];
    this.version = change.version;
  }

  /** Seats by the code of their state. */
  seats(code: keyof typeof CODES): number[] {
    return this.states.flatMap((state, number) => (state === CODES[code] ? [number] : []));
  }
}

const unpacked = ({ states, count }: Change['sections'][number]) => {
  const bytes = Buffer.from(states, 'base64');
  return Array.from({ length: count }, (_, place) => ((bytes[place >> 2] as number) >> (2 * (place & 3))) & 3);
};

/** Somebody who watches a seat map over WebSocket, and comes back with the version they have when the connection is lost. */
export class MapWatch {
  readonly errors: unknown[] = [];
  /** How often the connection was made. */
  connections = 0;
  private readonly client: ReturnType<typeof createClient>;
  private stop: () => void = () => undefined;
  private isOver = false;

  constructor(
    url: string,
    private readonly performanceId: string,
    readonly map: FollowedMap = new FollowedMap(),
    after: number | undefined = map.version,
  ) {
    this.client = createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      on: { connected: () => void this.connections++ },
    });
    this.subscribe(after);
  }

  /** Resolves when the first message has come. */
  static async open(...args: ConstructorParameters<typeof MapWatch>): Promise<MapWatch> {
    const watch = new MapWatch(...args);
    const before = watch.map.changes.length;
    await eventually(() => watch.map.changes.length > before || watch.errors.length > 0);
    return watch;
  }

  private subscribe(after: number | undefined): void {
    // graphql-ws would retry with the variables it was given first; whoever resumes says anew what they have.
    this.stop = this.client.subscribe<{ seatsChanged: Change }>(
      {
        query: sourceOf('TestSeatsChanged'),
        operationName: 'TestSeatsChanged',
        variables: { performanceId: this.performanceId, ...(after !== undefined && { after }) },
      },
      {
        next: ({ data, errors }) => {
          if (errors) this.errors.push(...errors);
          if (data) this.map.apply(data.seatsChanged);
        },
        error: (error) => (Array.isArray(error) ? this.errors.push(...error) : this.comeBack()),
        complete: () => undefined,
      },
    );
  }

  private comeBack(): void {
    if (!this.isOver) setTimeout(() => this.isOver || this.subscribe(this.map.version), 20);
  }

  async close(): Promise<void> {
    this.isOver = true;
    this.stop();
    await this.client.dispose();
  }
}
