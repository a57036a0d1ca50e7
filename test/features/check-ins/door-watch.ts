import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { type RootOf, sourceOf } from '../../support/client.ts';
import { eventually } from '../../support/wait.ts';

export type DoorSeen = RootOf<'TestCheckInsChanged'>;

/** Somebody who watches the counter of a door over WebSocket, and does not come back when the connection is lost. */
export class DoorWatch implements AsyncDisposable {
  /** Every state, in the order they came. */
  readonly states: DoorSeen[] = [];
  /** What ended the subscription, and every error inside a result. */
  readonly errors: { extensions?: { code: string } }[] = [];
  private readonly client: ReturnType<typeof createClient>;
  private readonly stop: () => void;

  constructor(url: string, performanceId: string, accessToken?: string) {
    this.client = createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      ...(accessToken !== undefined && { connectionParams: { Authorization: `Bearer ${accessToken}` } }),
    });
    this.stop = this.client.subscribe<{ checkInsChanged: DoorSeen }>(
      { query: sourceOf('TestCheckInsChanged'), operationName: 'TestCheckInsChanged', variables: { performanceId } },
      {
        next: ({ data, errors }) => {
          if (errors) this.errors.push(...(errors as never[]));
          if (data) this.states.push(data.checkInsChanged);
        },
        error: (error) => this.errors.push(...((Array.isArray(error) ? error : [error]) as never[])),
        complete: () => undefined,
      },
    );
  }

  get last(): DoorSeen | undefined {
    return this.states.at(-1);
  }

  /** The first state, or the code of what there is instead. */
  async first(): Promise<DoorSeen | string | undefined> {
    await eventually(() => this.states.length > 0 || this.errors.length > 0);
    return this.states[0] ?? this.errors[0]?.extensions?.code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.client.dispose();
  }
}
