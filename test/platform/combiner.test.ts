import { expect, test } from '@jest/globals';
import { Combiner } from '../../src/platform/combiner.ts';

/** Runs batches only when the test lets the oldest go. */
function gated(lanesMax: number, batchMax = 100) {
  const batches: number[][] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  const combiner = new Combiner<number, string>(
    async (items) => {
      batches.push(items);
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      await gate.promise;
      return items.map((item) => `${item} done`);
    },
    { batchMax, lanesMax },
  );
  return { combiner, batches, gates };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a lone item goes at once; what arrives meanwhile goes together, in its order, and each has its own answer', async () => {
  const { combiner, batches, gates } = gated(1);

  const answers = [1, 2, 3, 4].map((item) => combiner.add(item));

  expect(batches).toEqual([[1]]);
  gates[0]?.resolve();
  await turn();
  expect(batches).toEqual([[1], [2, 3, 4]]);
  gates[1]?.resolve();
  expect(await Promise.all(answers)).toEqual(['1 done', '2 done', '3 done', '4 done']);
});

test('no batch has more than its most, and no more are under way than there are lanes', async () => {
  const { combiner, batches, gates } = gated(2, 2);

  const answers = [1, 2, 3, 4, 5].map((item) => combiner.add(item));

  expect(batches).toEqual([[1], [2]]);
  gates[1]?.resolve();
  await turn();
  expect(batches).toEqual([[1], [2], [3, 4]]);
  gates[0]?.resolve();
  gates[2]?.resolve();
  await turn();
  expect(batches).toEqual([[1], [2], [3, 4], [5]]);
  gates[3]?.resolve();
  expect(await Promise.all(answers)).toHaveLength(5);
});

test('a batch that fails fails for all of it and for nobody else', async () => {
  const combiner = new Combiner<number, number>(
    async (items) => {
      await turn();
      if (items.includes(2)) throw new Error('broken');
      return items;
    },
    { batchMax: 2, lanesMax: 1 },
  );

  const answers = await Promise.allSettled([1, 2, 3, 4].map((item) => combiner.add(item)));

  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
});
