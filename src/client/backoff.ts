/**
 * How long to wait before connecting again. Doubling with jitter over the upper half, so that the clients of a
 * restarted server do not come back in one wave, and never so soon that a refusing server is hammered.
 */

/** First wait of an attempt series, before jitter. */
const backoffBaseMs = 500;
/** Longest wait. */
const backoffMaxMs = 30_000;
/**
 * Longest wait after a connection that the server had welcomed: it is there and takes us, and something on the way cuts.
 * No more often than the connections of a page that are cut once they have lasted (`stableAfterMs` in link.ts).
 */
export const welcomedMaxMs = 5_000;

/**
 * The wait before attempt number `attempt` (0 is the first after a loss).
 * @param die a number in [0, 1).
 * @param maxMs the longest step.
 * @returns milliseconds, between half of the step and all of it.
 */
export function backoffMs(attempt: number, die: number, maxMs: number = backoffMaxMs): number {
  const step = Math.min(maxMs, backoffBaseMs * 2 ** Math.min(attempt, 16));
  return Math.round(step / 2 + (step / 2) * die);
}
