/**
 * What of one connection waits for a turn of the event loop (base/turn-queue.ts): bytes of large messages on their way
 * out, what its session has begun and not finished, and what was read and not decoded. Made when something waits for
 * the first time; most connections never have one.
 */
import type { TurnCounters } from "../base/turn-queue.ts";

const nothing = Buffer.alloc(0);

export class WaitingWork {
  readonly #counters: TurnCounters;
  readonly #outgoing: Uint8Array[] = [];
  /** Of the first of them, what was given to the socket. */
  #offset = 0;
  #outgoingBytes = 0;
  #tasks: (() => void)[] = [];
  #unread: Uint8Array = nothing;

  constructor(counters: TurnCounters) {
    this.#counters = counters;
  }

  get isEmpty(): boolean {
    return this.#outgoingBytes === 0 && this.#tasks.length === 0 && this.#unread.length === 0;
  }

  // ---- out ----

  get outgoingBytes(): number {
    return this.#outgoingBytes;
  }

  /** Those behind the first message: it may be as large as it is. */
  get queuedBytes(): number {
    return this.#outgoingBytes - ((this.#outgoing[0]?.length ?? 0) - this.#offset);
  }

  /** @param bytes kept. */
  queue(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#outgoing.push(bytes);
    this.#outgoingBytes += bytes.length;
    this.#counters.waitingBytes += bytes.length;
  }

  /** The next at most `bytesMax` bytes, which are the caller's to send. Null when there are none. */
  takePiece(bytesMax: number): Uint8Array | null {
    const first = this.#outgoing[0];
    if (first === undefined) return null;
    const end = Math.min(first.length, this.#offset + bytesMax);
    const piece = first.subarray(this.#offset, end);
    this.#offset = end;
    if (end === first.length) {
      this.#outgoing.shift();
      this.#offset = 0;
    }
    this.#outgoingBytes -= piece.length;
    this.#counters.waitingBytes -= piece.length;
    return piece;
  }

  // ---- the session's ----

  get hasTasks(): boolean {
    return this.#tasks.length > 0;
  }

  addTask(run: () => void): void {
    this.#tasks.push(run);
  }

  takeTask(): (() => void) | undefined {
    return this.#tasks.shift();
  }

  // ---- in ----

  /** Read and not decoded. */
  get unreadBytes(): number {
    return this.#unread.length;
  }

  /** Puts a copy of `bytes` behind what is unread. */
  keepUnread(bytes: Uint8Array): void {
    // A read is at most 64 KiB, and reading stops with the first that is kept.
    this.#unread = Buffer.concat([this.#unread, bytes]);
    this.#counters.waitingBytes += bytes.length;
  }

  /** All of it, to be decoded in place. */
  get unread(): Uint8Array {
    return this.#unread;
  }

  /** The first `count` bytes were decoded. */
  dropUnread(count: number): void {
    const before = this.#unread.length;
    this.#unread = count >= before ? nothing : this.#unread.subarray(count);
    this.#counters.waitingBytes -= before - this.#unread.length;
  }

  /** Lets go of everything. */
  clear(): void {
    this.#counters.waitingBytes -= this.#outgoingBytes + this.#unread.length;
    this.#outgoing.length = 0;
    this.#offset = 0;
    this.#outgoingBytes = 0;
    this.#tasks = [];
    this.#unread = nothing;
  }
}
