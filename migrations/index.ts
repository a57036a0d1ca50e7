import { Migration20261121000000Platform } from './migration-20261121000000-platform.ts';
import { Migration20261121000100Accounts } from './migration-20261121000100-accounts.ts';
import { Migration20261121000200Inventory } from './migration-20261121000200-inventory.ts';
import { Migration20261121000300Lessons } from './migration-20261121000300-lessons.ts';
import { Migration20261121000400Payments } from './migration-20261121000400-payments.ts';

/** Every migration, oldest first. Append only. */
export const migrations = [
  { name: 'migration-20261121000000-platform', class: Migration20261121000000Platform },
  { name: 'migration-20261121000100-accounts', class: Migration20261121000100Accounts },
  { name: 'migration-20261121000200-inventory', class: Migration20261121000200Inventory },
  { name: 'migration-20261121000300-lessons', class: Migration20261121000300Lessons },
  { name: 'migration-20261121000400-payments', class: Migration20261121000400Payments },
];
