/**
 * Gives the hub its turns. While there is little to do, a turn follows at the end of the event-loop turn in which
 * publications arrived, so nothing is added to their latency. When sweeps take long, the flush window widens with
 * them, up to `flush.windowMsMax`, so that more publications share one system call; it narrows again by itself.
 */
import type { Clock } from "../base/clock.ts";
import type { Hub } from "../hub/hub.ts";

/** Writing stops after about this long, so that reading, accepting and heartbeats go on between two turns. */
const turnBudgetMs = 5;
/** Sweeps shorter than this are no load. */
const idleSweepMs = 1;

export class HubPacer {
  readonly #clock: Clock;
  readonly #windowMsMax: number;
  readonly #run: () => void;
  #hub: Hub | null = null;
  #isImmediate = false;
  #timer: NodeJS.Timeout | null = null;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #isStopped = false;

  constructor(clock: Clock, windowMsMax: number) {
    this.#clock = clock;
    this.#windowMsMax = windowMsMax;
    this.#run = () => this.#turn();
  }

  /** The hub is made with this pacer's `wake`, so it comes second. */
  drive(hub: Hub): void {
    this.#hub = hub;
  }

  /** The hub wants a turn at `dueMs` or before. Cost: one clock read; a timer only when it is due later. */
  wake(dueMs: number): void {
    if (this.#isImmediate || this.#isStopped) return;
    const delayMs = dueMs - this.#clock.nowMs();
    if (delayMs <= 0) {
      this.#isImmediate = true;
      setImmediate(this.#run);
      return;
    }
    if (dueMs >= this.#timerDueMs) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(this.#run, Math.ceil(delayMs));
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #turn(): void {
    const hub = this.#hub;
    if (hub === null || this.#isStopped) return;
    this.#isImmediate = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    const startMs = this.#clock.nowMs();
    const flushesBefore = hub.counters.flushes;
    const nextMs = hub.turn(startMs, turnBudgetMs);
    if (hub.counters.flushes !== flushesBefore) {
      const sweepMs = this.#clock.nowMs() - startMs;
      hub.counters.flushDurationMs.observe(sweepMs);
      hub.windowMs = sweepMs < idleSweepMs ? 0 : Math.min(this.#windowMsMax, 2 * sweepMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.wake(nextMs);
  }
}
