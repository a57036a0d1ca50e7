import { createHash, randomUUID } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/postgresql';
import { GraphQLError } from 'graphql';
import type { Database } from '../../platform/database/database.ts';
import { retryCauseOf, retrying } from '../../platform/database/retrying.ts';
import { faultOfText } from '../../platform/graphql/text-hygiene.ts';
import { type IdempotencyKeyReusedError, idempotently } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import type { GatheredNews } from '../../platform/subscriptions/gathered-news.ts';
import type { LiveObjects } from '../../platform/subscriptions/live-objects.ts';
import { isUuid } from '../../platform/uuid.ts';
import type { PerformanceSheets } from '../events/index.ts';
import type { TicketCodes } from '../tickets/index.ts';
import type { PlanSeat, SeatPlans } from '../venues/index.ts';
import type { Entry, LoggedScan, ScannedTicket, ScanResult, UploadedScan } from './check-in.types.ts';
import {
  AlreadyUsedError,
  DoorClosedError,
  DoorNotFoundError,
  ForgedTicketError,
  RefundedError,
  ScanInFutureError,
  ScanUndoneError,
  TicketNotCheckedInError,
  TicketReplacedError,
  WrongPerformanceError,
} from './check-ins.errors.ts';
import { type DoorStatus, doorNews, doorStatuses } from './live-doors.ts';

/** Who scans. */
export interface DoorStaff {
  memberId: string;
  isAdmin: boolean;
}

export interface Scan {
  code: string;
  gate: string;
  scannedAt: Date | null;
}

export interface OfflineScan extends Scan {
  id: string;
  scannedAt: Date;
}

export interface CheckedIn {
  ticket: ScannedTicket;
  entry: Entry;
}

export interface CheckInsParts {
  database: Database;
  codes: TicketCodes;
  sheets: PerformanceSheets;
  plans: SeatPlans;
  live: LiveObjects<DoorStatus>;
}

const GATE_CHARACTERS_MAX = 50;
const REASON_CHARACTERS_MAX = 200;

/** Lets people in, once for each ticket. What is decided and how is one function of the database, `check_in`. */
export class CheckInsService {
  private readonly news: GatheredNews<DoorStatus>;

  constructor(private readonly parts: CheckInsParts) {
    this.news = doorNews(parts.database.pool, parts.live);
  }

  async scan(staff: DoorStaff, performanceId: string, scan: Scan): Promise<CheckedIn | Refusal> {
    checkScan(scan);
    const asked = await this.asked(scan, scan.scannedAt ? idOf(staff, performanceId, scan) : randomUUID());
    const answer = await this.decide([performanceId, staff.memberId, staff.isAdmin, false, JSON.stringify([asked])]);
    if (answer.outcome === 'NOT_FOUND') return new DoorNotFoundError();
    if (answer.outcome === 'CLOSED') return doorClosed(answer);
    this.news.tell([performanceId]);
    return this.outcomeOf(answer.scans[0] as DecidedScan, answer);
  }

  /** Decides what doors let in while they were offline. The same ids again change nothing. */
  async upload(staff: DoorStaff, performanceId: string, scans: readonly OfflineScan[], max: number): Promise<UploadedScan[] | Refusal> {
    const asked = await this.askedOffline(scans, max);
    const answer = await this.decide([performanceId, staff.memberId, staff.isAdmin, true, JSON.stringify(asked)]);
    return this.uploaded(performanceId, answer);
  }

  /** The same, with an answer that is kept: sent again with its key it says what was so then. */
  async uploadOnce(
    staff: DoorStaff,
    performanceId: string,
    scans: readonly OfflineScan[],
    { max, idempotencyKey }: { max: number; idempotencyKey: string },
  ): Promise<UploadedScan[] | Refusal | IdempotencyKeyReusedError> {
    const asked = await this.askedOffline(scans, max);
    const request = { performanceId, scans: scans.map((scan) => ({ ...scan, scannedAt: scan.scannedAt.toISOString() })) };
    const kept = await this.parts.database.transact(
      (em) =>
        idempotently(em, { memberId: staff.memberId, key: idempotencyKey, operation: 'uploadScans', request }, async () => {
          const answer = await checkInWithin(em, [performanceId, staff.memberId, staff.isAdmin, true, JSON.stringify(asked)]);
          return answer.outcome === 'NOT_FOUND' ? new DoorNotFoundError() : (answer as never);
        }),
      { name: 'upload-scans' },
    );
    return kept instanceof Refusal ? kept : this.uploaded(performanceId, kept as unknown as CheckInAnswer);
  }

  /** Takes a check-in back: of a ticket by its id, or by its code. */
  async undo(
    staff: DoorStaff,
    performanceId: string,
    ticket: { id: string } | { code: string },
    reason: string,
  ): Promise<CheckedIn | Refusal> {
    checkText('reason', reason, REASON_CHARACTERS_MAX);
    const ticketId = 'id' in ticket ? ticket.id : ((await this.parts.codes.read(ticket.code))?.ticketId ?? null);
    const [row] = await this.parts.database.statement<{ answer: UndoAnswer }>({
      name: 'undo_check_in',
      text: 'select undo_check_in($1, $2, $3, $4, $5) as answer',
      values: [performanceId, staff.memberId, staff.isAdmin, ticketId, reason.trim()],
    });
    const { answer } = row as { answer: UndoAnswer };
    switch (answer.outcome) {
      case 'NOT_FOUND':
        return new DoorNotFoundError();
      case 'CLOSED':
        return doorClosed(answer);
      case 'NOT_CHECKED_IN':
        return new TicketNotCheckedInError();
      case 'UNDONE':
        this.news.tell([performanceId]);
        return { ticket: ticketOf(answer), entry: entryOf(answer) };
      default:
        return answer satisfies never;
    }
  }

  async status(performanceId: string): Promise<DoorStatus | null> {
    return (await doorStatuses(this.parts.database.pool, [performanceId]))[0] ?? null;
  }

  /** Newest first; `before`: the last of the page before. */
  async log(performanceId: string, before: string | null, limit: number): Promise<LoggedScan[]> {
    const { rows } = await this.parts.database.pool.query({ name: 'door_log', text: LOG, values: [performanceId, before, limit] });
    return rows.map((row) => ({ ...row, scannedAt: new Date(row.scannedAt), receivedAt: new Date(row.receivedAt) }));
  }

  async countLog(performanceId: string): Promise<number> {
    const { rows } = await this.parts.database.pool.query({
      name: 'door_log_length',
      text: 'select count(*)::int as count from scan where performance_id = $1',
      values: [performanceId],
    });
    return rows[0].count;
  }

  /** From memory. Null: a place without a number. */
  async seatOf({ performanceId, seatNumber }: ScannedTicket): Promise<PlanSeat | null> {
    if (seatNumber === null) return null;
    const planId = (await this.parts.sheets.of(performanceId))?.planId;
    return (planId && (await this.parts.plans.planOf(planId))?.seats[seatNumber]) || null;
  }

  /** The name of a tier, from memory. Null for one that was removed. */
  async tierNameOf({ performanceId, tierId }: ScannedTicket): Promise<string | null> {
    return (await this.parts.sheets.of(performanceId))?.tiers.find(({ id }) => id === tierId)?.name ?? null;
  }

  close(): Promise<void> {
    return this.news.close();
  }

  private async asked(scan: Scan, id: string): Promise<AskedScan> {
    const claims = await this.parts.codes.read(scan.code);
    return { id, ticket: claims?.ticketId ?? null, generation: claims?.generation ?? null, gate: scan.gate.trim(), at: scan.scannedAt };
  }

  private askedOffline(scans: readonly OfflineScan[], max: number): Promise<AskedScan[]> {
    if (scans.length < 1 || scans.length > max) throw badInput(`\`scans\` must have 1 to ${max} items.`);
    scans.forEach(checkScan);
    if (!scans.every(({ id }) => isUuid(id))) throw badInput('Every `id` must be a UUID in lower case.');
    if (new Set(scans.map(({ id }) => id)).size < scans.length) throw badInput('Every scan must have an `id` of its own.');
    return Promise.all(scans.map((scan) => this.asked(scan, scan.id)));
  }

  /** One statement and one commit. Safe to send again, also after a lost connection: the ids of the scans tell what was decided. */
  private decide(values: CheckInParameters): Promise<CheckInAnswer> {
    return retrying(
      async () => {
        const { rows } = await this.parts.database.pool.query<{ answer: CheckInAnswer }>({ name: 'check_in', text: CHECK_IN, values });
        return (rows[0] as { answer: CheckInAnswer }).answer;
      },
      { causeOf: retryCauseOf },
    );
  }

  private async outcomeOf(scan: DecidedScan, { now, opensAt, closesAt }: DecidedAnswer): Promise<CheckedIn | Refusal> {
    switch (scan.result) {
      case 'VALID':
        return { ticket: ticketOf(scan), entry: { at: new Date(scan.at), gate: scan.gate } };
      case 'ALREADY_USED':
      case 'DUPLICATE':
        // Sent again after the entry it met was undone.
        return scan.usedAt === null ? new ScanUndoneError() : new AlreadyUsedError(ticketOf(scan), entryOf(scan));
      case 'WRONG_PERFORMANCE': {
        const sheet = await this.parts.sheets.of(scan.performanceId as string);
        return sheet ? new WrongPerformanceError(sheet.id, sheet.title, sheet.startsAt) : new ForgedTicketError();
      }
      case 'REPLACED':
        return new TicketReplacedError();
      case 'REFUNDED':
        return new RefundedError();
      case 'FORGED':
        return new ForgedTicketError();
      case 'UNDONE':
        return new ScanUndoneError();
      case 'IN_FUTURE':
        return new ScanInFutureError(new Date(now));
      case 'OUT_OF_HOURS':
        return doorClosed({ opensAt, closesAt });
      default:
        return scan.result satisfies never;
    }
  }

  private uploaded(performanceId: string, answer: CheckInAnswer): UploadedScan[] | Refusal {
    if (answer.outcome === 'NOT_FOUND') return new DoorNotFoundError();
    if (answer.outcome === 'CLOSED') throw new Error('check_in takes uploads at any time, and yet it answered CLOSED.');
    this.news.tell([performanceId]);
    return answer.scans.map((scan) => ({
      id: scan.id,
      result: scan.result,
      at: new Date(scan.at),
      gate: scan.gate,
      ticket: scan.ticketId === null ? null : ticketOf(scan),
      entry: scan.usedAt === null ? null : entryOf(scan),
      duplicates: (scan.duplicates ?? []).map(({ at, gate }) => ({ at: new Date(at), gate })),
    }));
  }
}

const CHECK_IN = 'select check_in($1, $2, $3, $4, $5::json) as answer';

const LOG = `
  select s.id, s.result, s.gate, s.scanned_at as "scannedAt", s.received_at as "receivedAt", s.is_offline as "isOffline",
    s.undone_by is not null as "isUndone", s.reason, m.display_name as "staffName",
    case when t.id is not null then json_build_object('id', t.id, 'performanceId', t.performance_id, 'seatNumber', t.seat_number, 'tierId', t.tier_id) end as ticket
  from scan s join member m on m.id = s.staff_id left join ticket t on t.id = s.ticket_id
  where s.performance_id = $1 and ($2::uuid is null or s.id < $2) order by s.id desc limit $3`;

type CheckInParameters = [performanceId: string, staffId: string, isAdmin: boolean, isOffline: boolean, scans: string];

/** What `check_in` is asked about one scan. */
interface AskedScan {
  id: string;
  ticket: string | null;
  generation: number | null;
  gate: string;
  at: Date | null;
}

interface TicketFields {
  ticketId: string | null;
  performanceId: string | null;
  seatNumber: number | null;
  tierId: string | null;
  usedAt: string | null;
  usedGate: string | null;
}

interface DecidedScan extends TicketFields {
  id: string;
  result: ScanResult;
  at: string;
  gate: string;
  duplicates: { at: string; gate: string }[] | null;
}

interface Closed {
  opensAt: string;
  closesAt: string;
}
type DecidedAnswer = Closed & { outcome: 'DECIDED'; now: string; scans: DecidedScan[] };
type CheckInAnswer = { outcome: 'NOT_FOUND' } | (Closed & { outcome: 'CLOSED' }) | DecidedAnswer;
type UndoAnswer = { outcome: 'NOT_FOUND' | 'NOT_CHECKED_IN' } | (Closed & { outcome: 'CLOSED' }) | (TicketFields & { outcome: 'UNDONE' });

async function checkInWithin(em: EntityManager, values: CheckInParameters): Promise<CheckInAnswer> {
  const [row] = await em.execute<{ answer: CheckInAnswer }[]>('select check_in(?, ?, ?, ?, ?::json) as answer', values);
  return (row as { answer: CheckInAnswer }).answer;
}

const ticketOf = ({ ticketId, performanceId, seatNumber, tierId }: TicketFields): ScannedTicket => ({
  id: ticketId as string,
  performanceId: performanceId as string,
  seatNumber,
  tierId: tierId as string,
});

const entryOf = ({ usedAt, usedGate }: TicketFields): Entry => ({ at: new Date(usedAt as string), gate: usedGate as string });

const doorClosed = ({ opensAt, closesAt }: Closed) => new DoorClosedError(new Date(opensAt), new Date(closesAt));

/** The id of a scan whose time is known: the same scan sent again has the same. */
function idOf({ memberId }: DoorStaff, performanceId: string, { code, gate, scannedAt }: Scan): string {
  const named = JSON.stringify([performanceId, memberId, gate.trim(), scannedAt, code]);
  return createHash('sha256')
    .update(named)
    .digest('hex')
    .slice(0, 32)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function checkScan({ code, gate }: Scan): void {
  checkText('gate', gate, GATE_CHARACTERS_MAX);
  if (faultOfText(code)) throw badInput('`code` is not text that a QR code can carry.');
}

/** Characters are counted as PostgreSQL counts them. */
function checkText(field: string, text: string, charactersMax: number): void {
  const characters = [...text.trim()].length;
  if (characters < 1 || characters > charactersMax || faultOfText(text) || /\p{Cc}/u.test(text))
    throw badInput(`\`${field}\` must have 1 to ${charactersMax} characters, none of them a control character.`);
}

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
