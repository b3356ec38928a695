/**
 * The bytes of all publications that the logs of a worker keep, held below a limit: clients choose topics and publish,
 * so the rings of many topics together need a bound of their own. Beyond it the rings that were added to longest ago
 * are emptied. Nothing is lost by that where a topic has history: who asks for what is gone is served by the broker,
 * and who lags there is closed and resumes.
 */

/** What of a topic's log is of interest here. */
export interface Ring {
  /** `order` of its newest entry. */
  readonly newestOrder: number;
  /** Forgets all entries. Calls `removed` for their bytes. */
  empty(): void;
  /** Forgets the oldest entry. Calls `removed` for its bytes. False when it has one entry or none. */
  dropOldest(): boolean;
}

/** Emptying goes on until so much of the limit is left, so that it comes seldom: it looks at every ring. */
const keptShare = 0.75;

export class RingBytes {
  readonly #bytesMax: number;
  readonly #onEmptied: () => void;
  /** Those that may have something. */
  readonly #rings = new Set<Ring>();
  #bytes = 0;

  /** @param onEmptied called for each ring that loses what it kept, wholly or in part. */
  constructor(bytesMax: number, onEmptied: () => void) {
    this.#bytesMax = bytesMax;
    this.#onEmptied = onEmptied;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A ring keeps so many bytes more. */
  added(ring: Ring, bytes: number): void {
    this.#bytes += bytes;
    this.#rings.add(ring);
    if (this.#bytes > this.#bytesMax) this.#makeRoom(ring);
  }

  removed(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** A ring keeps nothing any more. */
  empty(ring: Ring): void {
    ring.empty();
    this.#rings.delete(ring);
  }

  #makeRoom(newest: Ring): void {
    const others = [...this.#rings].filter((ring) => ring !== newest);
    others.sort((left, right) => left.newestOrder - right.newestOrder);
    const wantedBytes = this.#bytesMax * keptShare;
    for (const ring of others) {
      if (this.#bytes <= wantedBytes) return;
      const before = this.#bytes;
      this.empty(ring);
      if (this.#bytes < before) this.#onEmptied();
    }
    if (this.#bytes <= this.#bytesMax) return;
    // It is alone too much. Its newest entry stays, whatever its size: there is one limit for messages already.
    let isCut = false;
    while (this.#bytes > this.#bytesMax && newest.dropOldest()) isCut = true;
    if (isCut) this.#onEmptied();
  }
}
