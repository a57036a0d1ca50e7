import { expect, test } from '@jest/globals';
import { GatheredNews } from '../../../src/platform/subscriptions/gathered-news.ts';
import { eventually } from '../../support/wait.ts';

/** States are what was counted when they were read. */
function counting(options: { fails?: number } = {}) {
  const read: string[][] = [];
  const published: string[] = [];
  let changes = 0;
  const news = new GatheredNews<string>({
    gatherMs: 1,
    read: async (ids) => {
      read.push([...ids]);
      if (read.length === options.fails) throw new Error('the database is away');
      return ids.map((id) => `${id} after ${changes}`);
    },
    publish: (state) => published.push(state),
  });
  const change = (id: string) => {
    changes++;
    news.tell([id]);
  };
  return { news, change, read, published };
}

test('a hundred changes in one moment are read and told once, with all of them; what comes later is told by itself', async () => {
  const { news, change, read, published } = counting();

  for (let n = 0; n < 100; n++) change(n % 2 ? 'a' : 'b');
  expect(published).toEqual([]);
  await eventually(() => published.length > 0);
  for (let n = 0; n < 100; n++) change('a');
  await news.close();

  expect(read).toEqual([['b', 'a'], ['a']]);
  expect(published).toEqual(['b after 100', 'a after 100', 'a after 200']);
});

test('a hundred objects are read in one statement, more in several', async () => {
  const { news, read } = counting();

  news.tell(Array.from({ length: 250 }, (_, n) => `${n}`));
  await news.close();

  expect(read.map(({ length }) => length)).toEqual([100, 100, 50]);
});

test('news that cannot be read is lost, and the next is not', async () => {
  const { news, change, published } = counting({ fails: 1 });

  change('a');
  await news.close();
  change('a');
  await news.close();

  expect(published).toEqual(['a after 2']);
});
