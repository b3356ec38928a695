/**
 * Readers with the same topics, variant and rate class. A publication is appended to its topic's audiences, not to
 * their readers; at a flush the pending entries are sealed into one buffer that goes to every member with one write.
 * A connection whose topics are all its own is an audience of one: the same code.
 */
import { type Entry, isBatchVariant, type Variant } from "./entry.ts";
import type { Membership } from "./reader.ts";
import type { Sweep } from "./sweep.ts";
import type { AudienceTopic, TopicLog } from "./topic-log.ts";

export class Audience {
  readonly variant: Variant;
  readonly classMs: number;
  /** Its window under load is that of batches. */
  readonly isBatched: boolean;
  /** How long it waits of the first window, in [0, 1): others wait for another time. */
  readonly phase: number;
  readonly topics = new Map<TopicLog, AudienceTopic>();
  /** XOR of the topics' hashes. */
  hash = 0;
  /** All memberships, lagging ones included. */
  readerCount = 0;
  readonly members: Membership[] = [];
  readonly joining: Membership[] = [];
  /** Lagging members of a timed class whose socket drained: they catch up at the next flush, not before their time. */
  readonly returning: Membership[] = [];
  /** What the members have not been given yet, ascending by `order` but for replaced values of `latest` topics. */
  pending: Entry[] = [];
  /** The topics of `pending`, at the same places. */
  pendingTopics: AudienceTopic[] = [];
  /** Values that were replaced since the last flush, one for each reader: counted there. */
  conflated = 0;
  /** A flush that has not reached all members yet. */
  sweep: Sweep | null = null;
  flushedMs = Number.NEGATIVE_INFINITY;
  /** Of the flush that is scheduled or on its way: when it is due, and how long it has worked so far. */
  dueMs = 0;
  spentMs = 0;
  /** How long its last flush worked, and for each member. */
  flushMs = 0;
  writeMs = 0;
  /** Whether its next flush waits for the window. */
  isPaced = false;
  /** When its members were last counted as wanting a write. */
  wantedMs = Number.NEGATIVE_INFINITY;
  isScheduled = false;
  /** When its set last changed in place. */
  changedMs = 0;
  /** Whether others with the same set can find it. */
  isRegistered = false;

  constructor(variant: Variant, classMs: number, phase: number) {
    this.variant = variant;
    this.classMs = classMs;
    this.isBatched = isBatchVariant(variant);
    this.phase = phase;
  }

  /** Memberships of readers whose socket is full. */
  get laggingCount(): number {
    return this.readerCount - this.members.length - this.joining.length;
  }

  /** Whether there is anything to do at its next flush. */
  get isOwing(): boolean {
    return this.pending.length + this.joining.length + this.returning.length > 0;
  }

  addTopic(log: TopicLog): void {
    this.topics.set(log, log.addAudience(this));
    this.hash = (this.hash ^ log.hash) >>> 0;
  }

  removeTopic(log: TopicLog): void {
    const member = this.topics.get(log);
    if (member === undefined) return;
    this.topics.delete(log);
    log.removeAudience(member);
    this.hash = (this.hash ^ log.hash) >>> 0;
    if (!this.pendingTopics.includes(member)) return;
    this.countConflated();
    this.#dropPending(member);
  }

  /** Appends a publication; of a `latest` topic it takes the place of the one that waits. */
  append(member: AudienceTopic, entry: Entry): void {
    if (member.pendingIndex !== -1) {
      this.pending[member.pendingIndex] = entry;
      return;
    }
    if (this.members.length + this.joining.length === 0) return;
    if (member.log.topic.delivery === "latest") {
      member.pendingIndex = this.pending.length;
      member.countedArrivals = entry.position;
    }
    this.pending.push(entry);
    this.pendingTopics.push(member);
  }

  /**
   * Adds what was replaced since it was last counted, once for each reader. To be called before their number changes.
   * Cost: O(pending topics).
   */
  countConflated(): void {
    const readers = this.members.length + this.joining.length;
    for (const member of this.pendingTopics) {
      if (member.pendingIndex === -1) continue;
      this.conflated += (member.log.arrived - member.countedArrivals) * readers;
      member.countedArrivals = member.log.arrived;
    }
  }

  /** Takes the pending entries out. They stay as they are from now on. */
  takePending(): Entry[] {
    this.countConflated();
    const entries = this.pending;
    for (const entry of entries) entry.isTaken = true;
    for (const member of this.pendingTopics) member.pendingIndex = -1;
    this.pending = [];
    this.pendingTopics = [];
    return entries;
  }

  #dropPending(dropped: AudienceTopic): void {
    const entries = this.pending;
    const topics = this.pendingTopics;
    this.pending = [];
    this.pendingTopics = [];
    for (const [index, member] of topics.entries()) {
      if (member === dropped) continue;
      if (member.pendingIndex !== -1) member.pendingIndex = this.pending.length;
      // The two lists have the same length.
      this.pending.push(entries[index] as Entry);
      this.pendingTopics.push(member);
    }
  }
}
