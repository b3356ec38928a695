/**
 * A connection as the hub sees it: a sink for bytes, the way it wants them, and one membership per rate class.
 * Which topics it reads is the audience's knowledge, so a reader of a shared set costs nothing per topic.
 */
import type { Audience } from "./audience.ts";
import type { Entry, Variant } from "./entry.ts";
import type { TopicLog } from "./topic-log.ts";

/** What the hub needs of a connection. Declared here, implemented by the session. */
export interface ReaderSink {
  /** True while the connection is open and the kernel has taken all that was written. */
  readonly isWritable: boolean;
  /**
   * Writes encoded frames, kept until taken. True: the kernel took all. False: `hub.drained(reader)` will follow, or
   * `hub.remove(reader)`.
   */
  write(bytes: Uint8Array): boolean;
  /** The message that tells the reader of `count` missed publications; null when its variant cannot say so. */
  lostEvent(topic: string, count: number, reason: LostReason): string | null;
  /** What the reader missed is out of reach, or its positions are of an epoch that is over: close it, so that it resumes. */
  closeForGap(): void;
}

/** Why publications were not delivered. `sampled`: left out of a sample. `overrun`: the reader was too slow. */
export type LostReason = "sampled" | "overrun";

/**
 * - `member`: has been given all that its audience flushed.
 * - `joining`: has been given all up to `cursor`; takes the rest of the pending entries at the audience's next flush.
 * - `lagging`: its socket is full; has been given all up to `cursor` and reads the logs from there when it drained.
 */
export type MembershipState = "member" | "joining" | "lagging";

/** A reader's place in the audience of one rate class. */
export class Membership {
  readonly reader: Reader;
  audience: Audience;
  state: MembershipState = "joining";
  /** Own place in the audience's list of its state. */
  index = -1;
  /** `order` up to which everything was given: its topics had nothing between this and what is pending. */
  cursor = 0;
  /** Entries for this reader alone: its own messages that were left out of a sample. Ascending by `order`. */
  extras: Entry[] | null = null;
  /** While lagging: how many of each topic's arrivals are accounted for, by delivery or by a `lost` event. */
  accounted: Map<TopicLog, number> | null = null;

  constructor(reader: Reader, audience: Audience) {
    this.reader = reader;
    this.audience = audience;
  }
}

export class Reader {
  /** The connection's id, by which a publication names its sender. */
  readonly id: string;
  readonly sink: ReaderSink;
  readonly variant: Variant;
  /** At most one for each rate class. */
  readonly memberships: Membership[] = [];
  /** How many of the memberships lag. */
  laggingCount = 0;
  /** When it was last told how much of a sample was left out, together with the others and by itself, catching up. */
  lostToldMs = Number.NEGATIVE_INFINITY;
  lostToldAloneMs = Number.NEGATIVE_INFINITY;
  isRemoved = false;

  constructor(id: string, sink: ReaderSink, variant: Variant) {
    this.id = id;
    this.sink = sink;
    this.variant = variant;
  }

  membershipOf(classMs: number): Membership | null {
    for (const membership of this.memberships) if (membership.audience.classMs === classMs) return membership;
    return null;
  }

  /** The membership through which it reads a topic, or null. */
  membershipFor(log: TopicLog): Membership | null {
    for (const membership of this.memberships) if (membership.audience.topics.has(log)) return membership;
    return null;
  }

  get topicCount(): number {
    let count = 0;
    for (const membership of this.memberships) count += membership.audience.topics.size;
    return count;
  }
}
