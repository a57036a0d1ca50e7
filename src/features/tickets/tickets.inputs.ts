import { Field, ID, InputType } from 'type-graphql';

@InputType('OfferTicketInput', { description: 'Which ticket to hand on.' })
export class OfferTicketInput {
  @Field(() => ID, { description: 'The id of a ticket of yours.' })
  ticketId!: string;

  @Field(() => String, {
    description: 'Made by you before the first try, 1 to 200 visible ASCII characters. Sending the same again answers with the same token.',
  })
  idempotencyKey!: string;
}

@InputType('AcceptTicketInput', { description: 'What the link was made of.' })
export class AcceptTicketInput {
  @Field(() => String, {
    description: 'The token of `offerTicket`, 43 characters. It takes one effect: sending it again answers the same.',
  })
  token!: string;
}

@InputType('WithdrawTicketOfferInput', { description: 'Which ticket is not handed on.' })
export class WithdrawTicketOfferInput {
  @Field(() => ID, { description: 'The id of a ticket of yours.' })
  ticketId!: string;
}
