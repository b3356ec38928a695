/** Bytes that one connection holds back, to write them at once. They lie one behind the other in scratch memory. */
import { frameHeaderBytes, writeFrame } from "../codec/frame-encoder.ts";
import type { ScratchBuffers } from "./scratch-buffers.ts";

const nothing = Buffer.alloc(0);

export class HeldBack {
  /** So far. */
  bytes = 0;
  readonly #scratch: ScratchBuffers;
  #buffer: Buffer = nothing;

  constructor(scratch: ScratchBuffers) {
    this.#scratch = scratch;
  }

  /** @param bytes copied. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.bytes);
    this.bytes += bytes.length;
  }

  /** A whole frame around `payload`, which is copied. */
  appendFrame(frameOpcode: number, payload: Uint8Array): void {
    this.#reserve(frameHeaderBytes(payload.length) + payload.length);
    this.bytes = writeFrame(this.#buffer, this.bytes, frameOpcode, payload);
  }

  /** All of it, until `free`. Cost: a view. */
  get all(): Buffer {
    return this.#buffer.subarray(0, this.bytes);
  }

  /** The memory may be used for others: nobody has `all` any more. Without it the memory goes with whoever has. */
  free(): void {
    if (this.#buffer !== nothing) this.#scratch.takeBack(this.#buffer);
    this.#buffer = nothing;
    this.bytes = 0;
  }

  #reserve(bytes: number): void {
    const needed = this.bytes + bytes;
    const old = this.#buffer;
    if (needed <= old.length) return;
    this.#buffer = this.#scratch.lend(needed);
    if (old === nothing) return;
    old.copy(this.#buffer, 0, 0, this.bytes);
    this.#scratch.takeBack(old);
  }
}
