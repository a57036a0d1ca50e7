import { defineEntity, p } from '@mikro-orm/postgresql';

export const VenueSchema = defineEntity({
  name: 'Venue',
  tableName: 'venue',
  properties: {
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    ownerId: p.uuid(),
    name: p.string().columnType('text'),
    address: p.string().columnType('text'),
    latitude: p.double(),
    longitude: p.double(),
    timeZone: p.string().columnType('text').default('Asia/Seoul'),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** A place where something is shown. */
export class Venue extends VenueSchema.class {}
VenueSchema.setClass(Venue);
