/**
 * A rate limit for each of many keys that peers bring (addresses, users), in bounded memory: a key that has rested for a
 * second has its whole burst again and is forgotten, so what is kept is about the keys of the last second.
 */
import { TokenBucket } from "./token-bucket.ts";

/** Keys in memory at once. With more in one second the ones that rested longest start anew, in the peers' favour. */
const keysMaxDefault = 65_536;
/** How long a bucket takes to be full again, unless it is in debt. */
const restMs = 1000;

interface Kept {
  readonly bucket: TokenBucket;
  usedMs: number;
}

export class KeyedBuckets {
  readonly #ratePerSec: number | null;
  readonly #keysMax: number;
  /** In the order of their last use. */
  readonly #kept = new Map<string, Kept>();

  /** @param ratePerSec for each key, with a burst of one second's worth; null for no limit. */
  constructor(ratePerSec: number | null, keysMax: number = keysMaxDefault) {
    this.#ratePerSec = ratePerSec;
    this.#keysMax = keysMax;
  }

  /** Keys in memory now. */
  get size(): number {
    return this.#kept.size;
  }

  /** Takes `count` tokens of a key's if they are there. See TokenBucket.take. */
  take(key: string, count: number, nowMs: number): boolean {
    if (this.#ratePerSec === null) return true;
    const kept = this.#kept.get(key) ?? { bucket: new TokenBucket(this.#ratePerSec, nowMs), usedMs: nowMs };
    kept.usedMs = nowMs;
    this.#kept.delete(key);
    this.#forgetRested(nowMs);
    this.#kept.set(key, kept);
    return kept.bucket.take(count, nowMs);
  }

  /** Whether `take(key, 1)` would say yes. Takes nothing. */
  has(key: string, nowMs: number): boolean {
    return this.#kept.get(key)?.bucket.has(1, nowMs) ?? true;
  }

  /** Tokens of a key's that are there. Takes nothing. */
  left(key: string, nowMs: number): number {
    return this.#kept.get(key)?.bucket.left(nowMs) ?? this.#ratePerSec ?? Number.POSITIVE_INFINITY;
  }

  /** Two looks for one insertion, so that the map shrinks again; and room for the one that comes. */
  #forgetRested(nowMs: number): void {
    let looks = 2;
    for (const [key, { usedMs, bucket }] of this.#kept) {
      const isFull = this.#kept.size >= this.#keysMax;
      const isRested = nowMs - usedMs >= restMs && bucket.has(this.#ratePerSec ?? 0, nowMs);
      if (!isFull && (!isRested || looks === 0)) return;
      this.#kept.delete(key);
      looks -= 1;
    }
  }
}
