/**
 * How much of a worker's time the connections of one address may take together. A connection has a share of its own
 * (turn-queue.ts), but whoever ends it and comes back would have a fresh one each time: what its address owes stays.
 */

/** The burst, as time at full rate; the same as a connection's. */
const burstSec = 0.5;
/** Addresses in memory that have no connection. With more, the ones that rested longest start anew, in their favour. */
const restingMax = 65_536;

/** One address's. Below zero its connections rest. */
export class AddressWork {
  leftMs: number;
  /** Connections that have it. */
  holders = 0;
  readonly #refillPerMs: number;
  readonly #burstMs: number;
  #refilledMs: number;

  constructor(workMsPerSecMax: number, nowMs: number) {
    this.#refillPerMs = workMsPerSecMax / 1000;
    this.#burstMs = workMsPerSecMax * burstSec;
    this.leftMs = this.#burstMs;
    this.#refilledMs = nowMs;
  }

  /** How long until it may work again; 0 when it may. */
  restMs(nowMs: number): number {
    const elapsedMs = Math.max(0, nowMs - this.#refilledMs);
    this.#refilledMs = nowMs;
    this.leftMs = Math.min(this.#burstMs, this.leftMs + elapsedMs * this.#refillPerMs);
    return this.leftMs >= 0 ? 0 : -this.leftMs / this.#refillPerMs;
  }

  spend(workMs: number): void {
    this.leftMs -= workMs;
  }

  /** Nothing would be lost by forgetting it. */
  isRested(nowMs: number): boolean {
    this.restMs(nowMs);
    return this.holders === 0 && this.leftMs >= this.#burstMs;
  }
}

/** One per worker. What is kept is the addresses with a connection, and those that worked a moment ago. */
export class AddressWorks {
  readonly #workMsPerSecMax: number;
  readonly #restingMax: number;
  readonly #kept = new Map<string, AddressWork>();
  /** Those without a connection, in the order in which they lost the last. */
  readonly #resting = new Map<string, AddressWork>();

  /** @param workMsPerSecMax of each address. */
  constructor(workMsPerSecMax: number, restingMaxOfTests: number = restingMax) {
    this.#workMsPerSecMax = workMsPerSecMax;
    this.#restingMax = restingMaxOfTests;
  }

  /** Addresses in memory. */
  get size(): number {
    return this.#kept.size;
  }

  /** What an address has left; null when nothing is known of it. */
  of(key: string): AddressWork | null {
    return this.#kept.get(key) ?? null;
  }

  /** One more connection of an address shares what it has. */
  enter(key: string, nowMs: number): AddressWork {
    let work = this.#kept.get(key);
    if (work === undefined) {
      work = new AddressWork(this.#workMsPerSecMax, nowMs);
      this.#kept.set(key, work);
    }
    work.holders += 1;
    this.#resting.delete(key);
    return work;
  }

  /** Undoes one `enter`. */
  leave(key: string, work: AddressWork, nowMs: number): void {
    work.holders -= 1;
    if (work.holders === 0) this.#rest(key, work, nowMs);
  }

  #rest(key: string, work: AddressWork, nowMs: number): void {
    this.#resting.set(key, work);
    // Two looks for one that comes, so that the maps shrink again.
    let looks = 2;
    for (const [each, oldest] of this.#resting) {
      const mayGo = this.#resting.size > this.#restingMax || oldest.isRested(nowMs);
      if (each === key || looks === 0 || !mayGo) return;
      this.#resting.delete(each);
      this.#kept.delete(each);
      looks -= 1;
    }
  }
}
