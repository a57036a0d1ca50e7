import { type Broadcast, type BroadcastTools, type Member, retryPause, SHARED } from './broadcast.ts';
import type { StateSource } from './hub.ts';
import type { Versioned } from './live-objects.ts';

/** Sends whole states: the newest of each object is all that anybody needs. */
export class StateBroadcast implements Broadcast {
  private readonly members = new Set<Member>();
  /** The serialised payload of each object, for late joiners and for readers that were behind. */
  private readonly payloads = new Map<string, string>();
  /** Objects being executed, with the state that came meanwhile. One execution per object at a time keeps versions in order. */
  private readonly executing = new Map<string, Versioned | undefined>();
  private readonly stopObserving: () => void;
  private isOver = false;

  constructor(
    source: StateSource,
    ids: readonly string[],
    private readonly tools: BroadcastTools,
  ) {
    this.stopObserving = source.live.observe(ids, (state) => this.changed(state));
  }

  get size(): number {
    return this.members.size;
  }

  add(member: Member): void {
    this.members.add(member);
    for (const objectId of this.payloads.keys()) this.offer([member], objectId);
  }

  remove(member: Member): void {
    this.members.delete(member);
  }

  close(): void {
    this.isOver = true;
    this.stopObserving();
  }

  private changed(state: Versioned): void {
    if (this.executing.has(state.id)) this.executing.set(state.id, state);
    else void this.executeLatest(state);
  }

  /** Executes the state, then whatever came meanwhile. A failure that may heal is tried again with the newest state until it succeeds. */
  private async executeLatest(first: Versioned): Promise<void> {
    const { id } = first;
    let state: Versioned | undefined = first;
    for (let failures = 0; state && !this.isOver; ) {
      this.executing.set(id, undefined);
      const { payload, mayHeal } = await this.tools.execute(state);
      // Of a row of failures clients see the first: the others say nothing new.
      if (!mayHeal || failures === 0) this.send(id, payload);
      failures = mayHeal ? failures + 1 : 0;
      if (mayHeal) await retryPause(this.tools.timers, failures);
      state = this.executing.get(id) ?? (mayHeal ? state : undefined);
    }
    this.executing.delete(id);
  }

  private send(objectId: string, payload: string): void {
    this.payloads.set(objectId, payload);
    this.offer(this.members, objectId);
  }

  private offer(members: Iterable<Member>, objectId: string): void {
    let written = 0;
    for (const member of members) {
      const latest = () => (member.hasLeft ? undefined : `${member.head}${this.payloads.get(objectId)}}`);
      if (member.outlet.offer(`${member.operationId}\n${objectId}`, latest)) written++;
    }
    this.tools.metrics.messages.inc(SHARED, written);
  }
}
