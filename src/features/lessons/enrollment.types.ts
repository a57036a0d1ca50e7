import { Field, ObjectType } from 'type-graphql';
import { Connection } from '../../platform/graphql/connections.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { HoldType } from '../holds/index.ts';
import { LessonType, LockerStockType } from './lesson.types.ts';

@ObjectType('Enrollment', {
  implements: [Node, HoldType],
  description:
    'A place in a lesson, and a locker if one was asked for, from the moment it is held. Readable by its member and by administrators.',
})
export class EnrollmentType extends HoldType {
  @Price(1)
  @Field(() => LessonType, { description: 'The lesson.' })
  lesson?: LessonType;

  @Price(1)
  @Field(() => LockerStockType, { nullable: true, description: 'Where the locker is from. Null: enrolled without a locker.' })
  locker?: LockerStockType | null;
}

export const { ConnectionType: EnrollmentConnection, EdgeType: EnrollmentEdge } = Connection('Enrollment', EnrollmentType);
