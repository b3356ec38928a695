/**
 * Time as the layers see it. Deadlines use the monotonic clock only, so that a jump of the wall clock moves nothing
 * but token expiry. Tests pass a clock of their own.
 */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. Cost: 50–60 ns, so read it once per turn. */
  nowMs(): number;
  /** Milliseconds since 1970 UTC. For token expiry and for timestamps that people read. */
  wallMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
};
