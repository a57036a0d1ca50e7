import type { Database } from '../../platform/database/database.ts';
import type { Refusal } from '../../platform/refusal.ts';
import { type AttemptLimits, emailOf, RateLimitedError } from '../accounts/index.ts';
import { EventInputError, EventNotFoundError, NoSuchAccountError, TooManyDoorStaffError } from './events.errors.ts';
import { lockOwnEvent, type Organizer } from './organizer.ts';

/** Enough for a stadium; the list is answered whole. */
export const DOOR_STAFF_MAX = 100;

/**
 * Who may check the tickets of an event.
 *
 * Adding somebody by e-mail tells whether the address has an account, which sign-up is careful not to tell. Organizers are told, because they must know
 * whether their staff can come to work, and because administrators chose them; addresses without an account are counted, so that nobody tests a list.
 */
export class DoorStaff {
  constructor(
    private readonly database: Database,
    private readonly limits: Pick<AttemptLimits, 'lookUp'>,
  ) {}

  /** Adding somebody twice changes nothing. */
  async add(organizer: Organizer, eventId: string, text: string): Promise<string | Refusal> {
    const email = emailOf(text);
    if (!email)
      return new EventInputError(
        'email',
        'This is not an e-mail address. Check it and try again.',
        '이메일 주소 형식이 올바르지 않습니다.',
      );
    const lookUp = await this.limits.lookUp(organizer.memberId);
    if (lookUp instanceof RateLimitedError) return lookUp;
    const added = await this.database.transact(
      async (em) => {
        if (!(await lockOwnEvent(em, organizer, eventId, 'update'))) return new EventNotFoundError();
        const [member] = await em.execute<{ id: string }[]>('select id from member where email = ?', [email]);
        if (!member) return new NoSuchAccountError();
        await em.execute('insert into door_staff (event_id, member_id) values (?, ?) on conflict do nothing', [eventId, member.id]);
        const [staff] = await em.execute<{ count: number }[]>('select count(*)::int as count from door_staff where event_id = ?', [
          eventId,
        ]);
        return (staff?.count ?? 0) > DOOR_STAFF_MAX ? new TooManyDoorStaffError(DOOR_STAFF_MAX) : eventId;
      },
      { name: 'add-door-staff' },
    );
    if (!(added instanceof NoSuchAccountError)) await lookUp.found();
    return added;
  }

  /** Removing somebody who is not there changes nothing. */
  async remove(organizer: Organizer, eventId: string, memberId: string): Promise<string | Refusal> {
    return this.database.transact(
      async (em) => {
        if (!(await lockOwnEvent(em, organizer, eventId, 'update'))) return new EventNotFoundError();
        await em.execute('delete from door_staff where event_id = ? and member_id = ?', [eventId, memberId]);
        return eventId;
      },
      { name: 'remove-door-staff' },
    );
  }
}
