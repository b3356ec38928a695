/**
 * Which audience is flushed next. In the order in which they became due, but a long flush gives way: to whoever is due
 * within the time of two thousand of its own writes. So what is written in no time does not wait for a crowd, and many
 * readers of small messages do not wait for a few of large ones, whose writes are dear, dearest of all while the kernel
 * makes room for those who read nothing. The mean wait is least when what costs least for each reader goes first
 * (W. E. Smith, "Various optimizers for single-stage production", 1956). And as a place in the order is a time, nothing
 * waits for ever.
 */
import type { Audience } from "./audience.ts";
import { DueQueue } from "./due-queue.ts";

/** Flushes that take no longer stay in their order: about 100 writes. */
const shortMs = 1;
/** A long flush gives way for the time of so many of its writes: 13 ms where each takes 6.5 µs. */
const writesGiven = 2000;
/** Nobody gives way for longer, whatever a clock says that stood still in the middle of a flush. */
const givenMsMax = 250;

export class FlushOrder {
  readonly #due = new DueQueue<Audience>();
  /** Long ones that are due, and any that were cut short, by their places. */
  readonly #long = new DueQueue<Audience>();

  /** When something is to be flushed: -Infinity while something is on its way; Infinity for never. */
  get nextMs(): number {
    return this.#long.size > 0 ? Number.NEGATIVE_INFINITY : this.#due.nextMs;
  }

  /** Cost: O(log audiences). */
  schedule(audience: Audience, dueMs: number): void {
    audience.dueMs = dueMs;
    audience.spentMs = 0;
    this.#due.push(dueMs, audience);
  }

  /** Takes out who is next; null when nobody is due. */
  next(nowMs: number): Audience | null {
    for (;;) {
      const audience = this.#due.pop(Math.min(nowMs, this.#long.nextMs));
      if (audience === null) return this.#long.pop(Number.POSITIVE_INFINITY);
      if (audience.flushMs <= shortMs) return audience;
      this.#giveWay(audience, audience.writeMs);
    }
  }

  /** Its flush was cut short after it had worked for `spentMs`. */
  putBack(audience: Audience, spentMs: number): void {
    audience.spentMs += spentMs;
    // As dear as the last time, or as it seems to be now.
    const writeMs = audience.spentMs / Math.max(1, audience.sweep?.servedCount ?? 1);
    this.#giveWay(audience, Math.max(audience.writeMs, writeMs));
  }

  /** Its flush is done, `spentMs` later. */
  done(audience: Audience, spentMs: number): void {
    audience.flushMs = audience.spentMs + spentMs;
    audience.writeMs = audience.flushMs / Math.max(1, audience.members.length);
  }

  #giveWay(audience: Audience, writeMs: number): void {
    this.#long.push(audience.dueMs + Math.min(givenMsMax, writesGiven * writeMs), audience);
  }
}
