/**
 * When a request came, as far as a process can know that. What is read has lain in the kernel for at most as long as
 * nobody looked: while the event loop stood still, because somebody worked in it or the process had to wait for the
 * processor. That time counts as the request's, so that a deadline does not begin anew for each queue on its way.
 */

/** How often the loop's pace is looked at. */
const lookMs = 50;
/** Later than this a look says that the loop stood still. */
const lateMs = 20;
/** What came meanwhile is read by so many polls: a new connection is accepted by the first, and its head read by the next. */
const pollsOfArrival = 3;

/** One per HTTP server. */
export class Arrivals {
  readonly #now: () => number;
  #timer: NodeJS.Timeout | null = null;
  #lookedMs = 0;
  /** When the loop was last known to poll before it stood still: each time whose arrivals may not all be read yet, oldest first. */
  readonly #stoodSinceMs: number[] = [];

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Begins to look. Does not keep the process alive. */
  start(): void {
    this.#lookedMs = this.#now();
    this.#timer ??= setInterval(() => this.#look(), lookMs).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /**
   * The earliest time at which a request whose first bytes are being read now may have come, of performance.now().
   * Cost: a clock read.
   */
  get earliestMs(): number {
    return this.#stoodSinceMs[0] ?? this.#now();
  }

  #look(): void {
    const nowMs = this.#now();
    const dueMs = this.#lookedMs + lookMs;
    this.#lookedMs = nowMs;
    if (nowMs - dueMs < lateMs) return;
    this.#stoodSinceMs.push(dueMs);
    this.#forgetAfter(pollsOfArrival);
  }

  /** Timers come before a poll, and immediates behind it. */
  #forgetAfter(polls: number): void {
    setImmediate(() => {
      if (polls > 1) this.#forgetAfter(polls - 1);
      else this.#stoodSinceMs.shift();
    });
  }
}
