import { readFileSync } from 'node:fs';
import { type DocumentNode, Kind, parse, print, visit } from 'graphql';
import { createClient } from 'graphql-ws';
import { Agent, request } from 'undici';
import { WebSocket } from 'ws';
import { eventually } from './wait.ts';

/** The operations of the tests, by name, as a client would keep them: files, with the fragments they spread. */
const operations = readOperations(new URL('../../schema/operations/tests/tests.graphql', import.meta.url));

// biome-ignore lint/suspicious/noExplicitAny: what an operation answers is asserted value by value; a document read from a file has no type.
type Loose = any;

export interface Answer {
  status: number;
  /** Null when the request was refused before it ran. */
  data: Loose;
  errors: { message: string; path?: (string | number)[]; extensions: { code: string; requestId?: string } }[];
  extensions: Loose;
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

  /** Sends an operation by its name and answers everything that came back. */
  send(operationName: string, variables: object = {}, headers: Record<string, string> = {}): Promise<Answer> {
    return this.post({ query: sourceOf(operationName), operationName, variables }, headers);
  }

  /** Sends an operation and answers the one root field of its data. Throws when there were errors. */
  async run(operationName: string, variables: object = {}): Promise<Loose> {
    const { data, errors, status } = await this.send(operationName, variables);
    if (errors.length > 0) throw new Error(`${operationName} was answered with ${status} ${JSON.stringify(errors)}`);
    return Object.values(data)[0];
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

export function sourceOf(operationName: string): string {
  const source = operations.get(operationName);
  if (!source) throw new Error(`schema/operations/tests has no operation ${operationName}.`);
  return source;
}

function readOperations(file: URL): Map<string, string> {
  const document = parse(readFileSync(file, 'utf8'));
  const fragments = new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.FRAGMENT_DEFINITION ? [[definition.name.value, definition] as const] : [],
    ),
  );
  const spreadIn = (node: DocumentNode['definitions'][number], found = new Set<string>()): Set<string> => {
    visit(node, {
      FragmentSpread({ name }) {
        const fragment = fragments.get(name.value);
        if (!fragment || found.has(name.value)) return;
        found.add(name.value);
        spreadIn(fragment, found);
      },
    });
    return found;
  };
  return new Map(
    document.definitions.flatMap((definition) =>
      definition.kind === Kind.OPERATION_DEFINITION
        ? [
            [
              definition.name?.value ?? '',
              [definition, ...[...spreadIn(definition)].flatMap((name) => fragments.get(name) ?? [])].map(print).join('\n'),
            ] as const,
          ]
        : [],
    ),
  );
}
