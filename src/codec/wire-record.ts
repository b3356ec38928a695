/**
 * The wire bytes of one message's frames as they came, for the page that shows a reader what a frame is (`?trace=1`).
 * Not on any path of ordinary traffic.
 */
import { ByteStore } from "./byte-store.ts";
import type { WireRecorder } from "./frame-decoder.ts";

/** Payload bytes recorded of one message. As hex and JSON they take 2 ms of the event loop, 16 MiB took 185. */
export const recordedBytesMax = 131_072;
/** RFC 6455 §5.2: 2 bytes, 8 of length, 4 of masking key. */
const headerBytesMax = 14;

/** Keeps the first 128 KiB, and as much again as the headers of all fragments can take. */
export class WireRecord implements WireRecorder {
  readonly #store = new ByteStore();
  readonly #bytesMax: number;

  constructor(fragmentsPerMessageMax: number) {
    this.#bytesMax = recordedBytesMax + headerBytesMax * fragmentsPerMessageMax;
  }

  /** Memory held. */
  get capacityBytes(): number {
    return this.#store.capacityBytes;
  }

  /** Copies what still fits; the rest is dropped. */
  append(bytes: Uint8Array, start: number, end: number): void {
    this.#store.append(bytes, start, Math.min(end, start + this.#bytesMax - this.#store.usedBytes));
  }

  /** Borrowed until the next append. */
  view(): Uint8Array {
    return this.#store.view();
  }

  clear(): void {
    this.#store.clear();
  }
}
