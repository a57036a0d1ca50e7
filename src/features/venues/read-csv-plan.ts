import { setImmediate as nextTurn } from 'node:timers/promises';
import { type CsvError, type Info, parse } from 'csv-parse';
import { type Draft, LENGTHS, pointOf, type ReadSeat, rounded, saleOf, shown, textField } from './plan-fields.ts';
import { CSV_COLUMNS, type CsvColumn, revived } from './seat-plan-file.ts';
import type { PlanProblems } from './seat-plan-problems.ts';

const REQUIRED: readonly CsvColumn[] = ['section', 'row', 'label', 'x', 'y', 'zone', 'focus_x', 'focus_y'];
/** A line of ours has under 300 bytes. An unclosed quote ends here, not at the end of the file. */
const LINE_BYTES_MAX = 4_000;
/** The parser needs some milliseconds for this much, and then lets others have a turn: 4 MiB in one go would stop the process for 0.4 s. */
const BYTES_AT_ONCE = 64 * 1024;

type CsvLine = { record: string[]; info: Info };

export async function readCsvPlan(text: string, problems: PlanProblems): Promise<Draft | undefined> {
  const [header, ...lines] = await linesOf(text, problems);
  const places = header && columnsOf(header, problems);
  if (!header || !places) return undefined;
  const seats: ReadSeat[] = [];
  let focus: Draft['focus'];
  for (const [index, { record, info }] of lines.entries()) {
    const at = `line ${info.lines}`;
    if (record.length !== header.record.length) {
      problems.add(
        at,
        `The line has ${record.length} cells, the header ${header.record.length}.`,
        `이 줄의 칸은 ${record.length}개인데 머리글은 ${header.record.length}개입니다.`,
      );
      continue;
    }
    const cell = (column: CsvColumn) => record[places.get(column) ?? -1]?.trim() ?? '';
    if (index === 0)
      focus = pointOf({ x: numberIn(cell('focus_x')), y: numberIn(cell('focus_y')) }, (axis) => `${at}, focus_${axis}`, problems);
    else checkFocusAgain(cell, focus, at, problems);
    const seat = csvSeatOf(cell, at, problems);
    if (seat) seats.push(seat);
  }
  if (lines.length === 0) problems.add('file', 'The file has no seats.', '파일에 좌석이 없습니다.');
  return { name: null, focus, seats };
}

/** The lines that say anything, up to the first that is not CSV. */
async function linesOf(text: string, problems: PlanProblems): Promise<CsvLine[]> {
  const lines: CsvLine[] = [];
  const parser = parse({ info: true, relax_column_count: true, skip_empty_lines: true, max_record_size: LINE_BYTES_MAX });
  parser.on('data', (line: CsvLine) => void (line.record.some((cell) => cell.trim() !== '') && lines.push(line)));
  const ended = new Promise<CsvError | undefined>((resolve) =>
    parser.on('end', () => resolve(undefined)).on('error', (error) => resolve(error as CsvError)),
  );
  const bytes = Buffer.from(text);
  for (let from = 0; from < bytes.length && !parser.destroyed; from += BYTES_AT_ONCE) {
    parser.write(bytes.subarray(from, from + BYTES_AT_ONCE));
    await nextTurn();
  }
  if (!parser.destroyed) parser.end();
  const error = await ended;
  if (error) problems.add(`line ${error.lines ?? 1}`, ...(CSV_FAULTS[error.code] ?? CSV_FAULT));
  else if (lines.length === 0) problems.add('file', 'The file is empty.', '파일이 비어 있습니다.');
  return lines;
}

const CSV_FAULT: [en: string, ko: string] = ['This is not CSV: check its quotes.', 'CSV 형식이 아닙니다. 따옴표를 확인해 주세요.'];
const CSV_FAULTS: Readonly<Record<string, [en: string, ko: string]>> = {
  CSV_QUOTE_NOT_CLOSED: ['A quote is opened and never closed.', '닫히지 않은 따옴표가 있습니다.'],
  CSV_MAX_RECORD_SIZE: [
    `The line is longer than ${LINE_BYTES_MAX} bytes; maybe a quote is not closed.`,
    `줄이 ${LINE_BYTES_MAX}바이트보다 깁니다. 닫히지 않은 따옴표가 있는지 확인해 주세요.`,
  ],
};

function columnsOf({ record, info }: CsvLine, problems: PlanProblems): ReadonlyMap<CsvColumn, number> | undefined {
  const at = `line ${info.lines}`;
  const names = record.map((cell) => cell.trim().toLowerCase());
  const before = problems.count;
  for (const column of REQUIRED)
    if (!names.includes(column))
      problems.add(
        at,
        `The column ${column} is missing; columns are parted by commas.`,
        `${column} 열이 없습니다. 열은 쉼표로 구분합니다.`,
      );
  for (const [index, name] of names.entries()) {
    if (!(CSV_COLUMNS as readonly string[]).includes(name))
      problems.add(
        at,
        `Unknown column ${shown(name)}; allowed are ${CSV_COLUMNS.join(', ')}.`,
        `알 수 없는 열 ${shown(name)}입니다. 사용할 수 있는 열: ${CSV_COLUMNS.join(', ')}.`,
      );
    else if (names.indexOf(name) !== index) problems.add(at, `The column ${name} is there twice.`, `${name} 열이 두 번 있습니다.`);
  }
  return problems.count > before ? undefined : new Map(names.map((name, index) => [name as CsvColumn, index]));
}

function csvSeatOf(cell: (column: CsvColumn) => string, at: string, problems: PlanProblems): ReadSeat | undefined {
  const before = problems.count;
  const [section, row, label, zone] = (['section', 'row', 'label', 'zone'] as const).map((column) =>
    textField(revived(cell(column)), `${at}, ${column}`, LENGTHS[column], problems),
  ) as [string, string, string, string];
  const point = pointOf({ x: numberIn(cell('x')), y: numberIn(cell('y')) }, (axis) => `${at}, ${axis}`, problems);
  const [isAccessible, isCompanion] = (['accessible', 'companion'] as const).map((column) => {
    const value = FLAGS[cell(column).toLowerCase()];
    if (value === undefined)
      problems.add(`${at}, ${column}`, 'Write true, false, 1, 0, or nothing for false.', 'true, false, 1, 0 중 하나를 쓰거나 비워 두세요.');
    return value === true;
  }) as [boolean, boolean];
  const sale = saleOf(cell('sale').toUpperCase() || 'SALE', `${at}, sale`, problems);
  if (problems.count > before || !point) return undefined;
  return { at, section, row, label, zone, ...point, isAccessible, isCompanion, sale };
}

const FLAGS: Readonly<Record<string, boolean>> = Object.assign(Object.create(null), {
  true: true,
  '1': true,
  false: false,
  '0': false,
  '': false,
});

/** A spreadsheet that fills columns repeats the focus in every line: it may, but not with another value. */
function checkFocusAgain(cell: (column: CsvColumn) => string, focus: Draft['focus'], at: string, problems: PlanProblems) {
  for (const axis of ['x', 'y'] as const) {
    const again = cell(`focus_${axis}`);
    if (again !== '' && focus && rounded(numberIn(again)) !== focus[axis])
      problems.add(
        `${at}, focus_${axis}`,
        'The focus is not that of the first seat: a plan has one. Leave it empty here.',
        '첫 좌석의 초점과 다릅니다. 좌석 배치도의 초점은 하나이므로 여기는 비워 두세요.',
      );
  }
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** A number as spreadsheets write it; NaN for anything else, also for nothing. */
const numberIn = (cell: string): number => (NUMBER.test(cell) ? Number(cell) : Number.NaN);
