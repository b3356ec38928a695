/**
 * Preallocated memory for sealing batches: one large buffer, handed out piece by piece from its start, so that a flush
 * allocates nothing per write. Knows nothing of frames.
 */

/** One per worker. Contents are uninitialised: write all of a region before anyone reads it. */
export class Slab {
  readonly #slabBytes: number;
  #slab: Buffer;
  #usedBytes = 0;
  #lastRegion: Buffer | null = null;

  /** @param bytes size of each slab. */
  constructor(bytes: number) {
    this.#slabBytes = bytes;
    this.#slab = Buffer.allocUnsafeSlow(bytes);
  }

  /**
   * A region of exactly `bytes` bytes that nobody else has. When the slab is used up a new one takes its place; the
   * old one lives as long as someone holds a region of it. Larger than a whole slab: a buffer of its own.
   * Cost: one view.
   */
  reserve(bytes: number): Buffer {
    if (bytes > this.#slabBytes) return Buffer.allocUnsafeSlow(bytes);
    if (this.#usedBytes + bytes > this.#slabBytes) {
      this.#slab = Buffer.allocUnsafeSlow(this.#slabBytes);
      this.#usedBytes = 0;
    }
    const region = this.#slab.subarray(this.#usedBytes, this.#usedBytes + bytes);
    this.#usedBytes += bytes;
    this.#lastRegion = region;
    return region;
  }

  /**
   * Takes a region back that nobody kept (every write of it was taken synchronously). Only the region reserved last
   * can be reused; any other is left to the garbage collector.
   */
  release(region: Buffer): void {
    if (region !== this.#lastRegion) return;
    this.#usedBytes -= region.length;
    this.#lastRegion = null;
  }
}
