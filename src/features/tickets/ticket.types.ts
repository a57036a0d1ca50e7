import { Field, Float, ID, ObjectType, registerEnumType } from 'type-graphql';
import { Connection } from '../../platform/graphql/connections.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { PerformanceType, TierType } from '../events/index.ts';
import { SeatType } from '../venues/index.ts';
import type { TicketView } from './read-tickets.ts';
import { TICKET_STATES, type TicketState } from './ticket-states.ts';

export const TicketStateEnum = enumOf(TICKET_STATES);

registerEnumType(TicketStateEnum, {
  name: 'TicketState',
  description: 'What a ticket is worth at this moment.',
  valuesConfig: {
    VALID: { description: 'Lets its owner in, once.' },
    USED: { description: 'Somebody was let in with it.' },
    REFUNDED: {
      description:
        'Its booking was cancelled and the money is back, or on its way. It lets nobody in. Should the payment provider refuse to give the money back, it is `VALID` again.',
    },
  },
});

@ObjectType('TicketWalletFields', { description: "What passes for phones' wallets are made of, those of Apple and those of Google." })
export class TicketWalletFieldsType {
  @Field(() => String, {
    description: 'Names the pass. Another one once the ticket has changed hands, so that the pass of its former owner can be voided.',
  })
  serialNumber!: string;

  @Field(() => String, { description: 'What the event is called, at most 200 characters.' })
  title!: string;

  @Field(() => String, { description: 'The name of the venue, at most 200 characters.' })
  venueName!: string;

  @Field(() => String, { description: 'The address of the venue, at most 300 characters.' })
  venueAddress!: string;

  @Field(() => Float, { description: 'Degrees north, −90 to 90: where a phone shows the pass by itself.' })
  latitude!: number;

  @Field(() => Float, { description: 'Degrees east, −180 to 180.' })
  longitude!: number;

  @Field(() => String, { description: 'The time zone of the venue, an IANA name such as `Asia/Seoul`.' })
  timeZone!: string;

  @Field(() => Date, { description: 'When the performance begins.' })
  startsAt!: Date;

  @Field(() => Date, { description: 'When the performance ends, and the pass with it.' })
  endsAt!: Date;

  @Field(() => String, { description: 'The name of the tier, at most 50 characters.' })
  tierName!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Section, row and seat as they are written on the seat, for example `A 3-12`. Null: a place without a number.',
  })
  seatText!: string | null;

  @Field(() => String, { description: 'Whose ticket it is: the display name of its owner, at most 100 characters.' })
  holderName!: string;

  @Field(() => String, {
    description: 'How the code is drawn: always `QR`, which is `PKBarcodeFormatQR` for Apple and `QR_CODE` for Google.',
  })
  barcodeFormat!: string;

  @Field(() => String, { description: 'What the code says: the same as `code`, ASCII.' })
  barcodeMessage!: string;

  @Field(() => String, { description: 'What stands below the code, for people: 8 characters of the id of the ticket, not secret.' })
  barcodeAltText!: string;
}

@ObjectType('Ticket', {
  implements: Node,
  description:
    'One seat or place of a paid booking. Readable by its owner and by administrators; who bought it goes on seeing that there is such a ticket after ' +
    'handing it on, but not whose it is.',
})
export class TicketType implements Pick<TicketView, 'state' | 'issuedAt'> {
  @Field(() => ID, { description: 'The opaque id. Not secret: it lets nobody in.' })
  id!: string;

  @Price(1)
  @Field(() => PerformanceType, { description: 'What it lets in to.' })
  performance?: PerformanceType;

  @Price(1)
  @Field(() => TierType, { description: 'What was paid for.' })
  tier?: TierType;

  @Price(1)
  @Field(() => SeatType, { nullable: true, description: 'The seat. Null: a place without a number.' })
  seat?: SeatType | null;

  @Field(() => TicketStateEnum, { description: 'What it is worth at this moment.' })
  state!: TicketState;

  @Price(1)
  @Field(() => String, { nullable: true, description: 'The display name of its owner. Null for anyone but the owner.' })
  holderName?: string | null;

  @Price(1)
  @Field(() => String, {
    nullable: true,
    description:
      'What the QR code says, at most 300 ASCII characters: show it at the door, and to nobody else. It changes when the ticket changes hands. ' +
      'Null for anyone but the owner, and once the ticket is `REFUNDED`.',
  })
  code?: string | null;

  @Price(5)
  @Field(() => String, {
    nullable: true,
    description: '`code` as a QR code: an SVG document of some 13 KB, without a size of its own. Null where `code` is.',
  })
  qrSvg?: string | null;

  @Price(5)
  @Field(() => TicketWalletFieldsType, { nullable: true, description: 'What a pass for a wallet is made of. Null where `code` is.' })
  walletFields?: TicketWalletFieldsType | null;

  @Field(() => Date, { description: 'When it was issued: some moments after it was paid.' })
  issuedAt!: Date;

  @Field(() => Date, {
    nullable: true,
    description: 'When somebody was let in with it. Null before that, and for anyone but the owner and administrators.',
  })
  usedAt?: Date | null;

  @Field(() => Date, {
    nullable: true,
    description: 'Until when the link that was made last can be accepted. Null where there is none, and for anyone but the owner.',
  })
  offerExpiresAt?: Date | null;
}

export const { ConnectionType: TicketConnection, EdgeType: TicketEdge } = Connection('Ticket', TicketType);
