import { type Draft, LENGTHS, PLAN_NAME_MAX, pointOf, type ReadSeat, saleOf, shown, textField } from './plan-fields.ts';
import type { PlanProblems } from './seat-plan-problems.ts';

export function readJsonPlan(text: string, problems: PlanProblems): Draft | undefined {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (error) {
    const place = / at position (\d+)/.exec((error as Error).message)?.[1];
    const at = place === undefined ? 'file' : `line ${text.slice(0, Number(place)).split('\n').length}`;
    problems.add(at, 'The file is not JSON.', '올바른 JSON이 아닙니다.');
    return undefined;
  }
  const plan = objectOf(file, 'file', ['name', 'focus', 'sections'], problems);
  if (!plan) return undefined;
  const name = plan.name === undefined ? null : textField(plan.name, 'name', PLAN_NAME_MAX, problems);
  const point = objectOf(plan.focus, 'focus', ['x', 'y'], problems);
  const focus = point && pointOf(point, (axis) => `focus.${axis}`, problems);
  const seats: ReadSeat[] = [];
  for (const [s, given] of listOf(plan.sections, 'sections', problems).entries()) {
    const sectionAt = `sections[${s}]`;
    const sectionObject = objectOf(given, sectionAt, ['name', 'rows'], problems);
    if (!sectionObject) continue;
    const section = textField(sectionObject.name, `${sectionAt}.name`, LENGTHS.section, problems);
    for (const [r, givenRow] of listOf(sectionObject.rows, `${sectionAt}.rows`, problems).entries()) {
      const rowAt = `${sectionAt}.rows[${r}]`;
      const rowObject = objectOf(givenRow, rowAt, ['name', 'seats'], problems);
      if (!rowObject) continue;
      const row = textField(rowObject.name, `${rowAt}.name`, LENGTHS.row, problems);
      for (const [n, givenSeat] of listOf(rowObject.seats, `${rowAt}.seats`, problems).entries()) {
        const seat = jsonSeatOf(givenSeat, `${rowAt}.seats[${n}]`, problems);
        if (seat && section !== null && row !== null) seats.push({ ...seat, section, row });
      }
    }
  }
  return { name, focus, seats };
}

function jsonSeatOf(given: unknown, at: string, problems: PlanProblems): Omit<ReadSeat, 'section' | 'row'> | undefined {
  const seat = objectOf(given, at, ['label', 'x', 'y', 'zone', 'accessible', 'companion', 'sale'], problems);
  if (!seat) return undefined;
  const before = problems.count;
  const label = textField(seat.label, `${at}.label`, LENGTHS.label, problems);
  const zone = textField(seat.zone, `${at}.zone`, LENGTHS.zone, problems);
  const point = pointOf(seat, (axis) => `${at}.${axis}`, problems);
  const [isAccessible, isCompanion] = (['accessible', 'companion'] as const).map((flag) => {
    if (seat[flag] !== undefined && typeof seat[flag] !== 'boolean')
      problems.add(`${at}.${flag}`, 'Write true or false.', 'true 또는 false로 입력해 주세요.');
    return seat[flag] === true;
  }) as [boolean, boolean];
  const sale = seat.sale === undefined ? 'SALE' : saleOf(seat.sale, `${at}.sale`, problems);
  if (problems.count > before) return undefined;
  return { at, label: label as string, zone: zone as string, ...(point as { x: number; y: number }), isAccessible, isCompanion, sale };
}

/** An object with no other fields: a misspelt one would be silently left out. */
function objectOf<Field extends string>(
  value: unknown,
  at: string,
  fields: readonly Field[],
  problems: PlanProblems,
): { readonly [Name in Field]?: unknown } | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.add(at, `Expected an object with ${fields.join(', ')}.`, `${fields.join(', ')} 필드를 가진 객체여야 합니다.`);
    return undefined;
  }
  const unknown = Object.keys(value).find((name) => !(fields as readonly string[]).includes(name));
  if (unknown !== undefined)
    problems.add(
      at,
      `Unknown field ${shown(unknown)}; allowed are ${fields.join(', ')}.`,
      `알 수 없는 필드 ${shown(unknown)}입니다. 사용할 수 있는 필드: ${fields.join(', ')}.`,
    );
  return value;
}

function listOf(value: unknown, at: string, problems: PlanProblems): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  problems.add(at, 'Expected a list with at least one item.', '항목이 하나 이상인 목록이어야 합니다.');
  return [];
}
