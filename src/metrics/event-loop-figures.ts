/**
 * How late and how busy the event loop of this process is, between one reading and the next.
 */
import { monitorEventLoopDelay, performance } from "node:perf_hooks";

/** Node's timer for the delay. Finer costs more wake-ups and tells nothing new. */
const resolutionMs = 10;

/** Reads the delays since the last reading; one instance for each reader. */
export class EventLoopFigures {
  readonly #delays = monitorEventLoopDelay({ resolution: resolutionMs });
  #utilization = performance.eventLoopUtilization();

  constructor() {
    this.#delays.enable();
  }

  /** Seconds by quantile (`0.5`, `0.99`, `1`) since the last call, which starts the next period. */
  takeDelays(): Readonly<Record<string, number>> {
    const seconds = (percent: number): number => lateness(this.#delays.percentile(percent));
    // `max` is exact where percentile(100) is rounded to a bucket.
    const taken = { "0.5": seconds(50), "0.99": seconds(99), "1": lateness(this.#delays.max) };
    this.#delays.reset();
    return taken;
  }

  /** Busy share since the last call, 0 to 1. */
  takeUtilization(): number {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#utilization);
    this.#utilization = now;
    return Number.isFinite(utilization) ? utilization : 0;
  }

  stop(): void {
    this.#delays.disable();
  }
}

/** Node's histogram holds the whole time between two ticks of its timer, in nanoseconds; the rest is lateness. */
function lateness(nanoseconds: number): number {
  if (!Number.isFinite(nanoseconds)) return 0;
  return Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000);
}
