/**
 * How long to wait before a worker that ended is started again: doubling from 100 ms to 30 s, with jitter so that
 * workers that fell together do not rise together.
 */
const delayMsMin = 100;
const delayMsMax = 30_000;
/**
 * A worker that was ready for this long starts with a clean slate: what kills it is not what it does at its start.
 * With a minute here, workers that were killed every ten seconds waited longer each time, and 2,000 clients stood before
 * a closed door for 52 s. A loop of crashes that take this long each costs a start every few seconds.
 */
const stableMs = 5000;

/** One slot's memory of its failures. */
export class RestartBackoff {
  readonly #random: () => number;
  #failures = 0;

  /** @param random gives 0 (inclusive) to 1 (exclusive). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /**
   * Notes that a worker ended and says how long to wait.
   * @param readyForMs how long it had been ready; 0 when it never was.
   * @returns milliseconds: between half of the step and all of it.
   */
  nextDelayMs(readyForMs: number): number {
    if (readyForMs >= stableMs) this.#failures = 0;
    const step = Math.min(delayMsMax, delayMsMin * 2 ** this.#failures);
    this.#failures++;
    return Math.round(step * (0.5 + this.#random() / 2));
  }
}
