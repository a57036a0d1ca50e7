import { rowsOf, strayIn } from './neighbours.ts';
import type { ReadSeat } from './plan-fields.ts';
import { readCsvPlan } from './read-csv-plan.ts';
import { readJsonPlan } from './read-json-plan.ts';
import type { PlanSeat } from './seat-plan.ts';
import type { PlanFormat } from './seat-plan-file.ts';
import { PlanProblems, SeatPlanInvalidError } from './seat-plan-problems.ts';

/** A seat is a unit, whose number is four hexadecimal digits of its id. */
export const SEATS_MAX = 65_536;
/** The largest stadiums have some 150 sections. */
export const SECTIONS_MAX = 200;
/** Looking for neighbours compares each seat with the others of its row. */
export const ROW_SEATS_MAX = 200;
/** Each zone becomes a tier of a performance, and a buyer reads them all. */
export const ZONES_MAX = 50;

export interface ReadPlan {
  /** What the file calls it; null in CSV, which has no place for it. */
  name: string | null;
  focus: { x: number; y: number };
  seats: PlanSeat[];
}

/** Reads a plan and checks all of it. Never throws for what is in the file; refuses it with everything that is wrong. */
export async function readSeatPlan(format: PlanFormat, content: Uint8Array): Promise<ReadPlan | SeatPlanInvalidError> {
  const problems = new PlanProblems();
  const text = textOf(content, problems);
  const draft = text === undefined ? undefined : format === 'CSV' ? await readCsvPlan(text, problems) : readJsonPlan(text, problems);
  if (draft) checkTogether(draft.seats, problems);
  if (draft && problems.count === 0) checkPlaces(draft.seats, problems);
  if (!draft?.focus || problems.count > 0) return new SeatPlanInvalidError(problems);
  return { name: draft.name, focus: draft.focus, seats: draft.seats.map(({ at: _, ...seat }, number) => ({ number, ...seat })) };
}

function textOf(content: Uint8Array, problems: PlanProblems): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    problems.add(
      'file',
      'The file is not UTF-8. In Excel, save it as "CSV UTF-8".',
      '파일이 UTF-8이 아닙니다. Excel에서는 "CSV UTF-8" 형식으로 저장해 주세요.',
    );
    return undefined;
  }
}

function checkTogether(seats: readonly ReadSeat[], problems: PlanProblems): void {
  const labels = new Set<string>();
  const ended = new Set<string>();
  const sections = new Set<string>();
  const zones = new Set<string>();
  let last: ReadSeat | undefined;
  for (const [number, seat] of seats.entries()) {
    if (number === SEATS_MAX)
      problems.add(seat.at, `A plan has at most ${SEATS_MAX} seats.`, `좌석 배치도의 좌석은 최대 ${SEATS_MAX}개입니다.`);
    if (last && last.section !== seat.section) {
      ended.add(keyOf(last.section)).add(keyOf(last.section, last.row));
      if (ended.has(keyOf(seat.section)))
        problems.add(
          seat.at,
          `The section ${seat.section} comes back: put all its seats together.`,
          `${seat.section} 구역이 떨어져 있습니다. 한 구역의 좌석은 이어서 적어 주세요.`,
        );
    } else if (last && last.row !== seat.row) {
      ended.add(keyOf(last.section, last.row));
      if (ended.has(keyOf(seat.section, seat.row)))
        problems.add(
          seat.at,
          `The row ${seat.row} of ${seat.section} comes back: put all its seats together.`,
          `${seat.section} 구역 ${seat.row}열이 떨어져 있습니다. 한 열의 좌석은 이어서 적어 주세요.`,
        );
    }
    const label = keyOf(seat.section, seat.row, seat.label);
    if (labels.has(label))
      problems.add(
        seat.at,
        `The seat ${seat.label} of row ${seat.row} in ${seat.section} is there twice.`,
        `${seat.section} 구역 ${seat.row}열 ${seat.label}번 좌석이 두 번 있습니다.`,
      );
    labels.add(label);
    sections.add(seat.section);
    zones.add(seat.zone);
    last = seat;
  }
  if (sections.size > SECTIONS_MAX)
    problems.add('file', `A plan has at most ${SECTIONS_MAX} sections.`, `구역은 최대 ${SECTIONS_MAX}개입니다.`);
  if (zones.size > ZONES_MAX) problems.add('file', `A plan has at most ${ZONES_MAX} zones.`, `가격 구역은 최대 ${ZONES_MAX}개입니다.`);
}

/** Only once everything else is right: a seat that could not be read would make the others of its row look out of place. */
function checkPlaces(seats: readonly ReadSeat[], problems: PlanProblems): void {
  const taken = new Map<string, ReadSeat>();
  for (const seat of seats) {
    const place = `${seat.x} ${seat.y}`;
    const other = taken.get(place);
    if (other) problems.add(seat.at, `This seat is where that of ${other.at} is.`, `${other.at}의 좌석과 같은 자리에 있습니다.`);
    else taken.set(place, seat);
  }
  if (problems.count > 0) return;
  for (const { section, name, from, to } of rowsOf(seats)) {
    const row = seats.slice(from, to + 1);
    if (row.length > ROW_SEATS_MAX) {
      problems.add(
        (row[0] as ReadSeat).at,
        `The row ${name} of ${section} has ${row.length} seats, more than ${ROW_SEATS_MAX}: part it at its aisles.`,
        `${section} 구역 ${name}열의 좌석이 ${row.length}개입니다. 최대 ${ROW_SEATS_MAX}개이니 통로에서 나누어 주세요.`,
      );
      continue;
    }
    const stray = strayIn(row);
    if (stray >= 0)
      problems.add(
        (row[stray] as ReadSeat).at,
        `The seat after this one is not beside it, but a later one is: tell the seats of row ${name} in ${section} from one end to the other.`,
        `다음 좌석이 옆자리가 아닙니다. ${section} 구역 ${name}열의 좌석을 한쪽 끝에서 다른 쪽 끝까지 순서대로 적어 주세요.`,
      );
  }
}

/** No text of a plan has U+0000. */
const keyOf = (...names: string[]) => names.join('\0');
