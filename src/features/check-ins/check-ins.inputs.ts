import { Field, ID, InputType } from 'type-graphql';

/** As for every list of a GraphQL request; the HTTP address takes 500 at once. */
export const UPLOAD_MAX = 100;

@InputType('CheckInInput', { description: 'One scan.' })
export class CheckInInput {
  @Field(() => ID, { description: 'The id of the performance whose door this is.' })
  performanceId!: string;

  @Field(() => String, { description: 'What the QR code says.' })
  code!: string;

  @Field(() => String, { description: 'The gate, 1 to 50 characters. Every scanner of a gate may call it the same.' })
  gate!: string;

  @Field(() => Date, {
    nullable: true,
    description:
      'When the code was read, by your clock. It makes the scan safe to repeat: the same code, gate and time from the same member get the same answer. ' +
      'Null: now, and every repeat is a new scan.',
  })
  scannedAt?: Date | null;
}

@InputType('UndoCheckInInput', { description: 'Which check-in to take back. Name the ticket by exactly one of `ticketId` and `code`.' })
export class UndoCheckInInput {
  @Field(() => ID, { description: 'The id of the performance whose door this is.' })
  performanceId!: string;

  @Field(() => ID, { nullable: true, description: 'The id of the ticket. Null: `code` says it.' })
  ticketId?: string | null;

  @Field(() => String, { nullable: true, description: 'What the QR code says. Null: `ticketId` says it.' })
  code?: string | null;

  @Field(() => String, { description: 'Why, for the log: 1 to 200 characters.' })
  reason!: string;
}

@InputType('OfflineScanInput', { description: 'A scan that was made while the door was offline.' })
export class OfflineScanInput {
  @Field(() => ID, { description: 'A UUID in lower case, made by you when you scanned. The same id uploaded again changes nothing.' })
  id!: string;

  @Field(() => String, { description: 'What the QR code says.' })
  code!: string;

  @Field(() => String, { description: 'The gate, 1 to 50 characters.' })
  gate!: string;

  @Field(() => Date, { description: 'When the code was read, by your clock.' })
  scannedAt!: Date;
}

@InputType('UploadScansInput', { description: 'Scans of one performance that were made while the door was offline.' })
export class UploadScansInput {
  @Field(() => ID, { description: 'The id of the performance whose door this is.' })
  performanceId!: string;

  @Field(() => [OfflineScanInput], {
    description: `The scans, 1 to ${UPLOAD_MAX}, in any order, each with an id of its own. Every one of them let somebody in.`,
  })
  scans!: OfflineScanInput[];

  @Field(() => String, {
    description: 'Made by you before the first try, 1 to 200 visible ASCII characters. Sending the same again gets the same answer.',
  })
  idempotencyKey!: string;
}
