/**
 * A rate limit with a burst of one second's worth (docs/CONFIGURATION.md, `limits`). Two numbers of state, no timer.
 */
export class TokenBucket {
  readonly #ratePerMs: number;
  readonly #capacity: number;
  #tokens: number;
  #refilledMs: number;

  /** @param ratePerSec tokens a second and largest burst; null for no limit. */
  constructor(ratePerSec: number | null, nowMs: number) {
    this.#capacity = ratePerSec ?? Number.POSITIVE_INFINITY;
    this.#ratePerMs = this.#capacity / 1000;
    this.#tokens = this.#capacity;
    this.#refilledMs = nowMs;
  }

  /**
   * Takes `count` tokens if they are there. A single taking larger than the whole burst passes when the bucket is
   * full and leaves it in debt, so that a limit below one message's size slows a peer instead of blocking it for ever.
   */
  take(count: number, nowMs: number): boolean {
    if (!this.has(count, nowMs)) return false;
    this.#tokens -= count;
    return true;
  }

  /** Whether `take` would say yes. */
  has(count: number, nowMs: number): boolean {
    return this.left(nowMs) >= Math.min(count, this.#capacity);
  }

  /** Tokens that are there; below 0 while in debt. */
  left(nowMs: number): number {
    if (this.#capacity === Number.POSITIVE_INFINITY) return this.#capacity;
    this.#tokens = Math.min(this.#capacity, this.#tokens + (nowMs - this.#refilledMs) * this.#ratePerMs);
    this.#refilledMs = nowMs;
    return this.#tokens;
  }
}
