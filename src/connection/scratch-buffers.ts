/**
 * Memory for what goes out in one write, used again as soon as the kernel has the bytes. A buffer of its own for each
 * answer lies outside of V8's heap, and V8 answers many of those with collections: a client that came, got 40 KB and
 * went, 500 times a second, cost the others a halt of 10 to 20 ms twice a second (docs/RELIABILITY.md, "One bad client").
 */

/** The least and the largest that are kept, in powers of two. Larger ones are the collector's. */
const leastBits = 12;
const largestBits = 18;
/** Kept of each size. More are in use at once only where one connection's answer makes another's. */
const idleMax = 2;

/** One per worker. */
export class ScratchBuffers {
  /** Buffers made so far. */
  made = 0;
  /** By size. */
  readonly #idle: Buffer[][] = Array.from({ length: largestBits - leastBits + 1 }, () => []);

  /** At least `bytes` and at most twice as many, or 4 KiB: what a slow peer leaves with the kernel holds no more. */
  lend(bytes: number): Buffer {
    const place = placeOf(bytes);
    const idle = this.#idle[place]?.pop();
    if (idle !== undefined) return idle;
    this.made += 1;
    return Buffer.allocUnsafeSlow(place < this.#idle.length ? 2 ** (place + leastBits) : bytes);
  }

  /** @param buffer a whole one that was lent, in no one else's hands: neither the kernel's nor a stream's. */
  takeBack(buffer: Buffer): void {
    const idle = this.#idle[placeOf(buffer.length)];
    if (idle !== undefined && idle.length < idleMax) idle.push(buffer);
  }
}

function placeOf(bytes: number): number {
  return Math.max(0, 32 - Math.clz32(Math.max(0, bytes - 1)) - leastBits);
}
