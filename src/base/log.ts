/**
 * What all log lines of Tapecast have in common, whoever writes them: shape, what is masked, and a brake for lines
 * that a peer can cause. The writer itself (pino) is made in `primary/log.ts` and `worker/log.ts`.
 * Never a payload, never a token: callers log codes, counts and reasons; the masks are the second line of defence.
 */
import type { Clock } from "./clock.ts";
import { TokenBucket } from "./token-bucket.ts";

/** The part of a logger that the layers use. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Lines a second that peers can cause on one worker (src/worker) or in the primary. */
export const peerLinesPerSecMax = 10;

const secretFields = [
  "token",
  "authorization",
  "password",
  "secret",
  "key",
  "publishKeys",
  "data",
  "payload",
];

/** Options of the writer, as plain data. @param bindings fields of every line, such as the worker's slot. */
export function logOptions(level: string, bindings: Readonly<Record<string, string | number>>) {
  return {
    level,
    base: { ...bindings },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: secretFields.flatMap((field) => [field, `*.${field}`]),
      censor: "[masked]",
    },
  };
}

/**
 * A log whose lines are at most `peerLinesPerSecMax` a second, for what peers cause. The next line after a pause says
 * in `suppressed` how many were left out; all of them are in the counters anyway.
 */
export class RateLimitedLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #bucket: TokenBucket;
  #suppressed = 0;

  constructor(log: Log, clock: Clock, linesPerSecMax: number = peerLinesPerSecMax) {
    this.#log = log;
    this.#clock = clock;
    this.#bucket = new TokenBucket(linesPerSecMax, clock.nowMs());
  }

  debug(fields: object, message: string): void {
    if (this.#mayWrite()) this.#log.debug(this.#withSuppressed(fields), message);
  }

  info(fields: object, message: string): void {
    if (this.#mayWrite()) this.#log.info(this.#withSuppressed(fields), message);
  }

  warn(fields: object, message: string): void {
    if (this.#mayWrite()) this.#log.warn(this.#withSuppressed(fields), message);
  }

  error(fields: object, message: string): void {
    if (this.#mayWrite()) this.#log.error(this.#withSuppressed(fields), message);
  }

  #mayWrite(): boolean {
    if (this.#bucket.take(1, this.#clock.nowMs())) return true;
    this.#suppressed++;
    return false;
  }

  #withSuppressed(fields: object): object {
    if (this.#suppressed === 0) return fields;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    return { ...fields, suppressed };
  }
}
