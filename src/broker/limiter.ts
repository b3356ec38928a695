/**
 * Runs at most so many tasks at once, the others in order. Ten thousand topics that are read again after a reconnect
 * must not stand in one queue behind a 2 s timeout.
 */
export class Limiter {
  readonly #runningMax: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  /** Index of the first that still waits: `shift` on a long array copies it. */
  #waitingIndex = 0;

  constructor(runningMax: number) {
    this.#runningMax = runningMax;
  }

  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#runningMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await task();
    } finally {
      this.#next();
    }
  }

  /** Hands the place of the task that ended to the next one. */
  #next(): void {
    const next = this.#waiting[this.#waitingIndex];
    if (next === undefined) {
      this.#waiting.length = 0;
      this.#waitingIndex = 0;
      this.#running--;
      return;
    }
    this.#waitingIndex++;
    next();
  }
}
