import { Field, Float, ID, InputType, registerEnumType } from 'type-graphql';
import { enumOf } from '../../platform/graphql/enums.ts';
import { PLAN_FORMATS, type PlanFormat } from './seat-plan-file.ts';

export const PlanFormatEnum = enumOf(PLAN_FORMATS);
registerEnumType(PlanFormatEnum, {
  name: 'SeatPlanFormat',
  description:
    'How a seat plan is written as a file, in UTF-8. Seats are numbered from 0 in the order of the file. Both forms say the same.',
  valuesConfig: {
    JSON: {
      description:
        '`{"name","focus":{"x","y"},"sections":[{"name","rows":[{"name","seats":[{"label","x","y","zone","accessible"?,"companion"?,"sale"?}]}]}]}`.',
    },
    CSV: {
      description:
        'One line for each seat, with the columns section, row, label, x, y, zone, and if wanted accessible, companion, sale. The columns focus_x and ' +
        'focus_y are filled in the first line. A text that begins like a formula has an apostrophe before it.',
    },
  },
});

@InputType('CreateVenueInput', { description: 'A new venue.' })
export class CreateVenueInput {
  @Field(() => String, { description: 'Its name, 1 to 200 characters.' })
  name!: string;

  @Field(() => String, { description: 'Its postal address, 1 to 300 characters.' })
  address!: string;

  @Field(() => Float, { description: 'Degrees north, -90 to 90 (WGS 84).' })
  latitude!: number;

  @Field(() => Float, { description: 'Degrees east, -180 to 180 (WGS 84).' })
  longitude!: number;

  @Field(() => String, { defaultValue: 'Asia/Seoul', description: 'Its IANA time zone, for example `Asia/Seoul`.' })
  timeZone!: string;

  @Field(() => String, {
    description: 'Made by you before the first try, 1 to 200 visible ASCII characters: a double-submitted form makes one venue.',
  })
  idempotencyKey!: string;
}

@InputType('UpdateVenueInput', { description: 'What to change. Absent and null both mean: left as it is.' })
export class UpdateVenueInput {
  @Field(() => ID, { description: 'The id of the venue.' })
  venueId!: string;

  @Field(() => String, { nullable: true, description: 'A new name, 1 to 200 characters.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'A new postal address, 1 to 300 characters.' })
  address?: string | null;

  @Field(() => Float, { nullable: true, description: 'Degrees north, -90 to 90 (WGS 84).' })
  latitude?: number | null;

  @Field(() => Float, { nullable: true, description: 'Degrees east, -180 to 180 (WGS 84).' })
  longitude?: number | null;

  @Field(() => String, { nullable: true, description: 'Another IANA time zone.' })
  timeZone?: string | null;
}

@InputType('DeleteVenueInput', { description: 'Which venue to delete.' })
export class DeleteVenueInput {
  @Field(() => ID, { description: 'The id of the venue.' })
  venueId!: string;
}

@InputType('ImportSeatPlanInput', { description: 'A seat plan as a file.' })
export class ImportSeatPlanInput {
  @Field(() => ID, { description: 'The id of the venue, which must be yours.' })
  venueId!: string;

  @Field(() => String, {
    nullable: true,
    description: 'What to call the plan, 1 to 100 characters. Absent or null: as the file calls it, which only JSON can.',
  })
  name?: string | null;

  @Field(() => PlanFormatEnum, { description: 'How the file is written.' })
  format!: PlanFormat;

  @Field(() => String, {
    description:
      'The file, at most 20,000 characters: some 400 seats. Send a larger one, up to 4 MiB, as the body of `POST /venues/<venueId>/seat-plans?name=<name>` ' +
      'with your access token, an `Idempotency-Key` header, and the content type `text/csv` or `application/json`; the rules are the same.',
  })
  content!: string;

  @Field(() => String, {
    description: 'Made by you before the first try, 1 to 200 visible ASCII characters: sending the same again answers with the same plan.',
  })
  idempotencyKey!: string;
}

@InputType('DeleteSeatPlanInput', { description: 'Which seat plan to delete.' })
export class DeleteSeatPlanInput {
  @Field(() => ID, { description: 'The id of the seat plan.' })
  seatPlanId!: string;
}
