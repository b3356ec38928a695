/**
 * Gives the hub its turns. While there is little to do, a turn follows at the end of the event-loop turn in which
 * publications arrived, so nothing is added to their latency. When writing everything at once would take more of the
 * worker's time than there is, the flush window opens, up to `flush.windowMsMax`, so that more publications share one
 * system call; it closes again by itself. For readers of batches, who asked for fewer and larger messages, it opens as far
 * as `flush.batchWindowMsMax`. What decides is the time that turns would take without a window, which does
 * not change with the window: by the time that they do take it would never open far enough.
 */
import type { Clock } from "../base/clock.ts";
import type { Hub } from "../hub/hub.ts";

/** Writing stops after about this long, so that reading, accepting and heartbeats go on between two turns. */
const turnBudgetMs = 5;
/** The load is measured over this long. */
const measureMs = 50;
/**
 * Share of the time at which the window opens, and at which it is as wide as it may be: what turns would take without a
 * window. Below, what would be saved is not needed; above, latency would grow without end.
 */
const loadMin = 0.6;
const loadMax = 0.9;

/** An opening below this share is none: it would save nothing, and the window closes for good. */
const opennessMin = 0.05;

export class HubPacer {
  readonly #clock: Clock;
  readonly #windowMsMax: number;
  readonly #batchWindowMsMax: number;
  readonly #run: () => void;
  #hub: Hub | null = null;
  #isImmediate = false;
  #timer: NodeJS.Timeout | null = null;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #measuredMs: number;
  #busyMs = 0;
  #writes = 0;
  #wantedWrites = 0;
  /** How far the windows are open, of what they may be at most. */
  #openness = 0;
  #isStopped = false;

  constructor(clock: Clock, windowMsMax: number, batchWindowMsMax: number) {
    this.#clock = clock;
    this.#windowMsMax = windowMsMax;
    this.#batchWindowMsMax = batchWindowMsMax;
    this.#measuredMs = clock.nowMs();
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
    const nextMs = hub.turn(startMs, turnBudgetMs, () => this.#clock.nowMs() - startMs);
    const endMs = this.#clock.nowMs();
    if (hub.counters.flushes !== flushesBefore) hub.counters.flushDurationMs.observe(endMs - startMs);
    hub.counters.observeWritten(endMs);
    this.#busyMs += endMs - startMs;
    if (endMs - this.#measuredMs >= measureMs) this.#adapt(hub, endMs);
    // An open window is looked at again even if nothing more comes, so that it is closed for what comes then.
    const lookMs = this.#openness > 0 ? endMs + measureMs : Number.POSITIVE_INFINITY;
    if (nextMs !== Number.POSITIVE_INFINITY || lookMs !== Number.POSITIVE_INFINITY) {
      this.wake(Math.min(nextMs, lookMs));
    }
  }

  #adapt(hub: Hub, nowMs: number): void {
    const { writes, wantedWrites } = hub.counters;
    const written = Math.max(1, writes - this.#writes);
    const wanted = Math.max(written, wantedWrites - this.#wantedWrites);
    const load = ((this.#busyMs / (nowMs - this.#measuredMs)) * wanted) / written;
    const share = Math.min(1, Math.max(0, (load - loadMin) / (loadMax - loadMin)));
    // Half of the way at each look: the window itself changes the load.
    const openness = (this.#openness + share) / 2;
    this.#openness = openness < opennessMin ? 0 : openness;
    hub.windowMs = this.#openness * this.#windowMsMax;
    hub.batchWindowMs = this.#openness * this.#batchWindowMsMax;
    this.#busyMs = 0;
    this.#writes = writes;
    this.#wantedWrites = wantedWrites;
    this.#measuredMs = nowMs;
  }
}
