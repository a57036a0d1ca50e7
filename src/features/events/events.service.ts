import type { Inventory } from '../../inventory/inventory.ts';
import type { Database } from '../../platform/database/database.ts';
import type { SeatPlans } from '../venues/index.ts';

export class EventsService {
  constructor(
    readonly database: Database,
    readonly inventory: Inventory,
    readonly plans: SeatPlans,
  ) {}
}
