/**
 * How long to wait before connecting again. Doubling with jitter over the upper half, so that the clients of a
 * restarted server do not come back in one wave, and never so soon that a refusing server is hammered.
 */

/** First wait of an attempt series, before jitter. */
const backoffBaseMs = 500;
/** Longest wait. */
const backoffMaxMs = 30_000;

/**
 * The wait before attempt number `attempt` (0 is the first after a loss).
 * @param die a number in [0, 1).
 * @returns milliseconds, between half of the step and all of it.
 */
export function backoffMs(attempt: number, die: number): number {
  const step = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(attempt, 16));
  return Math.round(step / 2 + (step / 2) * die);
}
