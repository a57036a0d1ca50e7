import { Field, Int, ObjectType } from 'type-graphql';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';

@ObjectType('TicketNotFoundError', { implements: Refusal, description: 'There is no such ticket, or it is not yours.' })
export class TicketNotFoundError extends Refusal {
  readonly code = 'TICKET_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 티켓을 찾을 수 없습니다. 내 티켓 목록을 확인해 주세요.'
      : 'There is no such ticket of yours. Look at `myTickets` for its id.';
  }
}

@ObjectType('TicketRefundedError', {
  implements: Refusal,
  description: 'The booking of the ticket was cancelled: the money is back, or on its way. Nothing was changed.',
})
export class TicketRefundedError extends Refusal {
  readonly code = 'TICKET_REFUNDED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '예매가 취소되어 더 이상 유효하지 않은 티켓입니다. 새로 예매해 주세요.'
      : 'The booking of this ticket was cancelled, so it is good for nothing any more. Book a new one.';
  }
}

@ObjectType('TicketUsedError', { implements: Refusal, description: 'Somebody was let in with the ticket already. Nothing was changed.' })
export class TicketUsedError extends Refusal {
  readonly code = 'TICKET_USED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '이미 입장에 사용된 티켓이라 양도할 수 없습니다. 본인이 사용하지 않았다면 현장 직원에게 문의해 주세요.'
      : 'Somebody was let in with this ticket already, so it cannot change hands. Ask the staff at the door if it was not you.';
  }
}

@ObjectType('HandOverClosedError', {
  implements: Refusal,
  description: 'The performance has begun: its tickets change hands no more. Nothing was changed.',
})
export class HandOverClosedError extends Refusal {
  readonly code = 'HAND_OVER_CLOSED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '공연이 시작되어 티켓을 양도할 수 없습니다. 티켓을 가진 회원이 직접 입장해 주세요.'
      : 'The performance has begun and its tickets change hands no more. Whoever has the ticket now can still use it.';
  }
}

@ObjectType('TooManyOffersError', {
  implements: Refusal,
  description: 'So many links have been made for this ticket that no more are. The one made last is as it was.',
})
export class TooManyOffersError extends Refusal {
  readonly code = 'TOO_MANY_OFFERS';
  constructor(max: number) {
    super();
    this.max = max;
  }
  @Field(() => Int, { description: 'How many links one owner may make for one ticket.' })
  readonly max: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `한 티켓의 양도 링크는 ${this.max}번까지만 만들 수 있습니다. 마지막으로 만든 링크를 사용해 주세요.`
      : `At most ${this.max} links can be made for one ticket. Use the one you made last.`;
  }
}

@ObjectType('TicketOfferNotFoundError', {
  implements: Refusal,
  description: 'There is no offer of this token, or it has ended: accepted by somebody else, withdrawn, replaced or expired.',
})
export class TicketOfferNotFoundError extends Refusal {
  readonly code = 'TICKET_OFFER_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '유효하지 않거나 만료된 양도 링크입니다. 보낸 분에게 새 링크를 요청해 주세요.'
      : 'This link is good for nothing, or not any more. Ask whoever sent it to you for a new one.';
  }
}

@ObjectType('OwnTicketError', {
  implements: Refusal,
  description: 'You made this offer yourself: the ticket is yours. Nothing was changed.',
})
export class OwnTicketError extends Refusal {
  readonly code = 'OWN_TICKET';
  text(locale: Locale) {
    return locale === 'ko'
      ? '본인이 보낸 티켓입니다. 양도를 그만두려면 양도를 철회해 주세요.'
      : 'This ticket is your own. Send the link to somebody else, or withdraw the offer.';
  }
}

@ObjectType('TicketOfferAcceptedError', {
  implements: Refusal,
  description: 'Somebody has accepted your offer: the ticket is theirs, and there is nothing to withdraw any more.',
})
export class TicketOfferAcceptedError extends Refusal {
  readonly code = 'TICKET_OFFER_ACCEPTED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '상대방이 이미 티켓을 받았습니다. 돌려받으려면 상대방에게 양도를 요청해 주세요.'
      : 'Somebody has accepted this ticket and it is theirs. Ask them to offer it back to you.';
  }
}

@ObjectType('TicketsUsedError', {
  implements: Refusal,
  description: 'Somebody was let in with a ticket of this booking, so it cannot be cancelled. Nothing was given back.',
})
export class TicketsUsedError extends Refusal {
  readonly code = 'TICKETS_USED';
  constructor(count: number) {
    super();
    this.count = count;
  }
  @Field(() => Int, { description: 'How many tickets of the booking were used.' })
  readonly count: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `입장에 사용된 티켓이 ${this.count}장 있어 예매를 취소할 수 없습니다. 환불이 필요하면 주최자에게 문의해 주세요.`
      : `${this.count} of its tickets were used at the door, so the booking cannot be cancelled. Ask the organizer if you think money is owed to you.`;
  }
}

@ObjectType('TicketsHandedOnError', {
  implements: Refusal,
  description: 'A ticket of this booking belongs to somebody else now, so it cannot be cancelled. Nothing was given back.',
})
export class TicketsHandedOnError extends Refusal {
  readonly code = 'TICKETS_HANDED_ON';
  constructor(count: number) {
    super();
    this.count = count;
  }
  @Field(() => Int, { description: 'How many tickets of the booking belong to somebody else.' })
  readonly count: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `다른 회원에게 양도한 티켓이 ${this.count}장 있어 예매를 취소할 수 없습니다. 먼저 티켓을 돌려받아 주세요.`
      : `${this.count} of its tickets belong to somebody else now. Have them offered back to you first, then cancel.`;
  }
}
