/**
 * Ends a worker's connections without a stampede: each client is told when to come back, at a time of its own, and
 * the closes are spread over the time there is.
 */
import { closeCodes } from "../protocol/close-codes.ts";

/** A connection on its way out. */
export interface DrainTarget {
  /** Says goodbye in the endpoint's own words. */
  depart(reconnectAfterMs: number): void;
  close(code: number, reason: string): void;
}

/** Clients come back between these two, at random. */
const reconnectMsMin = 250;
const reconnectMsMax = 4000;
/** One round of closes. */
const roundMs = 20;
/** All have been told to go after this long, or half of the deadline. */
const paceMsMax = 2000;

/**
 * Closes all targets with 4000, paced. Resolves when the last one was told, not when it has gone.
 * @param deadlineMs how long the whole drain may take.
 */
export async function closePaced(targets: readonly DrainTarget[], deadlineMs: number): Promise<void> {
  const rounds = Math.max(1, Math.floor(Math.min(paceMsMax, deadlineMs / 2) / roundMs));
  const perRound = Math.max(50, Math.ceil(targets.length / rounds));
  for (let at = 0; at < targets.length; at += perRound) {
    if (at > 0) await sleep(roundMs);
    for (const target of targets.slice(at, at + perRound)) {
      target.depart(Math.round(reconnectMsMin + Math.random() * (reconnectMsMax - reconnectMsMin)));
      target.close(closeCodes.restart, "restart");
    }
  }
}

/** Waits, without keeping the process alive. */
export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, delayMs).unref();
  });
}
