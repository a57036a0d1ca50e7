import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { SetupError } from './options.ts';

/** A top-level error of the server, by its code. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** The GraphQL API of one server, for everything but the rush itself. */
export class Api {
  readonly origin: string;

  constructor(origin: string) {
    this.origin = origin;
  }

  /** @throws ApiError what the server says is wrong; SetupError when it does not answer. */
  async call<Data, Variables>(
    document: TypedDocumentNode<Data, Variables> | string,
    variables: Variables,
    accessToken?: string,
  ): Promise<Data> {
    const query = typeof document === 'string' ? document : print(document);
    const response = await this.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(accessToken && { authorization: `Bearer ${accessToken}` }) },
      body: JSON.stringify({ query, variables }),
    });
    const text = await response.text();
    let body: { data?: Data; errors?: { message: string; extensions?: { code?: string } }[] };
    try {
      body = JSON.parse(text);
    } catch {
      throw new SetupError(`${this.origin}/graphql answers with status ${response.status} and no JSON: it is not a lastseat server.`);
    }
    const [error] = body.errors ?? [];
    if (error || !body.data) throw new ApiError(error?.extensions?.code ?? `HTTP_${response.status}`, error?.message ?? text.slice(0, 200));
    return body.data;
  }

  /** Null where there is none that answers. */
  async health(): Promise<{ isReady: boolean; status: string } | null> {
    try {
      const response = await fetch(`${this.origin}/health/ready`, { signal: AbortSignal.timeout(HEALTH_WITHIN_MS) });
      const { status } = (await response.json()) as { status: string };
      return { isReady: response.ok, status };
    } catch {
      return null;
    }
  }

  /** The text of /metrics, or the sentence that says why it cannot be read. */
  async metrics(token: string | undefined): Promise<{ text: string } | { problem: string }> {
    const response = await this.fetch('/metrics', { headers: token ? { authorization: `Bearer ${token}` } : {} });
    const text = await response.text();
    if (response.ok) return { text };
    return { problem: `/metrics answers with status ${response.status}: set RUSH_METRICS_TOKEN to the METRICS_TOKEN of the server.` };
  }

  private async fetch(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(`${this.origin}${path}`, { ...init, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    } catch (error) {
      const { cause, message } = error as Error & { cause?: Error };
      throw new SetupError(`${this.origin} does not answer (${cause?.message || message}).`, { cause: error });
    }
  }
}

const HEALTH_WITHIN_MS = 3_000;
/** 10,000 members in one call take about a second. */
const ANSWER_WITHIN_MS = 60_000;
