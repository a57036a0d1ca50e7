import type { Answer } from './connections.ts';

/** What became of the requests of one kind. */
export interface Tally {
  granted: number;
  /** By the code of the typed refusal. */
  refused: Record<string, number>;
  /** By the code of the top-level error, or `HTTP <status>` where there is none. */
  errors: Record<string, number>;
  /** Requests that never got an answer, after all attempts. What was done for them is unknown. */
  unanswered: number;
  /** Milliseconds from the moment the member wanted to the answer, one of each answer. */
  fromClick: Float64Array;
  /** Milliseconds from sending the request that was answered to the answer, one of each answer. */
  onTheWire: Float64Array;
}

/** A counter with room for the latencies of so many answers. */
export class Counter {
  private readonly tally: Tally;
  private answers = 0;

  constructor(most: number) {
    this.tally = {
      granted: 0,
      refused: {},
      errors: {},
      unanswered: 0,
      fromClick: new Float64Array(most),
      onTheWire: new Float64Array(most),
    };
  }

  get granted(): number {
    return this.tally.granted;
  }

  count(reading: Reading<unknown> | undefined, { sentAt, endedAt }: Pick<Answer, 'sentAt' | 'endedAt'>, wantedAt: number): void {
    if (!reading) {
      this.tally.unanswered++;
      return;
    }
    if ('granted' in reading) this.tally.granted++;
    else if ('refused' in reading) increase(this.tally.refused, reading.refused);
    else increase(this.tally.errors, reading.error);
    this.tally.fromClick[this.answers] = endedAt - wantedAt;
    this.tally.onTheWire[this.answers] = endedAt - sentAt;
    this.answers++;
  }

  result(): Tally {
    const { fromClick, onTheWire } = this.tally;
    return { ...this.tally, fromClick: fromClick.slice(0, this.answers), onTheWire: onTheWire.slice(0, this.answers) };
  }
}

/** What an answer says: a success, a typed refusal, or a top-level error. */
export type Reading<Success> = { granted: Success } | { refused: string } | { error: string };

/**
 * Reads answers. Refusals of one sale are the same to the byte, so each distinct one is parsed once: in a rush of 100,000 for 10,000
 * that is nine answers of ten.
 */
export class AnswerReader<Success extends { __typename: string }> {
  private readonly known = new Map<string, Reading<Success>>();

  read({ status, body }: Pick<Answer, 'status' | 'body'>): Reading<Success> {
    const known = this.known.get(body);
    if (known) return known;
    const reading = readingOf<Success>(status, body);
    if ('refused' in reading && this.known.size < DISTINCT_MAX) this.known.set(body, reading);
    return reading;
  }
}

/** Refusals may name what they are about. */
const DISTINCT_MAX = 100;

/** What an answer says. A list has nothing to refuse: it is a success. */
export function readingOf<Success>(status: number, body: string): Reading<Success> {
  const parsed = parse(body);
  const result = Object.values(parsed?.data ?? {})[0];
  if (Array.isArray(result) || result?.__typename.endsWith('Success')) return { granted: result as Success };
  if (result?.code) return { refused: result.code };
  return { error: parsed?.errors?.[0]?.extensions?.code ?? `HTTP ${status}` };
}

interface Body {
  data?: Record<string, { __typename: string; code?: string } | unknown[] | null> | null;
  errors?: { extensions?: { code?: string } }[];
}

/** A proxy in between may answer with a page. */
function parse(body: string): Body | undefined {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** One tally of several crowds. */
export function merged(tallies: readonly Tally[]): Tally {
  const sum = (numberOf: (tally: Tally) => number) => tallies.reduce((total, tally) => total + numberOf(tally), 0);
  return {
    granted: sum((tally) => tally.granted),
    refused: summed(tallies.map((tally) => tally.refused)),
    errors: summed(tallies.map((tally) => tally.errors)),
    unanswered: sum((tally) => tally.unanswered),
    fromClick: joined(tallies.map((tally) => tally.fromClick)),
    onTheWire: joined(tallies.map((tally) => tally.onTheWire)),
  };
}

export const total = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** Milliseconds; null for each where there was no answer. */
export interface Latency {
  p50: number | null;
  p95: number | null;
  p99: number | null;
  max: number | null;
}

/** By nearest rank: each is a latency that some member really had. */
export function latencyOf(samples: Float64Array): Latency {
  const sorted = samples.toSorted();
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}

function increase(counts: Record<string, number>, key: string, by = 1): void {
  counts[key] = (counts[key] ?? 0) + by;
}

function summed(all: readonly Record<string, number>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const counts of all) for (const [key, count] of Object.entries(counts)) increase(sums, key, count);
  return sums;
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const whole = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
