import { Field, ObjectType } from 'type-graphql';
import { Price } from '../../platform/graphql/price.ts';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';
import { PerformanceType } from '../events/index.ts';
import { type Entry, type ScannedTicket, ScannedTicketType } from './check-in.types.ts';

/** What a scan was decided to be, other than valid. Its code is the `ScanResult`. */
export abstract class ScanRefusal extends Refusal {}

@ObjectType('ForgedTicketError', { implements: Refusal, description: 'The code is not one of ours. Nobody may enter with it.' })
export class ForgedTicketError extends ScanRefusal {
  readonly code = 'FORGED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '발권된 티켓의 코드가 아닙니다. 입장을 허용하지 말고, 앱에서 티켓을 다시 열어 달라고 요청해 주세요.'
      : 'This is not the code of a ticket of ours. Do not let them in; ask them to open the ticket again in their app.';
  }
}

@ObjectType('WrongPerformanceError', { implements: Refusal, description: 'The ticket is genuine, but for another performance.' })
export class WrongPerformanceError extends ScanRefusal {
  readonly code = 'WRONG_PERFORMANCE';
  constructor(
    readonly performanceId: string,
    readonly title: string,
    readonly startsAt: Date,
  ) {
    super();
  }
  @Price(1)
  @Field(() => PerformanceType, { nullable: true, description: 'The performance it is for. Null if it was removed meanwhile.' })
  performance?: PerformanceType;
  text(locale: Locale) {
    return locale === 'ko'
      ? `다른 공연의 티켓입니다: ${this.title}, ${inSeoul(this.startsAt, locale)}. 해당 공연의 입구로 안내해 주세요.`
      : `This ticket is for another performance: ${this.title}, ${inSeoul(this.startsAt, locale)}. Send them there.`;
  }
}

@ObjectType('TicketReplacedError', {
  implements: Refusal,
  description: 'The ticket was handed on after this code was shown: only the code of its new owner is good.',
})
export class TicketReplacedError extends ScanRefusal {
  readonly code = 'REPLACED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '양도되어 더 이상 유효하지 않은 코드입니다. 현재 소유자의 티켓 코드를 스캔해 주세요.'
      : 'The ticket was handed on, so this code is good no more. Scan the code its present owner has.';
  }
}

@ObjectType('RefundedError', {
  implements: Refusal,
  description: 'The booking of this ticket was cancelled and its money went back.',
})
export class RefundedError extends ScanRefusal {
  readonly code = 'REFUNDED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '환불된 티켓입니다. 입장하려면 새 티켓이 필요합니다.'
      : 'This ticket was refunded. To come in they need a new one.';
  }
}

@ObjectType('AlreadyUsedError', { implements: Refusal, description: 'Somebody has come in with this ticket before.' })
export class AlreadyUsedError extends ScanRefusal {
  readonly code = 'ALREADY_USED';
  constructor(ticket: ScannedTicket, entry: Entry) {
    super();
    this.ticket = ticket as never;
    this.usedAt = entry.at;
    this.gate = entry.gate;
  }
  @Field(() => Date, { description: 'When that was.' })
  readonly usedAt: Date;
  @Field(() => String, { description: 'The gate where that was, up to 50 characters.' })
  readonly gate: string;
  @Price(0)
  @Field(() => ScannedTicketType, { description: 'The ticket, whose seat says where to look for them.' })
  readonly ticket: ScannedTicketType;
  text(locale: Locale) {
    return locale === 'ko'
      ? `${inSeoul(this.usedAt, locale)} ${this.gate}에서 이미 입장 처리된 티켓입니다. 잘못 처리되었다면 입장을 취소한 뒤 다시 스캔해 주세요.`
      : `Somebody came in with this ticket at ${this.gate}, ${inSeoul(this.usedAt, locale)}. If that was a mistake, undo that check-in and scan again.`;
  }
}

@ObjectType('ScanUndoneError', {
  implements: Refusal,
  description: 'This very scan, sent again, was undone meanwhile. A new scan of the code is decided anew.',
})
export class ScanUndoneError extends ScanRefusal {
  readonly code = 'UNDONE';
  text(locale: Locale) {
    return locale === 'ko'
      ? '이 스캔은 취소되었습니다. 코드를 다시 스캔해 주세요.'
      : 'This scan was sent before and has been undone. Scan the code again.';
  }
}

@ObjectType('DoorNotFoundError', { implements: Refusal, description: 'There is no such performance, or you do not work at its doors.' })
export class DoorNotFoundError extends Refusal {
  readonly code = 'DOOR_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 공연을 찾을 수 없거나 입장 담당자가 아닙니다. 주최자에게 담당자 등록을 요청해 주세요.'
      : 'There is no such performance whose doors you work at. Ask the organizer to add you to the door staff.';
  }
}

@ObjectType('DoorClosedError', {
  implements: Refusal,
  description: 'Doors are open from 24 hours before a performance begins until 24 hours after it ends. Nothing was done.',
})
export class DoorClosedError extends Refusal {
  readonly code = 'DOOR_CLOSED';
  constructor(opensAt: Date, closesAt: Date) {
    super();
    this.opensAt = opensAt;
    this.closesAt = closesAt;
  }
  @Field(() => Date, { description: 'From when tickets can be scanned.' })
  readonly opensAt: Date;
  @Field(() => Date, { description: 'Until when tickets can be scanned.' })
  readonly closesAt: Date;
  text(locale: Locale) {
    return locale === 'ko'
      ? `${inSeoul(this.opensAt, locale)}부터 ${inSeoul(this.closesAt, locale)}까지 스캔할 수 있습니다. 공연을 맞게 선택했는지 확인해 주세요.`
      : `Tickets can be scanned from ${inSeoul(this.opensAt, locale)} until ${inSeoul(this.closesAt, locale)}. Check that this is the right performance.`;
  }
}

@ObjectType('ScanInFutureError', {
  implements: Refusal,
  description: 'The time of the scan is more than 2 minutes ahead. Nothing was done.',
})
export class ScanInFutureError extends Refusal {
  readonly code = 'SCAN_IN_FUTURE';
  constructor(serverTime: Date) {
    super();
    this.serverTime = serverTime;
  }
  @Field(() => Date, { description: 'What time it is, by the database clock.' })
  readonly serverTime: Date;
  text(locale: Locale) {
    return locale === 'ko'
      ? '스캔 시각이 현재보다 2분 넘게 앞서 있습니다. 기기의 시계를 맞춘 뒤 다시 스캔해 주세요.'
      : 'This scan is more than 2 minutes ahead of our clock. Set the clock of the device and scan again.';
  }
}

@ObjectType('TicketNotCheckedInError', {
  implements: Refusal,
  description: 'There is no such ticket of this performance, or nobody is in with it. Nothing was done.',
})
export class TicketNotCheckedInError extends Refusal {
  readonly code = 'TICKET_NOT_CHECKED_IN';
  text(locale: Locale) {
    return locale === 'ko'
      ? '이 공연에 입장 처리된 티켓이 아닙니다. 취소할 것이 없으니 그대로 스캔하면 됩니다.'
      : 'Nobody is in with this ticket, so there is nothing to undo: scan it as it is.';
  }
}

const inSeoul = (instant: Date, locale: Locale) => (locale === 'ko' ? KOREAN : ENGLISH).format(instant);

const STYLE = { timeZone: 'Asia/Seoul', dateStyle: 'medium', timeStyle: 'short' } as const;
const KOREAN = new Intl.DateTimeFormat('ko-KR', STYLE);
const ENGLISH = new Intl.DateTimeFormat('en-GB', STYLE);
