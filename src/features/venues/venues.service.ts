import type { Database } from '../../platform/database/database.ts';
import type { SeatPlans } from './seat-plan.ts';

export class VenuesService {
  constructor(
    readonly database: Database,
    readonly plans: SeatPlans,
  ) {}
}
