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
  /** Numbers whose publishing met a loss of the store, and with it of their idempotency keys. */
  readonly #repeated = new Set<number>();
  #underWay: { readonly number: number; readonly metLoss: () => boolean } | null = null;
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

  /**
   * A message is being published, until `finishPublish`. What it comes to may be at a reader before its publisher has
   * the answer, so it is asked at each arrival whether a loss was met.
   */
  beginPublish(number: number, metLoss: () => boolean): void {
    this.#underWay = { number, metLoss };
  }

  finishPublish(): void {
    if (this.#underWay?.metLoss() === true) this.#repeated.add(this.#underWay.number);
    this.#underWay = null;
  }

  /** The store may have it twice: it lost the key while the message was under way. */
  mayBeTwice(number: number): boolean {
    if (this.#underWay?.number === number && this.#underWay.metLoss()) this.#repeated.add(number);
    return this.#repeated.has(number);
  }

  /** What stands at another position than it was first seen at, for people; null when all is well. */
  movedTo(number: number, seq: number): string | null {
    const known = this.seqs.get(number);
    if (known === undefined) this.seqs.set(number, seq);
    else if (known !== seq && !this.mayBeTwice(number))
      return `moved: ${this.topic.name}, message ${number} stands at seq ${known} and ${seq}`;
    return null;
  }
}
