/** How many handshakes and connections a worker takes. Asked before anything expensive is done for a peer. */

import { AddressWorks } from "../base/address-work.ts";
import type { Clock } from "../base/clock.ts";
import { limitKeyOf } from "../base/ip-address.ts";
import { KeyedBuckets } from "../base/keyed-buckets.ts";
import { limitCounters } from "../base/limit-counters.ts";
import { TokenBucket } from "../base/token-bucket.ts";
import type { TurnQueue } from "../base/turn-queue.ts";
import type { Connection } from "../connection/connection.ts";
import type { Refusal } from "../handshake/refusal.ts";

/** `null` is no limit; all are per worker. */
export interface FrontDoorLimitOptions {
  /** Sockets of every kind that the process can have open. */
  readonly socketsMax: number | null;
  /** Upgraded connections. */
  readonly connectionsMax: number | null;
  readonly connectionsPerAddressMax: number | null;
  readonly handshakesPerAddressPerSecMax: number | null;
  readonly workMsPerAddressPerSecMax: number | null;
  /** Handshakes a second, with a burst of one second's worth. */
  readonly handshakesPerSecMax: number | null;
}

// Sockets beyond `connectionsMax` that still get an HTTP answer: requests to the API, and polite refusals.
const socketHeadroom = 1024;
/** To accept a connection, to read its head, and to end it: about half of what opening one costs (measured). */
const unseenMs = 0.1;
const retrySoon: Refusal = {
  status: 503,
  reason: "handshake_rate",
  message: "too many handshakes at once; try again in a second",
  headers: { "Retry-After": "1" },
};
const retrySlower: Refusal = {
  // RFC 6585 §4: 429, "the user has sent too many requests in a given amount of time".
  status: 429,
  reason: "handshake_rate_per_address",
  message: "too many handshakes from this address; try again in a second",
  headers: { "Retry-After": "1" },
};
const retryRested: Refusal = {
  status: 429,
  reason: "work_per_address",
  message: "this address has had its share of the server's time; try again in a second",
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
  readonly #handshakesByAddress: KeyedBuckets;
  readonly #byAddress = new Map<string, number>();
  readonly #works: AddressWorks | null;
  readonly #turns: TurnQueue;

  constructor(options: FrontDoorLimitOptions, clock: Clock, turns: TurnQueue) {
    const { workMsPerAddressPerSecMax } = options;
    this.#works = workMsPerAddressPerSecMax === null ? null : new AddressWorks(workMsPerAddressPerSecMax);
    this.#turns = turns;
    this.#options = options;
    this.#clock = clock;
    this.#handshakesByAddress = new KeyedBuckets(options.handshakesPerAddressPerSecMax);
    this.#handshakes = new TokenBucket(options.handshakesPerSecMax, clock.nowMs());
  }

  /** Whether `admit` and `enter` have to be told addresses. */
  get needsAddress(): boolean {
    const { connectionsPerAddressMax, handshakesPerAddressPerSecMax } = this.#options;
    return (
      connectionsPerAddressMax !== null || handshakesPerAddressPerSecMax !== null || this.#works !== null
    );
  }

  /** Whether connections are counted by address. */
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

  /**
   * Counts a handshake; the refusal if it is one too many. An address is judged first, so that it cannot use up what
   * belongs to all.
   * @param address empty for a unix socket, which is not counted by address; null where it is not needed.
   */
  admit(openConnections: number, address: string | null): Refusal | null {
    const nowMs = this.#clock.nowMs();
    const isCounted = address !== null && address !== "";
    const isByAddress = isCounted && this.#options.handshakesPerAddressPerSecMax !== null;
    if (isByAddress && !this.#handshakesByAddress.take(limitKeyOf(address), 1, nowMs)) {
      limitCounters.hit("handshakesPerAddressPerSecMax");
      return retrySlower;
    }
    if (isCounted && this.#mustRest(address)) {
      limitCounters.hit("workMsPerAddressPerSecMax");
      return retryRested;
    }
    if (!this.#handshakes.take(1, nowMs)) {
      limitCounters.hit("handshakesPerSecMax");
      return retrySoon;
    }
    const { connectionsMax } = this.#options;
    if (connectionsMax === null || openConnections < connectionsMax) return null;
    limitCounters.hit("connectionsMax");
    return retryLater;
  }

  /** Counts a connection of an address; false if it is one too many. Unix sockets have none and are not counted. */
  enter(address: string | null): boolean {
    const { connectionsPerAddressMax } = this.#options;
    if (connectionsPerAddressMax === null || address === null || address === "") return true;
    const key = limitKeyOf(address);
    const count = this.#byAddress.get(key) ?? 0;
    if (count >= connectionsPerAddressMax) {
      limitCounters.hit("connectionsPerAddressMax");
      return false;
    }
    this.#byAddress.set(key, count + 1);
    return true;
  }

  /**
   * A connection of an address is being opened: it shares what that may work, until it is gone.
   * @param beganMs when its handshake began. What was done since counts, and about what is not seen here.
   */
  shareWork(connection: Connection, address: string | null, beganMs: number): void {
    const works = this.#works;
    if (works === null || address === null || address === "") return;
    const nowMs = this.#clock.nowMs();
    const key = limitKeyOf(address);
    const work = works.enter(key, nowMs);
    work.spend(nowMs - beganMs + unseenMs);
    connection.addressWork = work;
    const { onGone } = connection;
    connection.onGone = () => {
      works.leave(key, work, this.#clock.nowMs());
      onGone?.();
    };
  }

  /** Undoes one `enter` that returned true. */
  leave(address: string): void {
    const key = limitKeyOf(address);
    const count = this.#byAddress.get(key) ?? 0;
    if (count > 1) this.#byAddress.set(key, count - 1);
    else this.#byAddress.delete(key);
  }

  #mustRest(address: string): boolean {
    const work = this.#works?.of(limitKeyOf(address)) ?? null;
    return work !== null && this.#turns.mustRest(work);
  }
}
