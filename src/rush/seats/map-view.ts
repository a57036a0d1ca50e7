/** What a seat is on the map, in two bits. */
export const AVAILABLE = 0;
export const HELD = 1;
export const SOLD = 2;
export const BLOCKED = 3;

/** What `seatsChanged` sends: a whole map, or what became of some seats since a version. */
export interface MapMessage {
  version: number;
  /** Null: a whole map. */
  since: number | null;
  sections: { from: number; count: number; states: string }[];
  available: number[];
  held: number[];
  sold: number[];
  blocked: number[];
}

/** A map of seats as a client keeps it, from the messages alone. */
export class MapView {
  states: Uint8Array = new Uint8Array();
  version = 0;
  messages = 0;
  /** Messages that were older than what was known. Must stay 0. */
  versionsDown = 0;
  /** Changes since a version that was not known. Must stay 0: a gap. */
  gaps = 0;

  apply(message: MapMessage): void {
    this.messages++;
    if (message.version < this.version) this.versionsDown++;
    if (message.since === null) this.states = statesOf(message.sections);
    else {
      if (message.since > this.version) this.gaps++;
      for (const [state, seats] of [message.available, message.held, message.sold, message.blocked].entries())
        for (const seat of seats) this.states[seat] = state;
    }
    this.version = message.version;
  }
}

/** The code of each seat, by number. */
export function statesOf(sections: readonly { from: number; count: number; states: string }[]): Uint8Array {
  const states = new Uint8Array(sections.reduce((most, { from, count }) => Math.max(most, from + count), 0));
  for (const { from, count, states: packed } of sections) {
    const bytes = Buffer.from(packed, 'base64');
    for (let seat = 0; seat < count; seat++) states[from + seat] = ((bytes[seat >> 2] ?? 0) >> ((seat & 3) * 2)) & 3;
  }
  return states;
}
