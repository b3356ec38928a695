/**
 * What one user (the `sub` of a token) may have and do on a worker, over all of their connections. Without a subject
 * nobody is counted: the limits of connections and addresses are for them.
 */
import { KeyedBuckets } from "../base/keyed-buckets.ts";
import { limitCounters } from "../base/limit-counters.ts";

export class UserLimits {
  readonly #connectionsMax: number | null;
  readonly #publishes: KeyedBuckets;
  /** Holds no more users than there are connections. */
  readonly #connections = new Map<string, number>();

  /** @param connectionsMax, publishesPerSecMax of each user; null: no limit. */
  constructor(connectionsMax: number | null, publishesPerSecMax: number | null) {
    this.#connectionsMax = connectionsMax;
    this.#publishes = new KeyedBuckets(publishesPerSecMax);
  }

  /** Counts a connection; false if it is one too many. @param sub null is not counted. */
  enter(sub: string | null): boolean {
    if (this.#connectionsMax === null || sub === null) return true;
    const count = this.#connections.get(sub) ?? 0;
    if (count >= this.#connectionsMax) {
      limitCounters.hit("connectionsPerUserMax");
      return false;
    }
    this.#connections.set(sub, count + 1);
    return true;
  }

  /** Undoes one `enter` that returned true. */
  leave(sub: string | null): void {
    if (this.#connectionsMax === null || sub === null) return;
    const count = this.#connections.get(sub) ?? 0;
    if (count > 1) this.#connections.set(sub, count - 1);
    else this.#connections.delete(sub);
  }

  /** Counts a publication over WebSocket; false if it is one too many in this second. */
  takePublish(sub: string | null, nowMs: number): boolean {
    if (sub === null || this.#publishes.take(sub, 1, nowMs)) return true;
    limitCounters.hit("clientPublishesPerUserPerSecMax");
    return false;
  }
}
