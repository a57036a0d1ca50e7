import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';
import { Agent, request } from 'undici';
import { WebSocket } from 'ws';
import * as documents from '../../schema/generated/operations.ts';
import { eventually } from './wait.ts';

type Documents = typeof documents;

/** An operation of schema/operations/tests. */
export type OperationName = {
  [Name in keyof Documents]: Name extends `Test${infer Rest}Document` ? `Test${Rest}` : never;
}[keyof Documents];

type DocumentOf<Name extends OperationName> = Documents[`${Name}Document`];
export type VariablesOf<Name extends OperationName> =
  DocumentOf<Name> extends TypedDocumentNode<infer _, infer Variables> ? Variables : never;
type ResultOf<Name extends OperationName> = DocumentOf<Name> extends TypedDocumentNode<infer Result, infer _> ? Result : never;

/** Every field of every member of a union, as if all were there: which member it is, is what the test asserts. */
export type Flat<Union> = {
  [Field in Union extends unknown ? keyof Union : never]: Union extends { [Key in Field]?: infer Value } ? Value : never;
};

/** The one root field of an operation. */
export type RootOf<Name extends OperationName> = RootField<Omit<ResultOf<Name>, '__typename'>>;
type RootField<Result> = Result[keyof Result] extends infer Root
  ? NonNullable<Root> extends readonly unknown[]
    ? NonNullable<Root>
    : Flat<NonNullable<Root>>
  : never;

export interface Answer {
  status: number;
  /** Null when the request was refused before it ran. Without a type: only requests that should fail, or that `run` does not fit, are sent so. */
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  data: any;
  errors: { message: string; path?: (string | number)[]; extensions: { code: string; requestId?: string } }[];
  extensions: { cost?: { requested: number; limit: number } } | undefined;
  headers: Record<string, string | string[] | undefined>;
}

/** One caller of one server, over HTTP and WebSocket. `as` makes another caller that shares the connections. */
export class TestClient {
  private readonly agent: Agent;

  constructor(
    readonly url: string,
    readonly accessToken: string | undefined = undefined,
    agent?: Agent,
  ) {
    this.agent = agent ?? new Agent({ keepAliveTimeout: 10_000 });
  }

  as(accessToken: string | undefined): TestClient {
    return new TestClient(this.url, accessToken, this.agent);
  }

  /** Any body, any headers: for what a well-behaved client does not send. */
  async post(body: object | string, headers: Record<string, string> = {}): Promise<Answer> {
    const response = await request(`${this.url}/graphql`, {
      method: 'POST',
      dispatcher: this.agent,
      headers: {
        'content-type': 'application/json',
        ...(this.accessToken !== undefined && { authorization: `Bearer ${this.accessToken}` }),
        ...headers,
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const answer = (await response.body.json()) as Partial<Answer>;
    return {
      status: response.statusCode,
      data: answer.data ?? null,
      errors: answer.errors ?? [],
      extensions: answer.extensions,
      headers: response.headers,
    };
  }

  /** Sends an operation with any variables, also wrong ones, and answers everything that came back. */
  send(operationName: OperationName, variables: object = {}, headers: Record<string, string> = {}): Promise<Answer> {
    return this.post({ query: sourceOf(operationName), operationName, variables }, headers);
  }

  /** Sends an operation and answers the one root field of its data. Throws when there were errors. */
  async run<Name extends OperationName>(
    operationName: Name,
    ...[variables]: Record<string, never> extends VariablesOf<Name> ? [variables?: VariablesOf<Name>] : [variables: VariablesOf<Name>]
  ): Promise<RootOf<Name>> {
    const { data, errors, status } = await this.send(operationName, variables ?? {});
    if (errors.length > 0) throw new Error(`${operationName} was answered with ${status} ${JSON.stringify(errors)}`);
    return Object.values(data)[0] as RootOf<Name>;
  }

  /** Begins to watch availabilities; resolves when each of them has said its current state. */
  async watch(...ids: string[]): Promise<Watch> {
    const watch = new Watch(this.url, ids, this.accessToken);
    await eventually(() => ids.every((id) => watch.lastOf(id)));
    return watch;
  }

  async close(): Promise<void> {
    await this.agent.close();
  }
}

export interface AvailabilityState {
  id: string;
  capacity: number;
  free: number;
  held: number;
  sold: number;
  version: number;
  at: string;
}

/** Somebody who watches over WebSocket, with the client everybody uses, and comes back when the connection is lost. */
export class Watch {
  /** Every state of every id, in the order they came. */
  readonly states: AvailabilityState[] = [];
  /** What ended the subscription, and every error inside a result. */
  readonly errors: unknown[] = [];
  /** The code and reason of every close the server began. */
  readonly closes: { code: number; reason: string }[] = [];
  private readonly client: ReturnType<typeof createClient>;
  private readonly stop: () => void;

  constructor(url: string, ids: readonly string[], accessToken?: string, { retryAttempts = 0 }: { retryAttempts?: number } = {}) {
    this.client = createClient({
      url: `${url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
      shouldRetry: () => true,
      ...(accessToken !== undefined && { connectionParams: { Authorization: `Bearer ${accessToken}` } }),
      on: { closed: (event) => this.closes.push({ code: (event as CloseEvent).code, reason: (event as CloseEvent).reason }) },
    });
    this.stop = this.client.subscribe<{ availabilityChanged: AvailabilityState }>(
      { query: sourceOf('TestAvailabilityChanged'), operationName: 'TestAvailabilityChanged', variables: { ids } },
      {
        next: ({ data, errors }) => {
          if (errors) this.errors.push(...errors);
          if (data) this.states.push(data.availabilityChanged);
        },
        error: (error) => this.errors.push(...(Array.isArray(error) ? error : [error])),
        complete: () => undefined,
      },
    );
  }

  of(id: string): AvailabilityState[] {
    return this.states.filter((state) => state.id === id);
  }

  lastOf(id: string): AvailabilityState | null {
    return this.of(id).at(-1) ?? null;
  }

  async close(): Promise<void> {
    this.stop();
    await this.client.dispose();
  }
}

const sources = new Map<OperationName, string>();

/** The text of an operation with its fragments. */
export function sourceOf(operationName: OperationName): string {
  let source = sources.get(operationName);
  if (source === undefined) {
    // biome-ignore lint/performance/noDynamicNamespaceImportAccess: tests are not bundled.
    source = print(documents[`${operationName}Document`]);
    sources.set(operationName, source);
  }
  return source;
}
