import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Connection } from '../../platform/graphql/connections.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Price } from '../../platform/graphql/price.ts';
import { TierType } from '../events/index.ts';
import { SeatType } from '../venues/index.ts';
import type { DoorStatus } from './live-doors.ts';

/** The first eight are kept in the log; the last two are refused before anything is decided. */
export const SCAN_RESULTS = [
  'VALID',
  'ALREADY_USED',
  'DUPLICATE',
  'WRONG_PERFORMANCE',
  'REPLACED',
  'REFUNDED',
  'FORGED',
  'UNDONE',
  'IN_FUTURE',
  'OUT_OF_HOURS',
] as const;
export type ScanResult = (typeof SCAN_RESULTS)[number];

/** A ticket as a door sees it. */
export interface ScannedTicket {
  id: string;
  performanceId: string;
  /** Null: a place without a number. */
  seatNumber: number | null;
  tierId: string;
}

/** When and where somebody came in. */
export interface Entry {
  at: Date;
  gate: string;
}

/** A scan that was uploaded, as it was decided. */
export interface UploadedScan {
  id: string;
  result: ScanResult;
  at: Date;
  gate: string;
  ticket: ScannedTicket | null;
  /** The scan that counts for the ticket now. */
  entry: Entry | null;
  /** Other scans with which somebody came in on the same ticket, earliest first. */
  duplicates: Entry[];
}

/** A row of the log. */
export interface LoggedScan {
  id: string;
  result: ScanResult;
  gate: string;
  scannedAt: Date;
  receivedAt: Date;
  isOffline: boolean;
  isUndone: boolean;
  reason: string | null;
  staffName: string;
  ticket: ScannedTicket | null;
}

const ScanResultEnum = enumOf(SCAN_RESULTS);
registerEnumType(ScanResultEnum, {
  name: 'ScanResult',
  description: 'What a scan at a door was decided to be.',
  valuesConfig: {
    VALID: { description: 'The entry of the ticket: they may come in.' },
    ALREADY_USED: { description: 'Somebody had come in with the ticket: turned away.' },
    DUPLICATE: { description: 'Somebody came in with the ticket at a door that was offline, and another scan of it was earlier.' },
    WRONG_PERFORMANCE: { description: 'A ticket for another performance: turned away.' },
    REPLACED: { description: 'The code from before the ticket was handed on: turned away.' },
    REFUNDED: { description: 'A ticket whose money went back: turned away.' },
    FORGED: { description: 'Not a code of ours: turned away.' },
    UNDONE: { description: 'A check-in taken back. Of an uploaded scan: it was valid and has been undone since.' },
    IN_FUTURE: {
      description: 'Uploaded with a time more than 2 minutes ahead: not taken, and not in the log. Set the clock of the device.',
    },
    OUT_OF_HOURS: {
      description:
        'Uploaded with a time more than 24 hours before the start or after the end of the performance: not taken, and not in the log.',
    },
  },
});

export { ScanResultEnum };

@ObjectType('ScannedTicket', { description: 'A ticket as a door sees it. Says nothing of its owner.' })
export class ScannedTicketType {
  @Field(() => ID, { description: 'The id of the ticket.' })
  ticketId!: string;

  @Price(0)
  @Field(() => SeatType, { nullable: true, description: 'Its seat. Null: a place without a number.' })
  seat?: SeatType | null;

  @Price(1)
  @Field(() => TierType, { nullable: true, description: 'Its tier. Null if the tier was removed meanwhile.' })
  tier?: TierType | null;
}

@ObjectType('DoorEntry', { description: 'When and where somebody came in.' })
export class DoorEntryType implements Entry {
  @Field(() => Date, { description: 'When, by the clock of the scanner, never after we heard of it.' })
  at!: Date;

  @Field(() => String, { description: 'The gate, 1 to 50 characters.' })
  gate!: string;
}

@ObjectType('UploadedScan', { description: 'One uploaded scan, as it was decided.' })
export class UploadedScanType implements Pick<UploadedScan, 'id' | 'result' | 'at' | 'gate'> {
  @Field(() => ID, { description: 'The id you gave it.' })
  id!: string;

  @Field(() => ScanResultEnum, { description: 'What it is now.' })
  result!: ScanResult;

  @Field(() => Date, { description: 'When it was scanned, never after we heard of it.' })
  at!: Date;

  @Field(() => String, { description: 'The gate, 1 to 50 characters.' })
  gate!: string;

  @Price(0)
  @Field(() => ScannedTicketType, {
    nullable: true,
    description: 'The ticket. Null for a code that is forged, or a scan that was not taken.',
  })
  ticket?: ScannedTicketType | null;

  @Price(0)
  @Field(() => DoorEntryType, {
    nullable: true,
    description: 'The scan that counts as the entry of the ticket. Null: nobody is in with it.',
  })
  entry?: DoorEntryType | null;

  @Price(0, { size: 5 })
  @Field(() => [DoorEntryType], {
    description: 'Other scans with which somebody came in on this ticket, earliest first, at most 5: look for them too.',
  })
  duplicates!: DoorEntryType[];
}

@ObjectType('Scan', {
  description:
    'One line in the log of a door. The log only grows; an earlier scan that is uploaded later makes the former entry a `DUPLICATE`.',
})
export class ScanType implements Omit<LoggedScan, 'ticket' | 'id'> {
  @Field(() => ID, { description: 'The opaque id of the line.' })
  id!: string;

  @Field(() => ScanResultEnum, { description: 'What it was decided to be. Never `IN_FUTURE` or `OUT_OF_HOURS`.' })
  result!: ScanResult;

  @Field(() => String, { description: 'The gate, 1 to 50 characters.' })
  gate!: string;

  @Field(() => Date, { description: 'When, by the clock of the scanner, never after `receivedAt`.' })
  scannedAt!: Date;

  @Field(() => Date, { description: 'When we heard of it.' })
  receivedAt!: Date;

  @Field(() => Boolean, { description: 'Whether it was uploaded by a door that was offline.' })
  isOffline!: boolean;

  @Field(() => Boolean, { description: 'Whether it was a valid scan that has been undone.' })
  isUndone!: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'Why a check-in was undone, 1 to 200 characters. Null unless the result is `UNDONE`.',
  })
  reason!: string | null;

  @Field(() => String, { description: 'The display name of who scanned.' })
  staffName!: string;

  @Price(0)
  @Field(() => ScannedTicketType, { nullable: true, description: 'The ticket. Null for a forged code.' })
  ticket?: ScannedTicketType | null;
}

export const { ConnectionType: ScanConnection } = Connection('Scan', ScanType);

@ObjectType('DoorStatus', { description: 'How far a performance has come at its doors.' })
export class DoorStatusType implements Pick<DoorStatus, 'issued' | 'checkedIn' | 'refused' | 'duplicates' | 'version'> {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;

  @Field(() => Int, { description: 'Tickets that are good: issued and not refunded, used or not.' })
  issued!: number;

  @Field(() => Int, { description: 'Tickets somebody is in with.' })
  checkedIn!: number;

  @Field(() => Int, { description: 'Scans after which somebody was turned away.' })
  refused!: number;

  @Field(() => Int, { description: 'Scans with which somebody came in on a ticket that another one is in with.' })
  duplicates!: number;

  @Field(() => Int, { description: 'Grows with every scan: of two states the one with the larger version is newer.' })
  version!: number;

  @Field(() => Date, { description: 'When this was true, by the database clock.' })
  at!: Date;
}
