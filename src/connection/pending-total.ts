/**
 * What all connections of a worker together have pending. Each connection has a limit of its own, but ten thousand of
 * them at once may still be more than the process has: then those go that have waited longest, until the rest fits.
 * Only touched where the kernel did not take a write, so a peer that keeps up costs nothing here.
 */

import { limitCounters } from "../base/limit-counters.ts";
import type { ConnectionCounters } from "./connection-counters.ts";

/** A connection as far as it is counted here. */
export interface Sheddable {
  /** What of it is in the total; written here only. */
  countedBytes: number;
  readonly pendingBytes: number;
  /** Ends it at once and frees what is pending. */
  shed(): void;
}

/** One per worker. */
export class PendingTotal {
  readonly #bytesMax: number;
  readonly #counters: ConnectionCounters;
  /** In the order in which they began to wait. */
  readonly #waiting = new Set<Sheddable>();

  /** @param bytesMax Infinity for no limit. */
  constructor(bytesMax: number, counters: ConnectionCounters) {
    this.#bytesMax = bytesMax;
    this.#counters = counters;
  }

  /** Connections with something pending. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Notes that `connection` has `pendingBytes` now, and makes room if all together are too many. */
  count(connection: Sheddable, pendingBytes: number): void {
    this.#waiting.add(connection);
    this.#set(connection, pendingBytes);
    while (this.#counters.pendingBytes > this.#bytesMax) {
      const [oldest] = this.#waiting;
      if (oldest === undefined) return;
      // The kernel may have taken some since it was counted.
      this.#set(oldest, oldest.pendingBytes);
      if (this.#counters.pendingBytes <= this.#bytesMax) return;
      this.forget(oldest);
      this.#counters.shed += 1;
      limitCounters.hit("pendingBytesTotalMax");
      oldest.shed();
    }
  }

  /** Nothing of `connection` is pending any more. */
  forget(connection: Sheddable): void {
    if (this.#waiting.delete(connection)) this.#set(connection, 0);
  }

  #set(connection: Sheddable, bytes: number): void {
    this.#counters.pendingBytes += bytes - connection.countedBytes;
    connection.countedBytes = bytes;
  }
}
