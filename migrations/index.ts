import { Migration20261121000000Platform } from './migration-20261121000000-platform.ts';
import { Migration20261121000100Accounts } from './migration-20261121000100-accounts.ts';
import { Migration20261121000200Inventory } from './migration-20261121000200-inventory.ts';
import { Migration20261121000300Lessons } from './migration-20261121000300-lessons.ts';
import { Migration20261121000400Payments } from './migration-20261121000400-payments.ts';
import { Migration20261121000500Ledger } from './migration-20261121000500-ledger.ts';
import { Migration20261121000600LateChoice } from './migration-20261121000600-late-choice.ts';
import { Migration20261121000700Bookings } from './migration-20261121000700-bookings.ts';
import { Migration20261121000800NumberedUnits } from './migration-20261121000800-numbered-units.ts';
import { Migration20261121000900Events } from './migration-20261121000900-events.ts';
import { Migration20261121001000Tickets } from './migration-20261121001000-tickets.ts';
import { Migration20261121001010TicketStates } from './migration-20261121001010-ticket-states.ts';
import { Migration20261121001100SeatWatches } from './migration-20261121001100-seat-watches.ts';
import { Migration20261121001210Deletions } from './migration-20261121001210-deletions.ts';
import { Migration20261121001500CheckIns } from './migration-20261121001500-check-ins.ts';

/** Every migration, oldest first. Append only. */
export const migrations = [
  { name: 'migration-20261121000000-platform', class: Migration20261121000000Platform },
  { name: 'migration-20261121000100-accounts', class: Migration20261121000100Accounts },
  { name: 'migration-20261121000200-inventory', class: Migration20261121000200Inventory },
  { name: 'migration-20261121000300-lessons', class: Migration20261121000300Lessons },
  { name: 'migration-20261121000400-payments', class: Migration20261121000400Payments },
  { name: 'migration-20261121000500-ledger', class: Migration20261121000500Ledger },
  { name: 'migration-20261121000600-late-choice', class: Migration20261121000600LateChoice },
  { name: 'migration-20261121000700-bookings', class: Migration20261121000700Bookings },
  { name: 'migration-20261121000800-numbered-units', class: Migration20261121000800NumberedUnits },
  { name: 'migration-20261121000900-events', class: Migration20261121000900Events },
  { name: 'migration-20261121001000-tickets', class: Migration20261121001000Tickets },
  { name: 'migration-20261121001010-ticket-states', class: Migration20261121001010TicketStates },
  { name: 'migration-20261121001100-seat-watches', class: Migration20261121001100SeatWatches },
  { name: 'migration-20261121001210-deletions', class: Migration20261121001210Deletions },
  { name: 'migration-20261121001500-check-ins', class: Migration20261121001500CheckIns },
];
