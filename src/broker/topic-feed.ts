/**
 * One open topic, seen from a worker: takes what comes from below, live messages and reads of the log, in whatever
 * order and with whatever holes, and calls the listener so that the guarantees 1–4 and 6 of broker.ts hold.
 * Both brokers use it. It knows no socket, no timer and no promise: it says when it wants a read
 * (`wantsRead`), and the broker makes it and hands the result back.
 *
 * The rule: a publication with seq = last + 1 is delivered; a smaller one is a duplicate; a larger one is held
 * until a read has filled the hole (`every`, `sample`) or delivered at once (`latest`). The log is always right: a
 * read that began after a message came must contain it, or the message is of no life of this log.
 */
import { asBuffer } from "../base/byte-string.ts";
import { Arrival, type ArrivalReceiver } from "./arrival.ts";
import type { BrokerCounters, BrokerListener, BrokerTopic, Publication, Snapshot } from "./broker.ts";
import {
  defaultFeedLimits,
  heldCopy,
  HeldMessages,
  type FeedLimits,
  type HeldMessage,
} from "./held-messages.ts";
import type { LogEntry, LogRead, ReadRequest } from "./log-read.ts";

/** Entries of one read that fills a hole: a longer hole takes several reads. */
const repairEntriesMax = 1000;

/** State machine of one open topic. */
export class TopicFeed {
  readonly topic: BrokerTopic;
  readonly #listener: BrokerListener;
  readonly #receiver: ArrivalReceiver;
  readonly #counters: BrokerCounters;
  readonly #held: HeldMessages;
  #opened = false;
  #closed = false;
  #wantsRead: boolean;
  #reading = false;
  /** Last delivered position (or the snapshot's, or the one that `onGap` named). */
  #epoch = "";
  #seq = 0;
  /** Where the log stood at the last read: live messages up to here may well come a second time. */
  #readSeq = 0;
  /** Messages of `#held` that came before the running read began. */
  #heldBeforeRead = 0;
  /** Somebody asked for a read that begins later than the running one. */
  #readAgain = false;

  constructor(
    topic: BrokerTopic,
    listener: BrokerListener,
    receiver: ArrivalReceiver,
    counters: BrokerCounters,
    limits: FeedLimits = defaultFeedLimits,
  ) {
    this.topic = topic;
    this.#listener = listener;
    this.#receiver = receiver;
    this.#counters = counters;
    this.#held = new HeldMessages(limits);
    this.#wantsRead = topic.history !== null;
  }

  /** The epoch of the last delivered position; empty before there is one. */
  get epoch(): string {
    return this.#epoch;
  }

  get opened(): boolean {
    return this.#opened;
  }

  /** The log is to be read, and no read is running. */
  get wantsRead(): boolean {
    return this.#wantsRead && !this.#reading && !this.#closed;
  }

  /** Asks for a read that begins after this call, for a broker that has lost messages or a reader that knows more. */
  requestRead(): void {
    if (this.topic.history === null) return;
    if (this.#reading) this.#readAgain = true;
    else this.#wantsRead = true;
  }

  /** A live-only topic is subscribed: it has no log to read and is open from now on. */
  openLiveOnly(): void {
    if (this.topic.history !== null || this.#opened || this.#closed) return;
    this.#opened = true;
    this.#listener.onOpened(this.topic.name, { position: null, entries: [] });
    this.#releaseHeld(this.#takeHeld(), 0, 0);
  }

  /** Nothing more is called. */
  close(): void {
    this.#closed = true;
    this.#takeHeld();
  }

  /**
   * A message came.
   * @param epoch null when it has no position.
   * @param isValid false: its seq counts, its content is told as a gap.
   */
  live(epoch: string | null, arrival: Arrival, isValid: boolean): void {
    if (this.#closed) return;
    if (epoch === null || this.topic.history === null) {
      if (isValid) this.#liveWithoutSeq(arrival);
      return;
    }
    if (!this.#opened) {
      this.#held.add(heldCopy(epoch, arrival, isValid));
      return;
    }
    const { seq } = arrival;
    if (epoch === this.#epoch) {
      if (seq <= this.#seq) {
        this.#counters.duplicatesDropped++;
        // Neither delivered by a read nor expected live: our position is not the log's.
        if (seq > this.#readSeq) this.requestRead();
        return;
      }
      if (seq === this.#seq + 1 || this.topic.delivery === "latest") {
        if (isValid) this.#hand(arrival);
        else this.#skip(seq);
        return;
      }
    }
    this.#held.add(heldCopy(epoch, arrival, isValid));
    this.requestRead();
  }

  /** The broker begins a read: what it is to read. Call when `wantsRead`. */
  beginRead(): ReadRequest {
    this.#wantsRead = false;
    this.#reading = true;
    this.#readAgain = false;
    this.#held.hasOverflowed = false;
    this.#heldBeforeRead = this.#held.count;
    if (!this.#opened) return { since: null, newest: true, limit: this.topic.history?.size ?? 1 };
    const since = { epoch: this.#epoch, seq: this.#seq };
    if (this.topic.delivery === "latest") return { since, newest: true, limit: 1 };
    return { since, newest: false, limit: repairEntriesMax };
  }

  /** The read failed: it is wanted again. */
  failRead(): void {
    this.#reading = false;
    this.#wantsRead = true;
  }

  /** The read's result. Afterwards `wantsRead` may be true again: the hole was longer than one read. */
  finishRead(request: ReadRequest, read: LogRead): void {
    this.#reading = false;
    if (this.#closed) return;
    const heldBeforeRead = this.#heldBeforeRead;
    const held = this.#takeHeld();
    if (!this.#opened) this.#open(read);
    else if (this.topic.delivery === "latest") this.#mergeNewest(request, read);
    else this.#merge(request, read);
    this.#readSeq = read.position.seq;
    this.#releaseHeld(held, heldBeforeRead, read.position.seq);
    if (this.#readAgain || this.#held.hasOverflowed) this.#wantsRead = true;
  }

  #open(read: LogRead): void {
    this.#opened = true;
    this.#epoch = read.position.epoch;
    this.#seq = read.position.seq;
    this.#listener.onOpened(this.topic.name, snapshotOf(read));
  }

  #mergeNewest(request: ReadRequest, read: LogRead): void {
    const { position } = read;
    const last = read.entries.at(-1);
    const value = last !== undefined && last.seq === position.seq && last.data !== null ? last : null;
    if (!this.#goesOn(request, read)) {
      this.#gap(position.epoch, value === null ? position.seq : position.seq - 1, null);
    } else if (position.seq > this.#seq && value === null) {
      this.#gap(position.epoch, position.seq, position.seq - this.#seq);
    }
    if (value !== null && value.seq > this.#seq) this.#deliver(value);
  }

  #merge(request: ReadRequest, read: LogRead): void {
    const { position, entries } = read;
    const unrepairedBefore = this.#counters.gapsUnrepaired;
    let deliveredCount = 0;
    if (!this.#goesOn(request, read)) {
      this.#gap(position.epoch, (entries[0]?.seq ?? position.seq + 1) - 1, null);
    }
    for (const entry of entries) {
      if (this.#closed) return;
      if (entry.seq <= this.#seq) continue;
      if (entry.seq > this.#seq + 1) this.#gap(position.epoch, entry.seq - 1, entry.seq - 1 - this.#seq);
      this.#deliver(entry);
      deliveredCount++;
    }
    if (entries.length >= request.limit && this.#seq < position.seq) {
      this.#wantsRead = true;
    } else if (this.#seq < position.seq) {
      this.#gap(position.epoch, position.seq, position.seq - this.#seq);
    }
    if (deliveredCount > 0 && unrepairedBefore === this.#counters.gapsUnrepaired)
      this.#counters.gapsRepaired++;
  }

  /**
   * Whether the log is the one that we know, perhaps in an epoch that is new and goes on where we stand. Compared with
   * where we stood when the read began: live messages may have overtaken its answer.
   */
  #goesOn(request: ReadRequest, { position, commonSeq }: LogRead): boolean {
    if (position.epoch === this.#epoch) return position.seq >= (request.since?.seq ?? 0);
    if (request.since?.epoch !== this.#epoch || this.#seq > (commonSeq ?? -1)) return false;
    this.#epoch = position.epoch;
    if (!this.#closed) this.#listener.onEpoch(this.topic.name, position.epoch);
    return true;
  }

  /**
   * Delivers what was held, as far as it goes on without a hole; keeps the rest and wants another read for it.
   * @param beforeRead how many of `held` came before the read began: the log stood at `logSeq` at least when they
   *   came, so those beyond it are in no log.
   */
  #releaseHeld(held: readonly HeldMessage[], beforeRead: number, logSeq: number): void {
    for (let index = 0; index < held.length; index++) {
      const each = held[index];
      if (each === undefined || this.#closed) return;
      if (each.epoch === null) {
        if (this.#held.count > 0) this.#held.add(each);
        else if (each.data !== null) this.#deliver(each);
      } else if (each.epoch !== this.#epoch) {
        // Of a life that is over, or of none: came before the read, which does not know it. Else perhaps of the next one,
        // which the next read will find.
        if (index >= beforeRead) this.#holdForRead(each);
        else this.#counters.publicationsRejected++;
      } else if (each.seq <= this.#seq) {
        this.#counters.duplicatesDropped++;
      } else if (index < beforeRead && each.seq > logSeq) {
        this.#counters.publicationsRejected++;
      } else if (each.seq === this.#seq + 1 || this.topic.delivery === "latest") {
        this.#deliver(each);
      } else {
        this.#holdForRead(each);
      }
    }
  }

  #liveWithoutSeq(arrival: Arrival): void {
    arrival.seq = 0;
    // Behind what is held, so that the topic's last value is the one that came last.
    if (!this.#opened || this.#held.count > 0) this.#held.add(heldCopy(null, arrival, true));
    else this.#hand(arrival);
  }

  /** Hands on what was held, or read from the log. */
  #deliver({ seq, data, origin }: LogEntry): void {
    if (data === null) {
      this.#skip(seq);
      return;
    }
    const arrival = new Arrival(asBuffer(data), performance.now());
    arrival.seq = seq;
    arrival.origin = origin;
    this.#hand(arrival);
  }

  #hand(arrival: Arrival): void {
    if (arrival.seq !== 0) this.#seq = arrival.seq;
    if (!this.#closed) this.#receiver.onArrival(arrival);
  }

  /** There is something with this seq that cannot be had. */
  #skip(seq: number): void {
    if (this.topic.delivery === "latest") this.#seq = seq;
    else this.#gap(this.#epoch, seq, seq - this.#seq);
  }

  #gap(epoch: string, seq: number, lostCount: number | null): void {
    this.#epoch = epoch;
    this.#seq = seq;
    this.#counters.gapsUnrepaired++;
    if (!this.#closed) this.#listener.onGap(this.topic.name, { epoch, seq }, lostCount);
  }

  #holdForRead(message: HeldMessage): void {
    this.#held.add(message);
    this.#wantsRead = true;
  }

  #takeHeld(): HeldMessage[] {
    const held = this.#held.take();
    this.#heldBeforeRead = 0;
    return held;
  }
}

/** The newest entries that follow each other without a hole up to the log's position. */
function snapshotOf(read: LogRead): Snapshot {
  const entries: Publication[] = [];
  let next = read.position.seq;
  for (let index = read.entries.length - 1; index >= 0; index--) {
    const entry = read.entries[index];
    if (entry === undefined || entry.data === null || entry.seq !== next) break;
    entries.push({ seq: entry.seq, data: entry.data, origin: entry.origin });
    next--;
  }
  return { position: read.position, entries: entries.toReversed(), formers: read.formers ?? [] };
}
