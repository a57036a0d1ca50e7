import { ObjectType } from 'type-graphql';
import { Node } from '../../platform/graphql/node-ids.ts';
import { HoldType } from '../holds/index.ts';

@ObjectType('TicketHold', {
  implements: [Node, HoldType],
  description: 'Seats and places of one performance, from the moment they are held. Readable by its member and by administrators.',
})
export class TicketHoldType extends HoldType {}
