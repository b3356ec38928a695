/**
 * Large messages of one connection on their way out: they go piece by piece, so that others are served in between
 * (base/turn-queue.ts). Made when there is such a message; most connections never have one.
 */
import type { TurnCounters } from "../base/turn-queue.ts";

/** First in, first out. */
export class OutgoingPieces {
  readonly #counters: TurnCounters;
  readonly #messages: Uint8Array[] = [];
  /** Of the first of them, what was taken. */
  #offset = 0;
  #bytes = 0;

  constructor(counters: TurnCounters) {
    this.#counters = counters;
  }

  /** All that was not taken. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Those behind the first message: it may be as large as it is. */
  get queuedBytes(): number {
    return this.#bytes - ((this.#messages[0]?.length ?? 0) - this.#offset);
  }

  /** @param bytes kept. */
  queue(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#messages.push(bytes);
    this.#bytes += bytes.length;
    this.#counters.waitingBytes += bytes.length;
  }

  /** The next at most `bytesMax` bytes, which are the caller's to send. Null when there are none. */
  take(bytesMax: number): Uint8Array | null {
    const first = this.#messages[0];
    if (first === undefined) return null;
    const end = Math.min(first.length, this.#offset + bytesMax);
    const piece = first.subarray(this.#offset, end);
    this.#offset = end;
    if (end === first.length) {
      this.#messages.shift();
      this.#offset = 0;
    }
    this.#bytes -= piece.length;
    this.#counters.waitingBytes -= piece.length;
    return piece;
  }

  /** Lets go of everything. */
  clear(): void {
    this.#counters.waitingBytes -= this.#bytes;
    this.#messages.length = 0;
    this.#offset = 0;
    this.#bytes = 0;
  }
}
