import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Connection } from '../../platform/graphql/connections.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { SECTIONS_MAX, ZONES_MAX } from './read-seat-plan.ts';
import { type PlanSeat, SEAT_SALES, type SeatSale } from './seat-plan.ts';
import type { SeatPlanHead, SectionOutline, ZoneOutline } from './seat-plan-outline.ts';
import type { Venue } from './venue.entity.ts';

export const SeatSaleEnum = enumOf(SEAT_SALES);
registerEnumType(SeatSaleEnum, {
  name: 'SeatSale',
  description: 'Whether a seat of a plan is sold. A performance begins with it.',
  valuesConfig: {
    SALE: { description: 'It can be bought.' },
    HOUSE: { description: 'Kept back by the house; it can be put on sale for a performance.' },
    KILL: { description: 'Never sold, for example because a pillar stands before it.' },
  },
});

@ObjectType('Seat', { description: 'A numbered seat of a seat plan.' })
export class SeatType implements PlanSeat {
  @Field(() => Int, { description: 'Its number in the plan, from 0: what mutations and live seat maps call it.' })
  number!: number;

  @Field(() => String, { description: 'The section it is in.' })
  section!: string;

  @Field(() => String, { description: 'The row within the section.' })
  row!: string;

  @Field(() => String, { description: 'What is printed on it, within its row.' })
  label!: string;

  @Field(() => Float, { description: 'Metres to the right of the origin of the plan.' })
  x!: number;

  @Field(() => Float, { description: 'Metres away from the stage.' })
  y!: number;

  @Field(() => String, { description: 'The zone of the plan; the tier of a performance for this zone says the price.' })
  zone!: string;

  @Field(() => Boolean, { description: 'Whether a wheelchair can stand there.' })
  isAccessible!: boolean;

  @Field(() => Boolean, { description: 'Whether it is for the companion of somebody in an accessible place.' })
  isCompanion!: boolean;

  @Field(() => SeatSaleEnum, { description: 'Whether the plan sells it.' })
  sale!: SeatSale;
}

export const { ConnectionType: SeatConnection, EdgeType: SeatEdge } = Connection('Seat', SeatType);

@ObjectType('Venue', { implements: Node, description: 'A place where something is shown. Anyone may read it.' })
export class VenueType implements Pick<Venue, 'name' | 'address' | 'latitude' | 'longitude' | 'timeZone'> {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'Its name, at most 200 characters.' })
  name!: string;

  @Field(() => String, { description: 'Its postal address, at most 300 characters.' })
  address!: string;

  @Field(() => Float, { description: 'Degrees north, from -90 to 90 (WGS 84).' })
  latitude!: number;

  @Field(() => Float, { description: 'Degrees east, from -180 to 180 (WGS 84).' })
  longitude!: number;

  @Field(() => String, { description: 'Its IANA time zone, for example `Asia/Seoul`.' })
  timeZone!: string;
}

export const { ConnectionType: VenueConnection, EdgeType: VenueEdge } = Connection('Venue', VenueType);

@ObjectType('PlanPoint', { description: 'A point in the plane of a seat plan.' })
export class PlanPointType {
  @Field(() => Float, { description: 'Metres to the right of the origin of the plan.' })
  x!: number;

  @Field(() => Float, { description: 'Metres away from the stage.' })
  y!: number;
}

@ObjectType('PlanSection', { description: 'A section of a seat plan: what a map draws before somebody looks closer.' })
export class PlanSectionType implements Omit<SectionOutline, 'planId'> {
  @Field(() => String, { description: 'Its name, at most 50 characters.' })
  name!: string;

  @Field(() => Int, { description: 'The number of its first seat. Its seats are numbered one after the other.' })
  firstNumber!: number;

  @Field(() => Int, { description: 'All its seats.' })
  seatCount!: number;

  @Field(() => Int, { description: 'Those of them that are sold.' })
  capacity!: number;

  @Field(() => Int, { description: 'Its rows.' })
  rowCount!: number;

  @Price(0)
  @Field(() => PlanPointType, { description: 'The corner of its extent with the smallest coordinates.' })
  from!: PlanPointType;

  @Price(0)
  @Field(() => PlanPointType, { description: 'The corner of its extent with the largest coordinates.' })
  to!: PlanPointType;
}

@ObjectType('PlanZone', {
  description: 'A zone of a seat plan. A performance that uses the plan has one tier, and so one price, for each.',
})
export class PlanZoneType implements Omit<ZoneOutline, 'planId'> {
  @Field(() => String, { description: 'Its name, at most 20 characters.' })
  name!: string;

  @Field(() => Int, { description: 'All its seats.' })
  seatCount!: number;

  @Field(() => Int, { description: 'Those of them that are sold.' })
  capacity!: number;
}

@ObjectType('SeatPlan', {
  implements: Node,
  description:
    'The seats of a venue for one way of using it. It never changes once imported, so keep what you read of it for as long as you like. Anyone may read it.',
})
export class SeatPlanType implements Pick<SeatPlanHead, 'name' | 'createdAt'> {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'Its name, at most 100 characters.' })
  name!: string;

  @Field(() => Date, { description: 'When it was imported.' })
  createdAt!: Date;

  @Price(1)
  @Field(() => VenueType, { description: 'Where it is.' })
  venue?: VenueType;

  @Price(0)
  @Field(() => PlanPointType, { description: 'Where everybody looks, usually the middle of the stage: the nearer the better.' })
  focus?: PlanPointType;

  @Price(2)
  @Field(() => Int, { description: 'All its seats, at most 65,536.' })
  seatCount?: number;

  @Price(2)
  @Field(() => Int, { description: 'Those of them that are sold: without house and kill seats.' })
  capacity?: number;

  @Price(1, { size: SECTIONS_MAX })
  @Field(() => [PlanSectionType], { description: `Its sections in the order of their seats, at most ${SECTIONS_MAX}.` })
  sections?: PlanSectionType[];

  @Price(1, { size: ZONES_MAX })
  @Field(() => [PlanZoneType], { description: `Its zones by name, at most ${ZONES_MAX}.` })
  zones?: PlanZoneType[];

  @Price(1, { multipliedBy: 'first' })
  @Field(() => SeatConnection, {
    description:
      'Its seats by number, of one section or all. To draw a whole map download it from `downloadUrl`: that is one request and can be cached.',
  })
  seats?: object;

  @Field(() => String, {
    description:
      'Where to download the whole plan, as a path of this server. Anyone may, and may keep it for ever. Seats are numbered from 0 in the order of the file.',
  })
  downloadUrl?: string;
}

export const { ConnectionType: SeatPlanConnection, EdgeType: SeatPlanEdge } = Connection('SeatPlan', SeatPlanType);
