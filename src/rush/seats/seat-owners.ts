/** Whose a seat is, by what members were told, and whether it was ever two members' at the same time. */
export class SeatOwners {
  private readonly owners = new Map<number, Owner>();
  private readonly twice = new Set<number>();

  get givenTwice(): number {
    return this.twice.size;
  }

  /** A member was given these. `createdAt`, `expiresAt`: of the hold, as the server wrote them. */
  give(member: number, seats: readonly number[], { createdAt, expiresAt }: { createdAt: string; expiresAt: string }): void {
    for (const seat of seats) {
      const before = this.owners.get(seat);
      // A hold that had run out when the next one began had rightly lost its seats.
      if (before && (before.isPaid || before.expiresAt > createdAt)) this.twice.add(seat);
      this.owners.set(seat, { member, expiresAt, isPaid: false });
    }
  }

  /** A member was told that these are paid: until then nobody else may have been given them. */
  sell(member: number, seats: readonly number[]): void {
    for (const seat of seats) {
      const owner = this.owners.get(seat);
      if (owner?.member === member) owner.isPaid = true;
      else this.twice.add(seat);
    }
  }

  /** A member says that they do not want these any more. */
  giveUp(member: number, seats: readonly number[]): void {
    for (const seat of seats) if (this.owners.get(seat)?.member === member) this.owners.delete(seat);
  }
}

interface Owner {
  member: number;
  expiresAt: string;
  isPaid: boolean;
}
