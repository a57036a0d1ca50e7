import { type Broadcast, type BroadcastTools, type Member, retryPause, SHARED } from './broadcast.ts';
import type { ChangeSource } from './hub.ts';
import type { Versioned } from './live-objects.ts';

/** A member with what it has been sent. */
interface Reader {
  member: Member;
  key: string;
  /** Undefined: nothing yet, it needs the whole state. */
  version: number | undefined;
  /** The first message always comes, also where it says that nothing has changed. */
  isNew: boolean;
  /** Whether it is not known yet that what it has is a version of ours. */
  isUnconfirmed: boolean;
  /** Gives the next message where it is ready. */
  latest: () => string | undefined;
}

/**
 * Sends changes of one object. Each reader's last version is known, and its next message leads from there to the newest version: whoever keeps up shares one
 * message with all who do, a late joiner gets the whole state, and a slow reader one change that contains all it has missed.
 *
 * Versions advance in rounds. Within a round there is one state, and one payload for each version that somebody comes from, made when the first one needs it.
 * A newer state begins the next round as soon as what is being executed is done, and nothing more is begun meanwhile, so rounds never overlap or starve.
 */
export class ChangeBroadcast<S extends Versioned> implements Broadcast {
  private readonly readers = new Map<Member, Reader>();
  private state: S | undefined;
  private next: S | undefined;
  /** The payloads of this round, by the version they start from. */
  private readonly payloads = new Map<number | undefined, string>();
  private readonly executing = new Set<number | undefined>();
  private readonly stopObserving: () => void;
  private isOver = false;

  constructor(
    private readonly source: ChangeSource<S>,
    private readonly id: string,
    private readonly tools: BroadcastTools,
  ) {
    this.stopObserving = source.live.observe(id, (state) => this.changed(state));
  }

  get size(): number {
    return this.readers.size;
  }

  add(member: Member): void {
    const reader: Reader = {
      member,
      key: `${member.operationId}\n${this.id}`,
      version: member.after,
      isNew: true,
      isUnconfirmed: member.after !== undefined,
      latest: () => this.messageFor(reader),
    };
    this.readers.set(member, reader);
    if (member.after === undefined) this.offerOrPrepare([reader]);
    else void this.resume(reader, member.after);
  }

  remove(member: Member): void {
    this.readers.delete(member);
  }

  close(): void {
    this.isOver = true;
    this.stopObserving();
  }

  /** What it has may be newer than what we have, where hints to us were lost. If the truth is older, it has something else, and needs everything. */
  private async resume(reader: Reader, after: number): Promise<void> {
    const reached = await this.source.live.reach(this.id, after);
    if (reached < after) reader.version = undefined;
    reader.isUnconfirmed = false;
    this.offerOrPrepare([reader]);
  }

  private changed(state: S): void {
    if (this.executing.size > 0) this.next = state;
    else this.beginRound(state);
  }

  private beginRound(state: S): void {
    this.state = state;
    this.next = undefined;
    this.payloads.clear();
    this.offerOrPrepare(this.readers.values());
  }

  private needs({ member, version, isNew, isUnconfirmed }: Reader): boolean {
    if (!this.state || member.hasLeft || isUnconfirmed) return false;
    return version === undefined || version < this.state.version || (isNew && version === this.state.version);
  }

  /** Whoever is behind is asked again when it has drained: no payload is made for it before. */
  private offerOrPrepare(readers: Iterable<Reader>): void {
    const offered: Reader[] = [];
    for (const reader of readers) {
      if (!this.needs(reader)) continue;
      if (reader.member.outlet.isBehind || this.payloads.has(reader.version)) offered.push(reader);
      else this.prepare(reader.version);
    }
    this.offer(offered);
  }

  private offer(readers: Iterable<Reader>): void {
    let written = 0;
    for (const { member, key, latest } of readers) if (member.outlet.offer(key, latest)) written++;
    if (written > 0) this.tools.metrics.messages.inc(SHARED, written);
  }

  private messageFor(reader: Reader): string | undefined {
    if (!this.state || !this.needs(reader)) return undefined;
    const payload = this.payloads.get(reader.version);
    if (payload === undefined) {
      this.prepare(reader.version);
      return undefined;
    }
    reader.version = this.state.version;
    reader.isNew = false;
    return `${reader.member.head}${payload}}`;
  }

  private prepare(since: number | undefined): void {
    // With a newer state waiting, everybody is looked at again in a moment.
    if (!this.state || this.next || this.executing.has(since)) return;
    void this.makePayload(this.state, since);
  }

  private async makePayload(state: S, since: number | undefined): Promise<void> {
    this.executing.add(since);
    for (let failures = 0; !this.isOver; ) {
      const { payload, mayHeal } = await this.tools.execute(this.source.changeSince(state, since));
      if (!mayHeal) {
        this.keep(since, payload);
        break;
      }
      // Of a row of failures clients see the first: the others say nothing new.
      if (failures++ === 0)
        this.offer(this.readersAt(since).map((reader) => ({ ...reader, latest: () => `${reader.member.head}${payload}}` })));
      await retryPause(this.tools.timers, failures);
    }
    this.executing.delete(since);
    if (this.executing.size === 0 && this.next && !this.isOver) this.beginRound(this.next);
  }

  private keep(since: number | undefined, payload: string): void {
    this.payloads.set(since, payload);
    this.offer(this.readersAt(since).filter(({ member, key }) => !member.outlet.owes(key)));
    // Clients choose the version they resume from, so there may be as many as they like; the whole state is the one that is asked for most.
    for (const known of this.payloads.keys()) {
      if (this.payloads.size <= PAYLOADS_MAX) break;
      if (known !== undefined && known !== since) this.payloads.delete(known);
    }
  }

  private readersAt(since: number | undefined): Reader[] {
    return [...this.readers.values()].filter((reader) => reader.version === since && this.needs(reader));
  }
}

/** A round has one payload for those who keep up, one for late joiners, and some for slow readers; each is some kilobytes at most. */
const PAYLOADS_MAX = 64;
