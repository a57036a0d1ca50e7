import { afterAll, beforeAll } from '@jest/globals';
import { type TestApp, testApp } from './app.ts';

/**
 * Runs the tests of a `describe` on two nodes: the second one has the database and the providers of the first, and no Redis. Closes both after them;
 * `afterAll` hooks run in the order they were declared, so declare those that still need the nodes before.
 */
export function onTwoNodes(opened: (app: TestApp, other: TestApp) => void): void {
  const nodes: TestApp[] = [];
  beforeAll(async () => {
    const app = await testApp();
    nodes.unshift(app);
    const other = await testApp({ databaseUrl: app.databaseUrl, simulator: app.simulator });
    nodes.unshift(other);
    opened(app, other);
  });
  afterAll(async () => {
    for (const node of nodes) await node.close();
  });
}
