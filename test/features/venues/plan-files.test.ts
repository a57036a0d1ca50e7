import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { type ReadPlan, readSeatPlan } from '../../../src/features/venues/read-seat-plan.ts';
import type { PlanSeat } from '../../../src/features/venues/seat-plan.ts';
import { csvOf, jsonOf, type PlanFormat } from '../../../src/features/venues/seat-plan-file.ts';
import type { SeatPlanInvalidError } from '../../../src/features/venues/seat-plan-problems.ts';
import { SHIPPED_PLANS } from '../../../src/features/venues/shipped-plans.ts';
import { shippedPlan } from '../../../src/features/venues/venues.seed.ts';

const read = (format: PlanFormat, text: string | Uint8Array) =>
  readSeatPlan(format, typeof text === 'string' ? Buffer.from(text) : text) as Promise<ReadPlan & SeatPlanInvalidError>;

/** Where something is wrong, and what, in English. */
async function problemsOf(format: PlanFormat, text: string | Uint8Array): Promise<string[]> {
  const { problems } = await read(format, text);
  return problems?.map((problem) => `${problem.at}: ${problem.message({ locale: 'en' })}`);
}

const csv = (...lines: string[]) => ['section,row,label,x,y,zone,accessible,companion,sale,focus_x,focus_y', ...lines].join('\n');
const GOOD = ['A,1,1,0,1,VIP,,,,0,0', 'A,1,2,0.5,1,VIP,,,,,'];
const seat = (more: object = {}) => ({ label: '1', x: 0, y: 1, zone: 'VIP', ...more });
const json = (seats: unknown, more: object = {}) =>
  JSON.stringify({ name: 'A plan', focus: { x: 0, y: 0 }, sections: [{ name: 'A', rows: [{ name: '1', seats }] }], ...more });

describe('a plan', () => {
  /** Texts that spreadsheets, CSV and JSON each have their own trouble with. */
  const name = (max: number) =>
    fc
      .oneof(
        fc.string({ unit: 'binary', minLength: 1, maxLength: max }),
        fc.constantFrom('=1+2', "'=x", "''@y", '-5', '+1', '@a', 'a,b', 'a"b', '"', "'", '가열', '01', 'TRUE', 'null', '#1', '＝1'),
      )
      .map((text) => text.trim().normalize('NFC'))
      .filter(
        (text) =>
          [...text].length <= max &&
          /[\p{L}\p{N}\p{P}\p{S}]/u.test(text) &&
          !/[\p{Cc}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(text),
      );
  const metres = fc.integer({ min: -900_000, max: 900_000 }).map((millimetres) => millimetres / 1_000 + 0);
  const plans = fc
    .record({
      focus: fc.record({ x: metres, y: metres }),
      corner: fc.record({ x: metres, y: metres }),
      sections: fc.uniqueArray(
        fc.record({
          name: name(50),
          rows: fc.uniqueArray(
            fc.record({
              name: name(10),
              seats: fc.uniqueArray(
                fc.record({
                  label: name(10),
                  zone: name(20),
                  isAccessible: fc.boolean(),
                  isCompanion: fc.boolean(),
                  sale: fc.constantFrom('SALE', 'HOUSE', 'KILL'),
                }),
                { minLength: 1, maxLength: 4, selector: ({ label }) => label },
              ),
            }),
            { minLength: 1, maxLength: 3, selector: (row) => row.name },
          ),
        }),
        { minLength: 1, maxLength: 3, selector: (section) => section.name },
      ),
    })
    .map(({ focus, corner, sections }) => {
      const flat = sections.flatMap((section) =>
        section.rows.flatMap((row) => row.seats.map((given) => ({ ...given, section: section.name, row: row.name }))),
      );
      // One long line of seats: any place will do here.
      const place = (number: number) => ({ x: Math.round((corner.x + number) * 1_000) / 1_000, y: corner.y });
      return { name: 'A plan', focus, seats: flat.map((given, number) => ({ number, ...given, ...place(number) }) as PlanSeat) };
    });

  test.each([
    ['JSON', jsonOf],
    ['CSV', csvOf],
  ] as const)('that is exported as %s and imported again is the same plan', async (format, write) => {
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const again = await read(format, write(plan));

        expect(again).toEqual({ ...plan, name: format === 'JSON' ? plan.name : null });
      }),
      { numRuns: 300 },
    );
  });

  test.each(SHIPPED_PLANS)('that is shipped, %s, also', async (name) => {
    const plan = await shippedPlan(name);

    expect(await read('CSV', csvOf(plan))).toEqual({ ...plan, name: null });
    expect(await read('JSON', jsonOf(plan))).toEqual(plan);
  });

  test('has no cell that a spreadsheet would run, but its numbers stay numbers', async () => {
    const one = { number: 0, section: '=HYPERLINK("http://evil")', row: '@x', label: '-1', x: -3.5, y: 1, zone: '+VIP' };
    const plan = { name: 'x', focus: { x: -1, y: 0 }, seats: [{ ...one, isAccessible: false, isCompanion: false, sale: 'SALE' as const }] };

    const [, cells] = parse(csvOf(plan), { bom: true });

    expect(cells).toEqual([`'=HYPERLINK("http://evil")`, "'@x", "'-1", '-3.5', '1', "'+VIP", 'false', 'false', 'SALE', '-1', '0']);
  });

  test('as spreadsheets save it is read: byte order mark, CRLF, capitals, empty lines, columns in another order and some left out', async () => {
    const saved =
      '\uFEFFZone,Label,Row,Section,Y,X,FOCUS_X,Focus_Y,Sale\r\n VIP ,"1",1,"A, left",1,-1.50,0,7,house\r\n,,,,,,,,\r\nVIP,2,1,"A, left",1,-1E0,0,7,\r\n\r\n';

    expect(await read('CSV', saved)).toEqual({
      name: null,
      focus: { x: 0, y: 7 },
      seats: [
        {
          number: 0,
          section: 'A, left',
          row: '1',
          label: '1',
          x: -1.5,
          y: 1,
          zone: 'VIP',
          isAccessible: false,
          isCompanion: false,
          sale: 'HOUSE',
        },
        {
          number: 1,
          section: 'A, left',
          row: '1',
          label: '2',
          x: -1,
          y: 1,
          zone: 'VIP',
          isAccessible: false,
          isCompanion: false,
          sale: 'SALE',
        },
      ],
    });
  });

  test('keeps coordinates to the millimetre, and texts composed and without space around', async () => {
    const { seats } = await read('JSON', json([seat({ x: -0.00004, y: 1.23456, label: ' 1 ', zone: '가'.normalize('NFD') })]));

    expect(seats[0]).toMatchObject({ x: 0, y: 1.235, label: '1', zone: '가' });
    expect(Object.is(seats[0]?.x, 0)).toBe(true);
  });
});

describe('a CSV', () => {
  const EXPECTED_TEXT = (max: number) => `Expected a text of 1 to ${max} characters without control characters.`;
  const EXPECTED_METRES = 'Expected a number of metres from -1000 to 1000.';

  test.each([
    ['nothing', '', ['file: The file is empty.']],
    ['only a header', csv(), ['file: The file has no seats.']],
    ['no header', GOOD.join('\n'), expect.arrayContaining(['line 1: The column section is missing; columns are parted by commas.'])],
    [
      'semicolons instead of commas',
      csv(...GOOD).replaceAll(',', ';'),
      expect.arrayContaining(['line 1: The column zone is missing; columns are parted by commas.']),
    ],
    [
      'a column missing, one twice and one unknown',
      'section,row,label,x,y,focus_x,focus_y,row,price\nA,1,1,0,1,0,0,1,5',
      [
        'line 1: The column zone is missing; columns are parted by commas.',
        'line 1: The column row is there twice.',
        expect.stringMatching(/^line 1: Unknown column "price"; allowed are section, row, /),
      ],
    ],
    ['a cell missing', csv(...GOOD, 'A,1,3,1'), ['line 4: The line has 4 cells, the header 11.']],
    ['a quote that never ends', csv(GOOD[0] ?? '', '"A,1,2,0.5,1,VIP,,,,,'), ['line 3: A quote is opened and never closed.']],
    ['a quote in the middle of a text', csv(GOOD[0] ?? '', 'A"x,1,2,0.5,1,VIP,,,,,'), ['line 3: This is not CSV: check its quotes.']],
    ['text after a quote', csv(GOOD[0] ?? '', '"A"x,1,2,0.5,1,VIP,,,,,'), ['line 3: This is not CSV: check its quotes.']],
    [
      'a line longer than any of ours',
      csv(GOOD[0] ?? '', `"${'x'.repeat(5_000)}",1,2,0.5,1,VIP,,,,,`),
      ['line 3: The line is longer than 4000 bytes; maybe a quote is not closed.'],
    ],
    ['bytes that are not UTF-8', Buffer.from([0xb0, 0xa1, 0x2c]), ['file: The file is not UTF-8. In Excel, save it as "CSV UTF-8".']],
    ['a seat twice', csv(...GOOD, 'A,1,2,1,1,VIP,,,,,'), ['line 4: The seat 2 of row 1 in A is there twice.']],
    ['two seats in one place', csv(...GOOD, 'A,1,3,0.5,1,VIP,,,,,'), ['line 4: This seat is where that of line 3 is.']],
    [
      'empty names',
      csv('   ,,,0,1,,,,,0,0'),
      [
        `line 2, section: ${EXPECTED_TEXT(50)}`,
        `line 2, row: ${EXPECTED_TEXT(10)}`,
        `line 2, label: ${EXPECTED_TEXT(10)}`,
        `line 2, zone: ${EXPECTED_TEXT(20)}`,
      ],
    ],
    [
      'names that are too long or have control characters',
      csv(`${'x'.repeat(51)},${'1'.repeat(11)},"a\u0007b",0,1,${'z'.repeat(21)},,,,0,0`),
      [
        `line 2, section: ${EXPECTED_TEXT(50)}`,
        `line 2, row: ${EXPECTED_TEXT(10)}`,
        `line 2, label: ${EXPECTED_TEXT(10)}`,
        `line 2, zone: ${EXPECTED_TEXT(20)}`,
      ],
    ],
    [
      'coordinates that are none',
      csv('A,1,1,NaN,Infinity,VIP,,,,1000.1,', 'A,1,2,0x10,1_000,VIP,,,,,', 'A,1,3,,1e999,VIP,,,,,'),
      [
        `line 2, focus_x: ${EXPECTED_METRES}`,
        `line 2, focus_y: ${EXPECTED_METRES}`,
        `line 2, x: ${EXPECTED_METRES}`,
        `line 2, y: ${EXPECTED_METRES}`,
        `line 3, x: ${EXPECTED_METRES}`,
        `line 3, y: ${EXPECTED_METRES}`,
        `line 4, x: ${EXPECTED_METRES}`,
        `line 4, y: ${EXPECTED_METRES}`,
      ],
    ],
    [
      'a sale and flags nobody knows',
      csv('A,1,1,0,1,VIP,maybe,__proto__,SOLD,0,0'),
      [
        'line 2, accessible: Write true, false, 1, 0, or nothing for false.',
        'line 2, companion: Write true, false, 1, 0, or nothing for false.',
        'line 2, sale: Expected one of SALE, HOUSE, KILL.',
      ],
    ],
    [
      'a second focus',
      csv(...GOOD, 'A,1,3,1,1,VIP,,,,5,0'),
      ['line 4, focus_x: The focus is not that of the first seat: a plan has one. Leave it empty here.'],
    ],
    [
      'a section and a row that come back',
      csv('A,1,1,0,1,V,,,,0,0', 'A,2,1,0,2,V,,,,,', 'A,1,2,1,1,V,,,,,', 'B,1,1,5,1,V,,,,,', 'A,3,1,0,3,V,,,,,'),
      ['line 4: The row 1 of A comes back: put all its seats together.', 'line 6: The section A comes back: put all its seats together.'],
    ],
    [
      'a row told by its labels, odd ones on the left',
      csv(...[1, 1.5, 0.5, 2, 0, 2.5].map((x, n) => `A,1,${n + 1},${x},1,V,,,,${n ? ',' : '0,0'}`)),
      ['line 3: The seat after this one is not beside it, but a later one is: tell the seats of row 1 in A from one end to the other.'],
    ],
  ])('with %s is refused and says where', async (_, text, expected) => {
    expect(await problemsOf('CSV', text)).toEqual(expected);
  });

  test('of a row too long to be one is refused', async () => {
    const line = (n: number) => `A,1,${n},${n * 0.5},1,V,,,,0,0`;

    expect(await problemsOf('CSV', csv(...Array.from({ length: 201 }, (_, n) => line(n))))).toEqual([
      'line 2: The row 1 of A has 201 seats, more than 200: part it at its aisles.',
    ]);
    expect((await read('CSV', csv(...Array.from({ length: 200 }, (_, n) => line(n))))).seats).toHaveLength(200);
  });

  test('with more problems than anybody mends in one go tells the first 20, and how many there are', async () => {
    const refused = await read('CSV', csv(...Array.from({ length: 30 }, (_, n) => `A,1,${n},x,1,V,,,,0,0`)));

    expect(refused.problems).toHaveLength(20);
    expect(refused.problemCount).toBe(30);
    expect(refused.text('en')).toBe('The file has 30 problems. Mend what `problems` says and send it again.');
    expect(refused.text('ko')).toBe('좌석 배치도 파일에 문제가 30건 있습니다. problems를 확인해 고친 뒤 다시 보내 주세요.');
    expect(refused.problems[0]?.message({ locale: 'ko' })).toBe('-1000에서 1000 사이의 미터 단위 숫자여야 합니다.');
  });

  test('of one seat more than units can be numbered is refused', async () => {
    const lines = Array.from({ length: 65_537 }, (_, n) => `S${n >> 10},${(n >> 7) & 7},${n & 127},${(n & 127) / 2},${n >> 7},V,,,,0,0`);

    expect(await problemsOf('CSV', csv(...lines))).toEqual(['line 65538: A plan has at most 65536 seats.']);
  });

  test('of too many sections or zones is refused', async () => {
    const lines = Array.from({ length: 201 }, (_, n) => `S${n},1,1,${n},1,Z${n % 51},,,,0,0`);

    expect(await problemsOf('CSV', csv(...lines))).toEqual([
      'file: A plan has at most 200 sections.',
      'file: A plan has at most 50 zones.',
    ]);
  });
});

describe('a JSON', () => {
  test.each([
    ['that ends too early', '{"name":"x",\n"focus":{"x":0,\n"y"', ['line 3: The file is not JSON.']],
    ['with a comma too many', '{"name":"x",\n"focus":{"x":0,"y":0},\n,}', ['line 3: The file is not JSON.']],
    ['that is a number', '1', ['file: Expected an object with name, focus, sections.']],
    ['that is null', 'null', ['file: Expected an object with name, focus, sections.']],
    ['that is a list', '[]', ['file: Expected an object with name, focus, sections.']],
    ['that is empty', '{}', ['focus: Expected an object with x, y.', 'sections: Expected a list with at least one item.']],
    [
      'whose parts are of other types',
      '{"name":5,"focus":[0,0],"sections":[null,{"name":"A","rows":{}},{"name":"B","rows":[{"name":["1"],"seats":[3]}]}]}',
      [
        'name: Expected a text of 1 to 100 characters without control characters.',
        'focus: Expected an object with x, y.',
        'sections[0]: Expected an object with name, rows.',
        'sections[1].rows: Expected a list with at least one item.',
        'sections[2].rows[0].name: Expected a text of 1 to 10 characters without control characters.',
        'sections[2].rows[0].seats[0]: Expected an object with label, x, y, zone, accessible, companion, sale.',
      ],
    ],
    [
      'with a misspelt field',
      json([seat({ accesible: true })]),
      ['sections[0].rows[0].seats[0]: Unknown field "accesible"; allowed are label, x, y, zone, accessible, companion, sale.'],
    ],
    [
      'that would pollute a prototype',
      json([seat()]).replace('"label"', '"__proto__":{"x":1},"label"'),
      ['sections[0].rows[0].seats[0]: Unknown field "__proto__"; allowed are label, x, y, zone, accessible, companion, sale.'],
    ],
    [
      'with coordinates that are none',
      json([seat({ x: '0', y: null })]).replace('null', '1e999'),
      [
        'sections[0].rows[0].seats[0].x: Expected a number of metres from -1000 to 1000.',
        'sections[0].rows[0].seats[0].y: Expected a number of metres from -1000 to 1000.',
      ],
    ],
    [
      'with flags and a sale of other types',
      json([seat({ accessible: 'yes', companion: null, sale: 'sale' })]),
      [
        'sections[0].rows[0].seats[0].accessible: Write true or false.',
        'sections[0].rows[0].seats[0].companion: Write true or false.',
        'sections[0].rows[0].seats[0].sale: Expected one of SALE, HOUSE, KILL.',
      ],
    ],
    [
      'with U+0000 and a lone surrogate',
      json([seat({ label: '\0', zone: '\ud800' })]),
      [
        'sections[0].rows[0].seats[0].label: Expected a text of 1 to 10 characters without control characters.',
        'sections[0].rows[0].seats[0].zone: Expected a text of 1 to 20 characters without control characters.',
      ],
    ],
    ['with a seat twice', json([seat(), seat({ x: 1 })]), ['sections[0].rows[0].seats[1]: The seat 1 of row 1 in A is there twice.']],
  ])('%s is refused and says where', async (_, text, expected) => {
    expect(await problemsOf('JSON', text)).toEqual(expected);
  });

  test.each([
    ['lists', '['],
    ['objects', '{"sections":'],
    ['a plan in a plan', '{"name":"x","focus":{"x":0,"y":0},"sections":[{"name":"A","rows":['],
  ])('of 4 MiB of %s inside each other is refused', async (_, opening) => {
    // Whoever looked at each level from all others would not be done within the time of a test.
    const problems = await problemsOf('JSON', opening.repeat(Math.floor((4 * 1024 * 1024) / opening.length)));

    expect(problems).toEqual(['file: The file is not JSON.']);
  });

  test('that nests deep but closes is refused by its shape', async () => {
    const deep = `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`;

    expect(await problemsOf('JSON', json([deep]).replace(JSON.stringify(deep), deep))).toEqual([
      'sections[0].rows[0].seats[0]: Expected an object with label, x, y, zone, accessible, companion, sale.',
    ]);
  });
});

test.each(['black-box', 'hall'] as const)(
  'examples/seat-plans/%s.csv is the plan that is shipped: else run node scripts/example-plans.mjs',
  async (name) => {
    expect(readFileSync(`examples/seat-plans/${name}.csv`, 'utf8')).toBe(csvOf(await shippedPlan(name)));
  },
);
