import { Field, InputType, Int, ObjectType } from 'type-graphql';
import { CANCELLATION_HOURS_MAX } from './cancellation.ts';
import type { CancellationStep } from './product.ts';

const HOURS_BEFORE = 'The step lasts until so many hours before the start, that instant included';
const PERCENT = 'The share of what was paid that goes back, in percent';

@ObjectType('CancellationStep', {
  description:
    'One step of a cancellation policy. Of the steps that still last, the one that gives back most applies; when none does, nothing goes back.',
})
export class CancellationStepType implements CancellationStep {
  @Field(() => Int, { description: `${HOURS_BEFORE}. 0: until it starts.` })
  hoursBefore!: number;

  @Field(() => Int, { description: `${PERCENT}, 1 to 100.` })
  percent!: number;
}

@InputType('CancellationStepInput', {
  description:
    'One step of a cancellation policy. Each ends at an hour of its own, and the shorter notice gives back no more than the longer.',
})
export class CancellationStepInput implements CancellationStep {
  @Field(() => Int, { description: `${HOURS_BEFORE}; 0 to ${CANCELLATION_HOURS_MAX.toLocaleString('en')}. 0: until it starts.` })
  hoursBefore!: number;

  @Field(() => Int, { description: `${PERCENT}, 1 to 100.` })
  percent!: number;
}
