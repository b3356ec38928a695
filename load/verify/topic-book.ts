/** What one topic's publisher knows: the numbers that were accepted, where they stand, and what the store has lost of them. */
import { NumberSet } from "./number-set.ts";

export type Delivery = "latest" | "every" | "sample";

export interface VerifiedTopic {
  readonly name: string;
  readonly delivery: Delivery;
}

export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

/** See the file head. Written by `Books` only; the readers look up in it, and name the positions they saw first. */
export class TopicBook {
  readonly topic: VerifiedTopic;
  readonly accepted = new NumberSet();
  acceptedCount = 0;
  highest = 0;
  /** By number: the `seq` it was accepted or first seen with. */
  readonly seqs = new Map<number, number>();
  /** Numbers that were published anew after the store had lost their idempotency key. */
  readonly repeated = new Set<number>();
  /** By number: from its first attempt to its 200; the store took it somewhere between. */
  readonly publishing = new Map<number, { readonly startMs: number; readonly endMs: number }>();
  /** Numbers that the store has lost in a failover. */
  gone: ReadonlySet<number> = new Set();

  /** A log of this store may go on in a new epoch: after a failover. */
  readonly epochsGoOn: boolean;

  constructor(topic: VerifiedTopic, epochsGoOn: boolean) {
    this.topic = topic;
    this.epochsGoOn = epochsGoOn;
  }

  /** What stands at another position than it was first seen at, for people; null when all is well. */
  movedTo(number: number, seq: number): string | null {
    const known = this.seqs.get(number);
    if (known === undefined) this.seqs.set(number, seq);
    else if (known !== seq && !this.repeated.has(number))
      return `moved: ${this.topic.name}, message ${number} stands at seq ${known} and ${seq}`;
    return null;
  }
}
