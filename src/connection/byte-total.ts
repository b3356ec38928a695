/**
 * What all connections of a worker together hold of one kind: bytes pending to be taken, messages that are not whole.
 * Each connection has a limit of its own, but ten thousand of them at once may still be more than the process has: then
 * those go that have held theirs longest, until the rest fits.
 */
import { limitCounters, type LimitName } from "../base/limit-counters.ts";

/** Where the total and the number of the ended ones are written, for metrics. */
export interface ByteTotalCounters {
  pendingBytes: number;
  shed: number;
}

export interface ByteTotalOptions<Holder> {
  /** Infinity for no limit. */
  readonly bytesMax: number;
  /** The key that `bytesMax` comes from. */
  readonly limit: LimitName;
  /** What `holder` holds now: it may be less than when it was counted. */
  readonly bytesOf: (holder: Holder) => number;
  /** Ends `holder` and frees what it holds. It is forgotten already. */
  readonly end: (holder: Holder) => void;
  readonly counters?: ByteTotalCounters;
}

/** One per worker and kind. */
export class ByteTotal<Holder> {
  readonly counters: ByteTotalCounters;
  readonly #options: ByteTotalOptions<Holder>;
  /** In the order in which they began to hold something. */
  readonly #held = new Map<Holder, number>();

  constructor(options: ByteTotalOptions<Holder>) {
    this.#options = options;
    this.counters = options.counters ?? { pendingBytes: 0, shed: 0 };
  }

  /** Holders that are counted. */
  get size(): number {
    return this.#held.size;
  }

  /** Notes that `holder` has `bytes` now, and makes room if all together are too many. */
  count(holder: Holder, bytes: number): void {
    this.#set(holder, bytes);
    const { bytesMax, bytesOf, limit, end } = this.#options;
    while (this.counters.pendingBytes > bytesMax) {
      const [oldest] = this.#held.keys();
      if (oldest === undefined) return;
      this.#set(oldest, bytesOf(oldest));
      if (this.counters.pendingBytes <= bytesMax) return;
      this.forget(oldest);
      this.counters.shed += 1;
      limitCounters.hit(limit);
      end(oldest);
    }
  }

  /** `holder` has nothing any more. */
  forget(holder: Holder): void {
    if (this.#held.size === 0) return;
    this.counters.pendingBytes -= this.#held.get(holder) ?? 0;
    this.#held.delete(holder);
  }

  #set(holder: Holder, bytes: number): void {
    this.counters.pendingBytes += bytes - (this.#held.get(holder) ?? 0);
    this.#held.set(holder, bytes);
  }
}
