import { GraphQLError } from 'graphql';
import {
  Arg,
  Args,
  Ctx,
  createUnionType,
  Field,
  FieldResolver,
  ID,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
  Subscription,
} from 'type-graphql';
import { RequiresRole } from '../../platform/graphql/authorization.ts';
import { ConnectionArgs, pageOf, toConnection } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { PerformanceType, performanceById, TierType, tierById } from '../events/index.ts';
import { SeatType } from '../venues/index.ts';
import {
  DoorEntryType,
  DoorStatusType,
  type LoggedScan,
  ScanConnection,
  type ScannedTicket,
  ScannedTicketType,
  ScanType,
  type UploadedScan,
  UploadedScanType,
} from './check-in.types.ts';
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
import { CheckInInput, UndoCheckInInput, UPLOAD_MAX, UploadScansInput } from './check-ins.inputs.ts';
import { hasDoor, staffOf } from './check-ins.loaders.ts';
import type { CheckedIn, CheckInsService } from './check-ins.service.ts';
import type { DoorStatus } from './live-doors.ts';

@ObjectType('CheckInSuccess', { description: 'They may come in.' })
class CheckInSuccess {
  constructor({ ticket, entry }: CheckedIn) {
    this.ticket = ticket as never;
    this.entry = entry;
  }
  @Price(0)
  @Field(() => ScannedTicketType, { description: 'The ticket, with the seat to send them to.' })
  readonly ticket: ScannedTicketType;
  @Price(0)
  @Field(() => DoorEntryType, { description: 'When and where they came in.' })
  readonly entry: DoorEntryType;
}

const CheckInResult = createUnionType({
  name: 'CheckInResult',
  description:
    'Whether they may come in. The first that applies is answered, in this order: DoorNotFoundError, DoorClosedError, ScanInFutureError, ForgedTicketError, ' +
    'WrongPerformanceError, TicketReplacedError, RefundedError, AlreadyUsedError. ScanUndoneError only for a scan that is sent again.',
  types: () =>
    [
      CheckInSuccess,
      DoorNotFoundError,
      DoorClosedError,
      ScanInFutureError,
      ForgedTicketError,
      WrongPerformanceError,
      TicketReplacedError,
      RefundedError,
      AlreadyUsedError,
      ScanUndoneError,
    ] as const,
});

@ObjectType('UndoCheckInSuccess', { description: 'The code is valid again.' })
class UndoCheckInSuccess {
  constructor({ ticket, entry }: CheckedIn) {
    this.ticket = ticket as never;
    this.undone = entry;
  }
  @Price(0)
  @Field(() => ScannedTicketType, { description: 'The ticket.' })
  readonly ticket: ScannedTicketType;
  @Price(0)
  @Field(() => DoorEntryType, { description: 'The entry that was taken back.' })
  readonly undone: DoorEntryType;
}

const UndoCheckInResult = createUnionType({
  name: 'UndoCheckInResult',
  description: 'What was taken back, or why nothing was, in this order: DoorNotFoundError, DoorClosedError, TicketNotCheckedInError.',
  types: () => [UndoCheckInSuccess, DoorNotFoundError, DoorClosedError, TicketNotCheckedInError] as const,
});

@ObjectType('UploadScansSuccess', { description: 'Every scan as it was decided.' })
class UploadScansSuccess {
  constructor(scans: UploadedScan[]) {
    this.scans = scans as never;
  }
  @Price(1, { size: UPLOAD_MAX })
  @Field(() => [UploadedScanType], { description: `One for each uploaded scan, in their order, at most ${UPLOAD_MAX}.` })
  readonly scans: UploadedScanType[];
}

const UploadScansResult = createUnionType({
  name: 'UploadScansResult',
  description: 'Every scan as it was decided, or why none was, in this order: IdempotencyKeyReusedError, DoorNotFoundError.',
  types: () => [UploadScansSuccess, DoorNotFoundError, IdempotencyKeyReusedError] as const,
});

@Resolver()
export class CheckInsResolver {
  constructor(private readonly checkInsService: CheckInsService) {}

  @RequiresRole()
  @Mutation(() => CheckInResult, {
    nullable: true,
    description:
      "Lets somebody in with the ticket whose code was scanned: each ticket once. For the organizer of the event, its door staff, and the role ADMIN; anybody else's " +
      'performance is answered as one that does not exist. From 24 hours before it begins until 24 hours after it ends.',
  })
  async checkIn(@Arg('input', () => CheckInInput, { description: 'The scan.' }) input: CheckInInput, @Ctx() context: RequestContext) {
    const { performanceId, code, gate, scannedAt = null } = input;
    const result = await this.checkInsService.scan(staffOf(context), uuidOf(performanceId, 'Performance'), { code, gate, scannedAt });
    return result instanceof Refusal ? result : new CheckInSuccess(result);
  }

  @RequiresRole()
  @Mutation(() => UndoCheckInResult, {
    nullable: true,
    description:
      'Takes a check-in back; afterwards the code is valid again. It stays in the log, with the reason. For those who may check in.',
  })
  async undoCheckIn(
    @Arg('input', () => UndoCheckInInput, { description: 'Which check-in.' }) input: UndoCheckInInput,
    @Ctx() context: RequestContext,
  ) {
    const { performanceId, reason } = input;
    const result = await this.checkInsService.undo(staffOf(context), uuidOf(performanceId, 'Performance'), ticketNamedBy(input), reason);
    return result instanceof Refusal ? result : new UndoCheckInSuccess(result);
  }

  @RequiresRole()
  @Mutation(() => UploadScansResult, {
    nullable: true,
    description:
      'Takes the scans of doors that were offline. Of several scans of one ticket the earliest becomes the entry, whenever it is uploaded. For those who may check in; ' +
      'at any time, since each scan says when it was.',
  })
  async uploadScans(
    @Arg('input', () => UploadScansInput, { description: 'The scans.' }) input: UploadScansInput,
    @Ctx() context: RequestContext,
  ) {
    const result = await this.checkInsService.uploadOnce(
      staffOf(context),
      uuidOf(input.performanceId, 'Performance'),
      input.scans.map(({ id, code, gate, scannedAt }) => ({ id, code, gate, scannedAt })),
      { max: UPLOAD_MAX, idempotencyKey: checkedIdempotencyKey(input.idempotencyKey) },
    );
    return result instanceof Refusal ? result : new UploadScansSuccess(result);
  }

  @RequiresRole()
  @Price(1, { multipliedBy: 'first' })
  @Query(() => ScanConnection, {
    nullable: true,
    description: 'Every scan at the doors of a performance, newest first. Null for a performance whose doors you do not work at.',
  })
  async doorLog(
    @Arg('performanceId', () => ID, { description: 'The id of the performance.' }) performanceId: string,
    @Args(() => ConnectionArgs) args: ConnectionArgs,
    @Ctx() context: RequestContext,
  ) {
    const page = pageOf(args, ['uuid'] as const);
    const id = uuidOf(performanceId, 'Performance');
    if (!(await hasDoor(context).load(id))) return null;
    const rows = await this.checkInsService.log(id, page.after?.[0] ?? null, page.limit);
    return toConnection(rows, {
      page,
      cursorOf: (scan: LoggedScan) => [scan.id],
      totalCount: () => this.checkInsService.countLog(id),
    });
  }

  @RequiresRole()
  @Price(5)
  @Query(() => DoorStatusType, {
    nullable: true,
    description: 'How far a performance has come at its doors. Null for a performance whose doors you do not work at.',
  })
  async doorStatus(
    @Arg('performanceId', () => ID, { description: 'The id of the performance.' }) performanceId: string,
    @Ctx() context: RequestContext,
  ) {
    const id = uuidOf(performanceId, 'Performance');
    return (await hasDoor(context).load(id)) ? this.checkInsService.status(id) : null;
  }

  @RequiresRole()
  @Price(5)
  @Subscription(() => DoorStatusType, {
    description:
      'How far a performance has come at its doors, live: first where it is now, then every change, at most 5 times a second, with versions that never go ' +
      'down. For those who may check in, as long as they may; for anybody else refused as bad input, as a performance that does not exist is.',
    subscribe: async ({ args, context }) => {
      const id = uuidOf((args as { performanceId: string }).performanceId, 'Performance');
      await mustHaveDoor(context as RequestContext, id);
      return (context as RequestContext).watch('checkInsChanged', [id]);
    },
  })
  async checkInsChanged(
    @Root() status: DoorStatus,
    @Arg('performanceId', () => ID, { description: 'The id of the performance.' }) _performanceId: string,
    @Ctx() context: RequestContext,
  ): Promise<DoorStatusType> {
    // Each message anew: who was taken off the doors meanwhile is told nothing more.
    await mustHaveDoor(context, status.id);
    return status as never;
  }
}

@Resolver(() => ScannedTicketType)
export class ScannedTicketResolver {
  constructor(private readonly checkInsService: CheckInsService) {}

  @FieldResolver(() => ID)
  ticketId(@Root() ticket: ScannedTicket): string {
    return toNodeId('Ticket', ticket.id);
  }

  @FieldResolver(() => SeatType)
  seat(@Root() ticket: ScannedTicket) {
    return this.checkInsService.seatOf(ticket);
  }

  @FieldResolver(() => TierType)
  tier(@Root() ticket: ScannedTicket, @Ctx() context: RequestContext) {
    return tierById(context).load(ticket.tierId);
  }
}

@Resolver(() => ScanType)
export class ScanResolver {
  @FieldResolver(() => ID)
  id(@Root() scan: LoggedScan): string {
    return toNodeId('Scan', scan.id);
  }
}

@Resolver(() => DoorStatusType)
export class DoorStatusResolver {
  @FieldResolver(() => ID)
  performanceId(@Root() status: DoorStatus): string {
    return toNodeId('Performance', status.id);
  }

  @FieldResolver(() => Date)
  at(@Root() { at }: DoorStatus): Date {
    return new Date(at);
  }
}

@Resolver(() => WrongPerformanceError)
export class WrongPerformanceErrorResolver {
  @FieldResolver(() => PerformanceType)
  performance(@Root() { performanceId }: WrongPerformanceError, @Ctx() context: RequestContext) {
    return performanceById(context).load(performanceId);
  }
}

function ticketNamedBy({ ticketId, code }: UndoCheckInInput): { id: string } | { code: string } {
  if (ticketId != null && code == null) return { id: uuidOf(ticketId, 'Ticket') };
  if (code != null && ticketId == null) return { code };
  throw badInput('Name the ticket by exactly one of `ticketId` and `code`.');
}

async function mustHaveDoor(context: RequestContext, performanceId: string): Promise<void> {
  if (!(await hasDoor(context).load(performanceId))) throw badInput('`performanceId` is not a performance whose doors you work at.');
}

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
