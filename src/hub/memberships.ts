/**
 * Who is in which audience. Moves a reader when its topics change: in place while its set is its own, else to the
 * audience of the new set, found or made. Callers see to it that the reader is settled and nothing is being flushed.
 */
import { AudienceRegistry } from "./audience-registry.ts";
import type { Audience } from "./audience.ts";
import type { Delivery } from "./delivery.ts";
import type { Variant } from "./entry.ts";
import type { HubCounters } from "./hub-counters.ts";
import { Membership } from "./reader.ts";
import type { Reader } from "./reader.ts";
import type { TopicLog } from "./topic-log.ts";

/** A topic that a reader asks for, and how often it wants it (only `latest` topics have a rate). */
export interface Wish {
  readonly log: TopicLog;
  readonly classMs: number;
}

/** What the hub does for its memberships. */
export interface MembershipsOwner {
  after(delayMs: number, action: (nowMs: number) => void): void;
  /** As `Hub.settle`. */
  settle(reader: Reader, nowMs: number): boolean;
  /** A topic has won or lost an audience. */
  noteInterest(log: TopicLog): void;
}

/** After its last change, how long a set rests before the hub looks for others with the same set. */
const settleMs = 1000;

export class Memberships {
  readonly #counters: HubCounters;
  readonly #delivery: Delivery;
  readonly #owner: MembershipsOwner;
  readonly #registry = new AudienceRegistry();
  #nowMs = 0;

  constructor(counters: HubCounters, delivery: Delivery, owner: MembershipsOwner) {
    this.#counters = counters;
    this.#delivery = delivery;
    this.#owner = owner;
  }

  /** As `Hub.change`. */
  change(reader: Reader, wishes: readonly Wish[], unwanted: readonly TopicLog[], nowMs: number): void {
    this.#nowMs = nowMs;
    const added = new Map<number, TopicLog[]>();
    const removed = new Map<number, TopicLog[]>();
    for (const log of unwanted) {
      const membership = reader.membershipFor(log);
      if (membership === null) continue;
      append(removed, membership.audience.classMs, log);
      log.leftOutCorrections.delete(reader);
    }
    for (const { log, classMs } of wishes) {
      const before = reader.membershipFor(log);
      if (before?.audience.classMs === classMs) continue;
      if (before !== null) append(removed, before.audience.classMs, log);
      else if (log.leftOut > 0) log.leftOutCorrections.set(reader, log.leftOut);
      append(added, classMs, log);
    }
    const classes = new Set([...removed.keys(), ...added.keys()]);
    for (const classMs of classes) {
      this.#changeClass(reader, classMs, added.get(classMs) ?? [], removed.get(classMs) ?? []);
    }
  }

  /** The reader is gone. */
  leaveAll(reader: Reader): void {
    this.#counters.subscriptions -= reader.topicCount;
    for (const membership of reader.memberships.slice()) {
      const logs = [...membership.audience.topics.keys()];
      this.#leave(membership);
      for (const log of logs) log.leftOutCorrections.delete(reader);
    }
  }

  #changeClass(
    reader: Reader,
    classMs: number,
    added: readonly TopicLog[],
    removed: readonly TopicLog[],
  ): void {
    const membership = reader.membershipOf(classMs);
    this.#counters.subscriptions += added.length - removed.length;
    if (membership !== null && membership.audience.readerCount === 1) {
      this.#changeInPlace(membership, added, removed);
    } else {
      const wanted = new Set(membership?.audience.topics.keys());
      for (const log of removed) wanted.delete(log);
      for (const log of added) wanted.add(log);
      if (membership !== null) this.#leave(membership);
      if (wanted.size > 0) this.#join(reader, this.#find(reader.variant, classMs, wanted));
    }
    for (const log of added) this.#owner.noteInterest(log);
    for (const log of removed) this.#owner.noteInterest(log);
  }

  /** A set that one reader has for itself changes without a search: 1,024 subscribes in a row cost 1,024 steps. */
  #changeInPlace(membership: Membership, added: readonly TopicLog[], removed: readonly TopicLog[]): void {
    const { audience } = membership;
    this.#registry.unregister(audience);
    // The reader is settled: what its new topics had before is not its own, also not if it lags at the next flush.
    membership.cursor = this.#delivery.order;
    for (const log of removed) audience.removeTopic(log);
    for (const log of added) audience.addTopic(log);
    if (audience.topics.size === 0) {
      this.#leave(membership);
      return;
    }
    audience.changedMs = this.#nowMs;
    this.#settleLater(audience);
  }

  #settleLater(audience: Audience): void {
    const { changedMs } = audience;
    this.#owner.after(settleMs, (nowMs) => {
      if (audience.changedMs === changedMs && !audience.isRegistered) this.#settleSet(audience, nowMs);
    });
  }

  /** A set has rested: share it with those who have the same, or let others find it. */
  #settleSet(audience: Audience, nowMs: number): void {
    if (audience.readerCount === 0) return;
    const twin = this.#registry.findTwin(audience);
    if (twin === null) {
      this.#registry.register(audience);
      return;
    }
    const membership = audience.members[0];
    // One that lags has something to catch up with first.
    if (membership === undefined || !this.#owner.settle(membership.reader, nowMs)) {
      this.#settleLater(audience);
      return;
    }
    const { reader } = membership;
    this.#leave(membership);
    this.#join(reader, twin);
  }

  #find(variant: Variant, classMs: number, topics: ReadonlySet<TopicLog>): Audience {
    const audience = this.#registry.findOrCreate(variant, classMs, topics);
    if (audience.readerCount === 0) this.#counters.audiences += 1;
    return audience;
  }

  #join(reader: Reader, audience: Audience): void {
    const membership = new Membership(reader, audience);
    reader.memberships.push(membership);
    audience.readerCount += 1;
    this.#delivery.attach(membership);
  }

  #leave(membership: Membership): void {
    const { reader, audience } = membership;
    this.#delivery.detach(membership);
    reader.memberships.splice(reader.memberships.indexOf(membership), 1);
    audience.readerCount -= 1;
    if (audience.readerCount > 0) return;
    this.#counters.audiences -= 1;
    this.#registry.unregister(audience);
    for (const log of audience.topics.keys()) {
      audience.removeTopic(log);
      this.#owner.noteInterest(log);
    }
  }
}

/** Appends to the list of a key, which is made at its first item. */
function append<Key, Item>(lists: Map<Key, Item[]>, key: Key, item: Item): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}
