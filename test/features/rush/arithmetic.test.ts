import { describe, expect, test } from '@jest/globals';
import { type Facts, judge } from '../../../src/rush/invariants.ts';
import { lineOf } from '../../../src/rush/progress.ts';
import { spreadOf } from '../../../src/rush/report.ts';
import { seriesOf, workBetween } from '../../../src/rush/server-metrics.ts';
import { AnswerReader, Counter, latencyOf, merged } from '../../../src/rush/tally.ts';
import { note, type Watched } from '../../../src/rush/watcher.ts';

describe('latencies', () => {
  test('are by nearest rank, whatever order they came in', () => {
    const samples = Float64Array.from({ length: 100 }, (_, index) => 100 - index);

    expect(latencyOf(samples)).toEqual({ p50: 50, p95: 95, p99: 99, max: 100 });
    expect(samples[0]).toBe(100);
  });

  test('of one answer are that answer, of none are null', () => {
    expect(latencyOf(Float64Array.of(7))).toEqual({ p50: 7, p95: 7, p99: 7, max: 7 });
    expect(latencyOf(new Float64Array(0))).toEqual({ p50: null, p95: null, p99: null, max: null });
  });
});

describe('the tally', () => {
  test('counts each reading under its own name and times only what was answered', () => {
    const counter = new Counter(5);

    counter.count({ granted: {} }, { sentAt: 10, endedAt: 15 }, 0);
    counter.count({ refused: 'SOLD_OUT' }, { sentAt: 12, endedAt: 19 }, 0);
    counter.count({ refused: 'SOLD_OUT' }, { sentAt: 13, endedAt: 20 }, 1);
    counter.count({ error: 'UNAUTHENTICATED' }, { sentAt: 1, endedAt: 2 }, 1);
    counter.count(undefined, { sentAt: 0, endedAt: 0 }, 0);

    expect(counter.result()).toEqual({
      granted: 1,
      refused: { SOLD_OUT: 2 },
      errors: { UNAUTHENTICATED: 1 },
      unanswered: 1,
      fromClick: Float64Array.of(15, 19, 19, 1),
      onTheWire: Float64Array.of(5, 7, 7, 1),
    });
  });

  test('of two crowds is the sum of theirs', () => {
    const [one, two] = [new Counter(1), new Counter(2)];
    one.count({ refused: 'SOLD_OUT' }, { sentAt: 1, endedAt: 3 }, 0);
    two.count({ refused: 'SOLD_OUT' }, { sentAt: 1, endedAt: 4 }, 0);
    two.count({ refused: 'BUSY' }, { sentAt: 1, endedAt: 5 }, 0);

    expect(merged([one.result(), two.result()])).toEqual({
      granted: 0,
      refused: { SOLD_OUT: 2, BUSY: 1 },
      errors: {},
      unanswered: 0,
      fromClick: Float64Array.of(3, 4, 5),
      onTheWire: Float64Array.of(2, 3, 4),
    });
  });

  test.each([
    [
      'a success',
      200,
      '{"data":{"enroll":{"__typename":"EnrollSuccess","enrollment":{"id":"x"}}}}',
      { granted: { __typename: 'EnrollSuccess', enrollment: { id: 'x' } } },
    ],
    ['a refusal', 200, '{"data":{"enroll":{"__typename":"NoPlaceLeftError","code":"SOLD_OUT"}}}', { refused: 'SOLD_OUT' }],
    ['a top-level error', 401, '{"errors":[{"extensions":{"code":"UNAUTHENTICATED"}}]}', { error: 'UNAUTHENTICATED' }],
    ['null with an error', 200, '{"data":{"enroll":null},"errors":[{"extensions":{"code":"FORBIDDEN"}}]}', { error: 'FORBIDDEN' }],
    ['a page of a proxy', 502, '<html>', { error: 'HTTP 502' }],
    ['nothing', 503, '', { error: 'HTTP 503' }],
  ])('reads %s', (_, status, body, reading) => {
    const reader = new AnswerReader();

    expect(reader.read({ status, body })).toEqual(reading);
    expect(reader.read({ status, body })).toEqual(reading);
  });
});

describe('the work of the server', () => {
  const metrics = (claims: number, retries: number) =>
    seriesOf(`# HELP lastseat_claims_total Claims decided, by kind and outcome.
# TYPE lastseat_claims_total counter
lastseat_claims_total{kind="lesson",outcome="GRANTED"} ${claims}
lastseat_claims_total{kind="locker",outcome="GRANTED"} 1
lastseat_transactions_total{name="claim-holds"} ${claims * 2}
lastseat_transactions_total{name="start-payment"} 5
lastseat_transaction_retries_total{name="claim-holds",cause="deadlock"} ${retries}
lastseat_claim_batch_size_bucket{le="1"} ${claims}
lastseat_claim_batch_size_bucket{le="2"} ${claims}
lastseat_claim_batch_size_bucket{le="512"} ${claims * 2}
lastseat_claim_batch_size_bucket{le="+Inf"} ${claims * 2}
lastseat_claim_batch_size_sum ${claims * 100}
lastseat_claim_batch_size_count ${claims * 2}
lastseat_lock_wait_seconds_sum ${claims / 1000}
lastseat_lock_wait_seconds_count ${claims * 2}
`);

  test('is what the counters grew by', () => {
    expect(workBetween(metrics(10, 1), metrics(30, 3))).toEqual({
      claims: { GRANTED: 20 },
      transactions: { 'claim-holds': 40 },
      retries: { deadlock: 2 },
      retriedShare: 0.05,
      batches: { count: 40, average: 50, upTo: { 1: 20, 512: 20 } },
      lockWait: { count: 40, averageMs: expect.closeTo(0.5) },
    });
  });

  test('of a server that was started again is what it counted since', () => {
    const work = workBetween(metrics(30, 3), metrics(2, 0));

    expect(work.claims).toEqual({ GRANTED: 2 });
    expect(work.transactions).toEqual({ 'claim-holds': 4 });
    expect(work.retries).toEqual({});
  });

  test('of a server that did nothing has no averages', () => {
    expect(workBetween(metrics(1, 1), metrics(1, 1))).toEqual({
      claims: {},
      transactions: {},
      retries: {},
      retriedShare: null,
      batches: { count: 0, average: null, upTo: {} },
      lockWait: { count: 0, averageMs: null },
    });
  });
});

describe('a watcher', () => {
  test('counts messages, keeps the last state, and counts versions that go down', () => {
    const watched: Watched = { messages: 0, versionsDown: 0, last: null, reconnects: 0, failure: null };

    for (const [version, free] of [
      [3, 10],
      [3, 9],
      [5, 2],
      [4, 3],
      [6, 0],
    ] as const)
      note(watched, { version, free });

    expect(watched).toEqual({ messages: 5, versionsDown: 1, last: { version: 6, free: 0 }, reconnects: 0, failure: null });
  });

  test('messages of many are spread between min and max', () => {
    expect(spreadOf([3, 1, 5])).toEqual({ min: 1, average: 3, max: 5 });
    expect(spreadOf([])).toBeNull();
  });
});

describe('the verdict', () => {
  const tally = (granted: number, refused: number) => {
    const counter = new Counter(granted + refused);
    for (let n = 0; n < granted; n++) counter.count({ granted: {} }, { sentAt: 0, endedAt: 1 }, 0);
    for (let n = 0; n < refused; n++) counter.count({ refused: 'SOLD_OUT' }, { sentAt: 0, endedAt: 1 }, 0);
    return counter.result();
  };
  const watcher = (state: { version: number; free: number }): Watched => ({
    messages: 1,
    versionsDown: 0,
    last: state,
    reconnects: 0,
    failure: null,
  });
  const good = (): Facts => ({
    members: 11,
    places: 10,
    enrolments: tally(10, 1),
    payments: tally(5, 0),
    firstExpiresAt: '2026-12-01T00:05:00.000Z',
    state: { capacity: 10, free: 0, held: 5, sold: 5, version: 7, at: '2026-12-01T00:00:10.000Z' },
    watched: [watcher({ version: 7, free: 0 }), watcher({ version: 7, free: 0 })],
    audit: { at: '2026-12-01T00:00:11.000Z', oversold: 0, ok: true, checks: [{ name: 'one', promise: 'One.', violations: 0 }] },
  });
  const broken = (change: Partial<Facts>) =>
    judge({ ...good(), ...change })
      .filter(({ kept }) => !kept)
      .map(({ name }) => name);

  test('is kept all along when everything is right', () => {
    expect(judge(good()).map(({ name, kept }) => [name, kept])).toEqual(
      [
        'everybody-answered',
        'winners-within-places',
        'every-place-given',
        'counters-equal-answers',
        'sold-equals-paid',
        'nothing-oversold',
        'audit-kept',
        'watchers-know-the-truth',
        'versions-never-go-down',
      ].map((name) => [name, true]),
    );
  });

  const state = good().state;
  test.each<[string, Partial<Facts>, string[]]>([
    [
      'one winner too many',
      { enrolments: tally(11, 0), state: { ...state, held: 6, free: -1 }, watched: [] },
      ['winners-within-places', 'every-place-given', 'nothing-oversold'],
    ],
    ['a place nobody got', { enrolments: tally(9, 2), state: { ...state, held: 4, free: 1 }, watched: [] }, ['every-place-given']],
    ['a winner the server does not know', { state: { ...state, held: 4, free: 1 }, watched: [] }, ['counters-equal-answers']],
    ['a payment the server does not know', { payments: tally(6, 0) }, ['sold-equals-paid']],
    ['a sale nobody paid', { payments: tally(4, 0) }, ['sold-equals-paid']],
    ['an oversold pool', { audit: { at: '', oversold: 1, ok: true, checks: [] } }, ['nothing-oversold']],
    [
      'a broken check',
      { audit: { at: '', oversold: 0, ok: true, checks: [{ name: 'one', promise: 'One.', violations: 2 }] } },
      ['audit-kept'],
    ],
    ['no audit from after the rush', { audit: null }, ['nothing-oversold', 'audit-kept']],
    ['a watcher of an older version', { watched: [watcher({ version: 6, free: 0 })] }, ['watchers-know-the-truth']],
    ['a watcher with another number', { watched: [watcher({ version: 7, free: 1 })] }, ['watchers-know-the-truth']],
    ['a watcher who was told nothing', { watched: [{ ...watcher({ version: 7, free: 0 }), last: null }] }, ['watchers-know-the-truth']],
    [
      'a watcher who stopped',
      { watched: [{ ...watcher({ version: 7, free: 0 }), failure: 'closed with 1013' }] },
      ['watchers-know-the-truth'],
    ],
    ['a version that went down', { watched: [{ ...watcher({ version: 7, free: 0 }), versionsDown: 1 }] }, ['versions-never-go-down']],
    [
      'fewer members than places',
      {
        members: 3,
        places: 10,
        enrolments: tally(3, 0),
        payments: tally(0, 0),
        state: { ...state, held: 3, sold: 0, free: 7 },
        watched: [],
      },
      [],
    ],
  ])('%s', (_, change, names) => {
    expect(broken(change)).toEqual(names);
  });

  test('an answer that never came is broken, and the place it may have taken is not held against the server', () => {
    const counter = new Counter(11);
    for (let n = 0; n < 9; n++) counter.count({ granted: {} }, { sentAt: 0, endedAt: 1 }, 0);
    counter.count({ refused: 'SOLD_OUT' }, { sentAt: 0, endedAt: 1 }, 0);
    counter.count(undefined, { sentAt: 0, endedAt: 0 }, 0);

    expect(broken({ enrolments: counter.result() })).toEqual(['everybody-answered']);
  });

  test('after the first deadline places may have been given twice, so winners are not counted against places', () => {
    const late = { enrolments: tally(11, 0), state: { ...state, at: '2026-12-01T00:05:00.000Z' } };

    expect(judge({ ...good(), ...late }).map(({ name, kept }) => [name, kept])).toEqual(
      ['everybody-answered', 'sold-equals-paid', 'nothing-oversold', 'audit-kept', 'watchers-know-the-truth', 'versions-never-go-down'].map(
        (name) => [name, true],
      ),
    );
  });
});

test('the progress bar shows how far a step is', () => {
  expect(lineOf('Rush', { done: 500, total: 1000, note: '100 won' })).toBe(
    `Rush         [${'#'.repeat(15)}${'-'.repeat(15)}] 500/1,000  100 won`,
  );
  expect(lineOf('Rush', { done: 0, total: 0 })).toBe(`Rush         [${'#'.repeat(30)}] 0/0`);
});
