import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { type RootOf, sourceOf } from '../../support/client.ts';

export type BookingSeen = RootOf<'TestBookingChanged'>;

/** Somebody who watches the booking of one hold over WebSocket, and does not come back when the connection is lost. */
export class BookingWatch implements AsyncDisposable {
  /** Every state, in the order they came. */
  readonly states: BookingSeen[] = [];
  /** What ended the subscription, and every error inside a result. */
  readonly errors: unknown[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  private readonly client: ReturnType<typeof createClient>;
  private readonly stop: () => void;

  constructor(url: string, holdId: string, accessToken?: string) {
    this.client = createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      ...(accessToken !== undefined && { connectionParams: { Authorization: `Bearer ${accessToken}` } }),
      on: { closed: (event) => this.closes.push({ code: (event as CloseEvent).code, reason: (event as CloseEvent).reason }) },
    });
    this.stop = this.client.subscribe<{ bookingChanged: BookingSeen }>(
      { query: sourceOf('TestBookingChanged'), operationName: 'TestBookingChanged', variables: { holdId } },
      {
        next: ({ data, errors }) => {
          if (errors) this.errors.push(...errors);
          if (data) this.states.push(data.bookingChanged);
        },
        error: (error) => this.errors.push(...(Array.isArray(error) ? error : [error])),
        complete: () => undefined,
      },
    );
  }

  get last(): BookingSeen | undefined {
    return this.states.at(-1);
  }

  /** The states of hold and payment, without those that say the same again. */
  get course(): [string, string | null][] {
    const course = this.states.map(({ holdState, paymentState }): [string, string | null] => [holdState, paymentState]);
    return course.filter((state, index) => String(state) !== String(course[index - 1]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.client.dispose();
  }
}
