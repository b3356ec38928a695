/** How many handshakes and connections a worker takes. Asked before anything expensive is done for a peer. */

import type { Clock } from "../base/clock.ts";
import { TokenBucket } from "../base/token-bucket.ts";
import type { Refusal } from "../handshake/refusal.ts";

/** `null` is no limit; all are per worker. */
export interface FrontDoorLimitOptions {
  /** Sockets of every kind that the process can have open. */
  readonly socketsMax: number | null;
  /** Upgraded connections. */
  readonly connectionsMax: number | null;
  readonly connectionsPerAddressMax: number | null;
  /** Handshakes a second, with a burst of one second's worth. */
  readonly handshakesPerSecMax: number | null;
}

// Sockets beyond `connectionsMax` that still get an HTTP answer: requests to the API, and polite refusals.
const socketHeadroom = 1024;
const retrySoon: Refusal = {
  status: 503,
  reason: "handshake_rate",
  message: "too many handshakes at once; try again in a second",
  headers: { "Retry-After": "1" },
};
const retryLater: Refusal = {
  status: 503,
  reason: "connections",
  message: "this server has as many connections as it may have; try again later",
  headers: { "Retry-After": "5" },
};

/** One per front door. */
export class FrontDoorLimits {
  readonly #options: FrontDoorLimitOptions;
  readonly #handshakes: TokenBucket;
  readonly #clock: Clock;
  readonly #byAddress = new Map<string, number>();

  constructor(options: FrontDoorLimitOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#handshakes = new TokenBucket(options.handshakesPerSecMax, clock.nowMs());
  }

  /** Whether addresses are counted at all. */
  get countsAddresses(): boolean {
    return this.#options.connectionsPerAddressMax !== null;
  }

  /** Whether a fresh socket is one too many to even read from. */
  isCrowded(sockets: number): boolean {
    const { connectionsMax } = this.#options;
    return connectionsMax !== null && sockets >= connectionsMax + socketHeadroom;
  }

  /** Whether the process has no files left for one socket more. */
  isOutOfFiles(sockets: number): boolean {
    const { socketsMax } = this.#options;
    return socketsMax !== null && sockets >= socketsMax;
  }

  /** Counts a handshake; the refusal if it is one too many. */
  admit(openConnections: number): Refusal | null {
    if (!this.#handshakes.take(1, this.#clock.nowMs())) return retrySoon;
    const { connectionsMax } = this.#options;
    return connectionsMax !== null && openConnections >= connectionsMax ? retryLater : null;
  }

  /** Counts a connection of an address; false if it is one too many. Unix sockets have none and are not counted. */
  enter(address: string): boolean {
    const { connectionsPerAddressMax } = this.#options;
    if (connectionsPerAddressMax === null || address === "") return true;
    const count = this.#byAddress.get(address) ?? 0;
    if (count >= connectionsPerAddressMax) return false;
    this.#byAddress.set(address, count + 1);
    return true;
  }

  /** Undoes one `enter` that returned true. */
  leave(address: string): void {
    const count = this.#byAddress.get(address) ?? 0;
    if (count > 1) this.#byAddress.set(address, count - 1);
    else this.#byAddress.delete(address);
  }
}
