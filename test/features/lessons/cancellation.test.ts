import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CancellationStep } from '../../../src/features/holds/index.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();

const FREE_UNTIL_START = [{ hoursBefore: 0, percent: 100 }];
const STEPPED = [
  { hoursBefore: 72, percent: 100 },
  { hoursBefore: 0, percent: 50 },
];

describe('the cancellation policy of a lesson', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  const policyOf = async (lessonId: string) => (await app.anonymous.run('TestLessonCancellation', { id: lessonId })).cancellation;
  const update = async (lessonId: string, change: object) =>
    (await app.admin()).client.run('TestUpdateLesson', { input: { lessonId, ...change } });
  const lessons = async () => (await app.query<{ count: number }>('select count(*)::int as count from lesson'))[0]?.count;

  test.each([
    ['absent', {}, FREE_UNTIL_START],
    ['null', { cancellation: null }, FREE_UNTIL_START],
    ['empty', { cancellation: [] }, []],
    ['given', { cancellation: STEPPED }, STEPPED],
    ['given in another order', { cancellation: STEPPED.toReversed() }, STEPPED],
  ])('of a new one, %s', async (_how, input, policy) => {
    const lessonId = await app.lesson(input);

    expect(await policyOf(lessonId)).toEqual(policy);
  });

  test.each([
    ['absent', {}, STEPPED],
    ['null', { cancellation: null }, STEPPED],
    ['empty', { cancellation: [] }, []],
    ['given', { cancellation: [{ hoursBefore: 24, percent: 30 }] }, [{ hoursBefore: 24, percent: 30 }]],
    [
      'given in another order',
      { cancellation: [...FREE_UNTIL_START, { hoursBefore: 8_760, percent: 100 }] },
      [{ hoursBefore: 8_760, percent: 100 }, ...FREE_UNTIL_START],
    ],
  ])('after a change, %s', async (_how, change, policy) => {
    const lessonId = await app.lesson({ cancellation: STEPPED });

    expect((await update(lessonId, { title: 'Dusk', ...change })).lesson.title).toBe('Dusk');

    expect(await policyOf(lessonId)).toEqual(policy);
  });

  const wrong: [what: string, steps: CancellationStep[], en: string, ko: string][] = [
    [
      'six steps',
      [6, 5, 4, 3, 2, 1].map((hoursBefore) => ({ hoursBefore, percent: 10 })),
      'A cancellation policy has at most 5 steps.',
      '취소 규정은 5단계까지 정할 수 있습니다.',
    ],
    [
      'a step that ends after the start',
      [{ hoursBefore: -1, percent: 100 }],
      'A step ends 0 to 8760 hours before the start.',
      '취소 기준 시각은 시작 0시간 전부터 8760시간 전 사이여야 합니다.',
    ],
    [
      'a step that ends more than a year before',
      [{ hoursBefore: 8_761, percent: 100 }],
      'A step ends 0 to 8760 hours before the start.',
      '취소 기준 시각은 시작 0시간 전부터 8760시간 전 사이여야 합니다.',
    ],
    [
      'a step that gives nothing back',
      [{ hoursBefore: 0, percent: 0 }],
      'A step gives back 1 to 100 percent. Where nothing goes back, leave the step out.',
      '환불 비율은 1%에서 100% 사이여야 합니다. 환불하지 않는 구간은 넣지 마세요.',
    ],
    [
      'a step that gives back more than was paid',
      [{ hoursBefore: 0, percent: 101 }],
      'A step gives back 1 to 100 percent. Where nothing goes back, leave the step out.',
      '환불 비율은 1%에서 100% 사이여야 합니다. 환불하지 않는 구간은 넣지 마세요.',
    ],
    [
      'two steps of one hour',
      [
        { hoursBefore: 24, percent: 100 },
        { hoursBefore: 24, percent: 50 },
      ],
      'Two steps must not end at the same hour.',
      '같은 시각의 취소 단계를 두 번 정할 수 없습니다.',
    ],
    [
      'more for the shorter notice',
      [
        { hoursBefore: 24, percent: 51 },
        { hoursBefore: 72, percent: 50 },
      ],
      'A cancellation at shorter notice must not give back more than one at longer notice.',
      '시작에 가까워질수록 환불 비율이 높아질 수 없습니다.',
    ],
  ];

  test.each(wrong)('%s is refused for a new lesson, and nothing is made', async (_what, cancellation, message) => {
    const before = await lessons();

    const refused = await app.lesson({ cancellation }).catch((error: Error) => error.message);

    expect(refused).toContain(JSON.stringify({ __typename: 'LessonInputError', code: 'LESSON_INPUT', message, field: 'cancellation' }));
    expect(await lessons()).toBe(before);
  });

  test.each(wrong)('%s is refused for a change, in either language, and nothing of it is kept', async (_what, cancellation, en, ko) => {
    const lessonId = await app.lesson({ cancellation: STEPPED });
    const { client } = await app.admin();
    const change = (language: string) =>
      client.send('TestUpdateLesson', { input: { lessonId, title: 'Not kept', cancellation } }, { 'accept-language': language });

    const answers = [await change('en'), await change('ko')];

    expect(answers.map(({ data }) => data.updateLesson)).toEqual(
      [en, ko].map((message) => ({ __typename: 'LessonInputError', code: 'LESSON_INPUT', message, field: 'cancellation' })),
    );
    expect(await policyOf(lessonId)).toEqual(STEPPED);
    expect((await app.anonymous.run('TestLesson', { id: lessonId })).title).toBe('Dawn masters');
  });

  test.each([
    ['no share', [{ hoursBefore: 0 }]],
    ['no hour', [{ percent: 100 }]],
    ['half an hour', [{ hoursBefore: 0.5, percent: 100 }]],
    ['a step that is null', [null]],
    ['101 steps', Array(101).fill({ hoursBefore: 0, percent: 100 })],
    ['a field nobody knows', [{ hoursBefore: 0, percent: 100, fee: 1 }]],
  ])('%s is bad input', async (_what, cancellation) => {
    await expect(app.lesson({ cancellation })).rejects.toThrow('"code":"BAD_USER_INPUT"');
  });

  test('belongs to the request that its key names', async () => {
    const idempotencyKey = randomUUID();
    const month = '2031-05';
    const lessonId = await app.lesson({ idempotencyKey, month, cancellation: STEPPED });

    expect(await app.lesson({ idempotencyKey, month, cancellation: STEPPED })).toBe(lessonId);
    await expect(app.lesson({ idempotencyKey, month })).rejects.toThrow('IDEMPOTENCY_KEY_REUSED');
    expect(await policyOf(lessonId)).toEqual(STEPPED);
  });

  test('of a lesson written by a release that knows of none is free until the start', async () => {
    const lessonId = await app.lesson({ cancellation: [] });

    await app.query('update lesson set cancellation = default where id = $1', [uuidIn(lessonId)]);

    expect(await policyOf(lessonId)).toEqual(FREE_UNTIL_START);
  });
});

test('the lessons of the demonstration can be cancelled in two steps, the scarce ones earlier', async () => {
  await using app = await testApp({ environment: { SEED: 'on' } });

  const { nodes } = await app.anonymous.run('TestLessons', { first: 100 });
  const policies = await Promise.all(nodes.map(async ({ id }) => (await app.anonymous.run('TestLessonCancellation', { id })).cancellation));

  const counts: Record<string, number> = {};
  for (const policy of policies) {
    const words = policy.map(({ hoursBefore, percent }) => `${percent} % until ${hoursBefore} h`).join(', ');
    counts[words] = (counts[words] ?? 0) + 1;
  }
  expect(counts).toEqual({ '100 % until 72 h, 50 % until 0 h': 34, '100 % until 168 h, 50 % until 24 h': 6 });
});
