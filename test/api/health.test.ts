import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { type TestApp, testApp } from '../support/app.ts';
import { failOnLeaks } from '../support/leaks.ts';

failOnLeaks();

const read = async (app: TestApp, path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(`${app.url}${path}`, { headers: { connection: 'close', ...headers } });
  return { status: response.status, text: await response.text() };
};

describe('health', () => {
  test('live and ready, and not ready while a migration is missing', async () => {
    await using app = await testApp();
    const ready = async () => {
      const { status, text } = await read(app, '/health/ready');
      return [status, JSON.parse(text)];
    };
    expect(await read(app, '/health/live')).toEqual({ status: 200, text: '{"status":"live"}' });
    expect(await ready()).toEqual([200, { status: 'ready', database: 'ready', fanOut: 'ready' }]);

    await app.query("update migration set name = name || ' of tomorrow'");
    expect(await ready()).toEqual([503, { status: 'unready', database: 'migrations pending', fanOut: 'ready' }]);
    await app.query("update migration set name = replace(name, ' of tomorrow', '')");

    expect(await ready()).toEqual([200, { status: 'ready', database: 'ready', fanOut: 'ready' }]);
  });
});

describe('metrics', () => {
  test('tell attempts and outcomes, and are read from this machine alone', async () => {
    await using app = await testApp();
    const lessonId = await app.lesson({ capacity: 2 });
    const members = await app.members(5);
    await Promise.all(members.map(({ client }) => client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })));

    const { status, text } = await read(app, '/metrics');

    expect(status).toBe(200);
    expect(text.match(/^lastseat_claims_total.*$/gm)?.sort()).toEqual([
      'lastseat_claims_total{kind="lesson",outcome="GRANTED"} 2',
      'lastseat_claims_total{kind="lesson",outcome="SOLD_OUT"} 3',
    ]);
    expect(text).toMatch(/^lastseat_claim_queue_length 0$/m);
    expect((await read(app, '/metrics', { 'x-forwarded-for': '127.0.0.1' })).status).toBe(403);
  });

  test('with a token are read by whoever has it, from anywhere', async () => {
    const token = 'a token for the tests';
    await using app = await testApp({ environment: { METRICS_TOKEN: token } });

    expect((await read(app, '/metrics')).status).toBe(403);
    expect((await read(app, '/metrics', { authorization: `Bearer ${token}x` })).status).toBe(403);
    expect((await read(app, '/metrics', { authorization: `Bearer ${token}`, 'x-forwarded-for': '203.0.113.7' })).status).toBe(200);
  });
});
