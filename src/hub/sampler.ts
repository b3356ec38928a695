/**
 * Decides which publications of a `sample` topic the crowd sees: all of them up to `perSecMax` in a second, and of
 * more a sample that is spread over the second. The decision is the topic's, so all readers see the same sample.
 */
export class Sampler {
  readonly #perSecMax: number;
  readonly #random: () => number;
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #arrived = 0;
  #taken = 0;
  /** Arrivals of the second before: what to expect of this one. */
  #expected = 0;

  /** @param random uniform in [0, 1); tests pass their own. */
  constructor(perSecMax: number, random: () => number) {
    this.#perSecMax = perSecMax;
    this.#random = random;
  }

  /** True when the publication that arrives now belongs to the sample. At most `perSecMax` do in each window of 1 s. */
  take(nowMs: number): boolean {
    const elapsedMs = nowMs - this.#windowStartMs;
    if (elapsedMs >= 1000) {
      this.#expected = elapsedMs < 2000 ? this.#arrived : 0;
      this.#windowStartMs = elapsedMs < 2000 ? this.#windowStartMs + 1000 : nowMs;
      this.#arrived = 0;
      this.#taken = 0;
    }
    this.#arrived += 1;
    if (this.#taken >= this.#perSecMax || !this.#belongs(nowMs)) return false;
    this.#taken += 1;
    return true;
  }

  /**
   * In a second after a crowded one, the sample follows a line from 0 to `perSecMax` over the second. Near the line
   * chance decides, so that no sender wins by its place in a burst; far below it everything is taken, so that
   * nothing is left out when the crowd has gone.
   */
  #belongs(nowMs: number): boolean {
    if (this.#expected <= this.#perSecMax) return true;
    const due = (this.#perSecMax * (nowMs - this.#windowStartMs)) / 1000;
    const behind = due + 1 - this.#taken;
    if (behind <= 0) return false;
    if (behind > this.#perSecMax / 10) return true;
    return this.#random() < (2 * this.#perSecMax) / this.#expected;
  }
}
