import { Migration } from '@mikro-orm/migrations';

/**
 * What a ticket is at this moment, said in one place for whoever shows, hands on or checks one: nothing of it is stored but its use. A booking whose money
 * is on its way back is no longer worth anything, although its hold reads CONFIRMED until the provider has answered: otherwise somebody could cancel
 * and walk in while the refund is under way. Should the provider refuse to give it back, its tickets are good again.
 *
 * Whoever acts on a state must have the ticket's hold locked, at least FOR SHARE, by an earlier statement of the transaction: cancelling locks it FOR UPDATE.
 */
export class Migration20261121001010TicketStates extends Migration {
  override up(): void {
    this.addSql(`
      create view ticket_state as
        select t.id, case
          when h.state <> 'CONFIRMED' or exists (
            select 1 from payment p join refund r on r.payment_id = p.id
            where p.hold_id = h.id and p.is_current and r.state = 'OPEN' and r.gives_back) then 'REFUNDED'
          when t.used_at is not null then 'USED'
          else 'VALID' end as state
        from ticket t join hold h on h.id = t.hold_id;
    `);
    // Of those that were offered: how often, and by whom.
    this.addSql('create index ticket_transfer_ticket on ticket_transfer (ticket_id);');
  }

  override down(): void {
    this.addSql('drop index ticket_transfer_ticket; drop view ticket_state;');
  }
}
