/** The publisher's side of the books: which numbers of each topic the server said to have, and where. */
import type { AcceptedSummary } from "../swarm/swarm-plan.ts";

export class AcceptedBooks {
  /** By topic and number: the position, 0 for what was not accepted. */
  readonly #seqs: number[][];
  readonly #counts: number[];
  #accepted = 0;

  constructor(topicCount: number) {
    this.#seqs = Array.from({ length: topicCount }, () => [0]);
    this.#counts = Array.from({ length: topicCount }, () => 0);
  }

  /** How many were accepted so far, of all topics. */
  get accepted(): number {
    return this.#accepted;
  }

  /** @param topic its index. @param number from 1, rising by one per message offered. */
  accept(topic: number, number: number, seq: number): void {
    const seqs = this.#seqs[topic];
    if (seqs === undefined) return;
    // What was refused in between leaves a 0, not a hole.
    while (seqs.length < number) seqs.push(0);
    seqs[number] = seq;
    this.#counts[topic] = (this.#counts[topic] ?? 0) + 1;
    this.#accepted++;
  }

  summaries(): AcceptedSummary[] {
    return this.#seqs.map((seqs, topic) => ({ count: this.#counts[topic] ?? 0, newest: seqs.length - 1 }));
  }

  seqs(): Float64Array[] {
    return this.#seqs.map((seqs) => Float64Array.from(seqs));
  }
}
