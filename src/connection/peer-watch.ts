/**
 * What a peer is late with: a sign of life after a ping, the end of a message that has begun. Three times and what
 * follows from them; it does nothing about it. A base class, so that a connection has one deadline and no object for it.
 */
import { WheelEntry } from "../base/timer-wheel.ts";
import type { ConnectionOptions } from "./connection-options.ts";

/** What must be done now: end a message or a peer that took too long, or ask whether the peer is there. */
export type Overdue = "message" | "heartbeat" | "ping" | null;

/** A ping goes out up to this share of its interval early. */
const earlyShareMax = 0.2;

/**
 * How long a peer that was heard at `heardMs` may be silent before it is asked. Those who came together, after a restart,
 * would otherwise all be asked together, and answer together, for as long as they stay. A hash of the time (Knuth's,
 * multiplicative) spreads them, and no connection has to keep a number of its own.
 */
function pingWaitMs(intervalMs: number, heardMs: number): number {
  const share = (Math.imul(heardMs, 0x9e37_79b1) >>> 0) / 2 ** 32;
  return Math.ceil(intervalMs * (1 - earlyShareMax * share));
}

/** Times are whole milliseconds, which cost no allocation. */
export abstract class PeerWatch extends WheelEntry {
  #heardMs: number;
  /** -1 while no ping waits for an answer. */
  #pingedMs = -1;
  /** When the message that is arriving began; -1 between messages. */
  #messageMs = -1;

  constructor(nowMs: number) {
    super();
    this.#heardMs = nowMs;
  }

  /** When the peer last said anything. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** Since the peer said anything. */
  silentMs(nowMs: number): number {
    return nowMs - this.#heardMs;
  }

  /** Bytes came: whatever they are, they are a sign of life. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
    this.#pingedMs = -1;
  }

  /** A ping goes out. */
  pinged(nowMs: number): void {
    this.#pingedMs = nowMs;
  }

  /** Nothing was read until now: only the time in which we read is the peer's. */
  readFrom(nowMs: number): void {
    this.#heardMs = nowMs;
    if (this.#messageMs >= 0) this.#messageMs = nowMs;
  }

  /** A read ended in the middle of a message. @returns whether it is one that has just begun. */
  messageIsArriving(nowMs: number): boolean {
    if (this.#messageMs >= 0) return false;
    this.#messageMs = nowMs;
    return true;
  }

  messageHasCome(): void {
    this.#messageMs = -1;
  }

  /** While the peer is read. */
  overdue(options: ConnectionOptions, nowMs: number): Overdue {
    const { heartbeatIntervalMs, heartbeatTimeoutMs, messageTimeoutMs } = options;
    if (messageTimeoutMs !== null && this.#messageMs >= 0 && nowMs - this.#messageMs >= messageTimeoutMs) {
      return "message";
    }
    if (heartbeatIntervalMs === null) return null;
    if (this.#pingedMs >= 0) return nowMs - this.#pingedMs >= heartbeatTimeoutMs ? "heartbeat" : null;
    return nowMs - this.#heardMs >= pingWaitMs(heartbeatIntervalMs, this.#heardMs) ? "ping" : null;
  }

  /** While the peer is read: when something may be overdue, if nothing comes. Infinite for never. */
  dueMs(options: ConnectionOptions, nowMs: number): number {
    const { heartbeatIntervalMs, heartbeatTimeoutMs, messageTimeoutMs } = options;
    let dueMs = Number.POSITIVE_INFINITY;
    if (heartbeatIntervalMs !== null) {
      const lastMs = Math.max(this.#heardMs, this.#pingedMs);
      const nextPingMs = lastMs + pingWaitMs(heartbeatIntervalMs, lastMs);
      const isDueFirst = this.#pingedMs < 0 || nextPingMs > nowMs;
      // An answered ping is seen at the next ping's time, which may be before the timeout.
      dueMs = isDueFirst ? nextPingMs : Number.POSITIVE_INFINITY;
      if (this.#pingedMs >= 0) dueMs = Math.min(dueMs, this.#pingedMs + heartbeatTimeoutMs);
    }
    if (messageTimeoutMs !== null && this.#messageMs >= 0) {
      dueMs = Math.min(dueMs, this.#messageMs + messageTimeoutMs);
    }
    return dueMs;
  }
}
