import { Migration } from '@mikro-orm/migrations';

/**
 * What deleting a performance needs: its watches and the scans at its doors go along, and each reference to a row that goes is found by an index.
 * Without those, each of 5,000 seats would cost a scan of every item that was ever held.
 */
export class Migration20261121001210Deletions extends Migration {
  override up(): void {
    this.addSql(`
      alter table seat_watch drop constraint seat_watch_performance_id_fkey,
        add constraint seat_watch_performance_id_fkey foreign key (performance_id) references performance (id) on delete cascade;
      alter table scan drop constraint scan_performance_id_fkey,
        add constraint scan_performance_id_fkey foreign key (performance_id) references performance (id) on delete cascade;
      create index hold_item_unit on hold_item (unit_id) where unit_id is not null;
      create index payment_hold on payment (hold_id);
      create index ticket_tier on ticket (tier_id);
      create index seat_watch_tier on seat_watch (tier_id) where tier_id is not null;
      create index seat_watch_hold on seat_watch (hold_id) where hold_id is not null;
    `);
  }

  override down(): void {
    this.addSql(`
      drop index hold_item_unit, payment_hold, ticket_tier, seat_watch_tier, seat_watch_hold;
      alter table seat_watch drop constraint seat_watch_performance_id_fkey,
        add constraint seat_watch_performance_id_fkey foreign key (performance_id) references performance (id);
      alter table scan drop constraint scan_performance_id_fkey,
        add constraint scan_performance_id_fkey foreign key (performance_id) references performance (id);
    `);
  }
}
