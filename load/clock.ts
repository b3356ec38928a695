/**
 * Microseconds of the monotonic clock that all processes of one machine share (CLOCK_MONOTONIC): what a publisher
 * writes into a message, a subscriber in another process may subtract. Good between processes, not between machines.
 */
export function nowUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
}
