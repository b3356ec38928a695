/**
 * The way out of one connection. Frames that answer one read are held back and go out in one write; what is larger than
 * a piece goes out piece by piece, in turns; what the kernel has not taken is pending, and has an age. Who is too slow is
 * told to the connection, which closes.
 */
import { limitCounters } from "../base/limit-counters.ts";
import { deflateFrame } from "../codec/deflate.ts";
import { encodeFrame, frameHeaderBytes, writeFrameHeader } from "../codec/frame-encoder.ts";
import type { Connection } from "./connection.ts";
import { HeldBack } from "./held-back.ts";
import { OutgoingPieces } from "./outgoing-pieces.ts";
import type { Transport } from "./transport.ts";

/** What goes out in one write while more waits: 30 to 60 µs on loopback. Larger messages wait for turns in between. */
const pieceBytes = 65_536;
/** Replies of one turn go out together, at the latest when they are so many bytes. */
const corkBytesMax = 65_536;
/** Compressing takes up to 30 µs per KiB and cannot be cut: larger messages to a single peer go plain. */
const compressBytesMax = 32_768;
/** How often a connection with bytes pending is looked at within `pendingAgeMsMax`. */
const looksPerAge = 32;
/** A deadline may be noticed 100 ms late (timer-wheel.ts): of the age of 10 s that is the rest. */
const ageShare = 0.99;

/** One per connection. What returns a boolean says as `Connection.write`: whether all was taken, or is held back. */
export class Outbound {
  readonly #connection: Connection;
  readonly #transport: Transport;
  #hasStarted = false;
  /**
   * What goes out in one write: until `start` the 101 and what the session says at once, later what is answered to one
   * read. Null when nothing is held back.
   */
  #held: HeldBack | null;
  #pieces: OutgoingPieces | null = null;
  /** The kernel has not taken everything. */
  #isPending = false;
  #progressMs = 0;
  #progress = 0;
  #pong: Uint8Array | null = null;

  constructor(connection: Connection, transport: Transport) {
    this.#connection = connection;
    this.#transport = transport;
    this.#held = new HeldBack(connection.shared.scratch);
  }

  /** Until now everything was held back. */
  start(): void {
    this.#hasStarted = true;
    this.release();
  }

  get isPending(): boolean {
    return this.#isPending;
  }

  /** A large message is on its way, in pieces. */
  get isSending(): boolean {
    return this.#pieces !== null && this.#pieces.bytes > 0;
  }

  get pendingBytes(): number {
    return this.#transport.pendingBytes + (this.#pieces?.bytes ?? 0);
  }

  // ---- giving ----

  /** Of bytes that the caller may use again once they are taken: they are not held back. */
  write(bytes: Uint8Array): boolean {
    if (this.#held !== null && this.#hasStarted) this.release();
    return this.give(bytes);
  }

  /** Of bytes that are ours to keep. */
  give(bytes: Uint8Array): boolean {
    if (this.#held !== null) {
      this.#held.append(bytes);
      return this.#holdOn(this.#held);
    }
    if (bytes.length > pieceBytes || this.isSending) return this.#giveInPieces(bytes);
    return this.#giveNow(bytes);
  }

  /** @param payload kept if it is larger than a piece. Cost: while the peer keeps up no memory, else one frame. */
  giveMessage(frameOpcode: number, payload: Uint8Array): boolean {
    if (payload.length <= pieceBytes) {
      const held = this.#held;
      if (held === null && !this.#mayTake) return this.give(encodeFrame(frameOpcode, payload));
      const together = held ?? (this.#held = new HeldBack(this.#connection.shared.scratch));
      together.appendFrame(frameOpcode, payload);
      if (held !== null) return this.#holdOn(held);
      this.release();
      return this.#connection.isWritable;
    }
    const header = Buffer.allocUnsafe(frameHeaderBytes(payload.length));
    writeFrameHeader(header, 0, frameOpcode, payload.length);
    if (this.#hasStarted) this.release();
    if (this.#held !== null) return this.give(Buffer.concat([header, payload]));
    return this.#giveInPieces(header, payload);
  }

  /** As `giveMessage`; compressed if it pays. */
  giveCompressed(frameOpcode: number, payload: Uint8Array): boolean {
    const frame = payload.length <= compressBytesMax ? deflateFrame(frameOpcode, payload) : null;
    return frame === null ? this.giveMessage(frameOpcode, payload) : this.give(frame);
  }

  /** RFC 6455 §5.5.3: an endpoint "MAY elect to send a Pong frame for only the most recently processed Ping frame". */
  pong(frame: Uint8Array): void {
    if (this.#isPending || this.isSending) this.#pong = frame;
    else this.give(frame);
  }

  /** There is room again. @returns whether there still is when a pong that waited has gone out. */
  givePong(): boolean {
    const pong = this.#pong;
    this.#pong = null;
    return pong === null || this.give(pong);
  }

  /** A close frame, and before it what waits; then nothing more. If the peer reads nothing it stays pending. */
  giveLast(frame: Uint8Array): void {
    this.release();
    // Not into the middle of a message.
    const pieces = this.#pieces;
    let piece = pieces?.take(Infinity) ?? null;
    while (piece !== null) {
      this.#writeLast(piece);
      piece = pieces?.take(Infinity) ?? null;
    }
    this.#writeLast(frame);
    this.#pong = null;
  }

  // ---- holding back ----

  /** From now on answers are held back, to go out together. */
  cork(): void {
    this.#held ??= new HeldBack(this.#connection.shared.scratch);
  }

  /** Writes what was held back. */
  release(): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    if (held.bytes === 0 || this.#connection.isDone) held.free();
    else if (this.#mayTake) {
      // What is not taken goes with its memory.
      if (this.give(held.all)) held.free();
    } else {
      this.give(Buffer.from(held.all));
      held.free();
    }
  }

  /** More is held back than before. @returns as `give`. */
  #holdOn(held: HeldBack): boolean {
    if (held.bytes <= corkBytesMax || !this.#hasStarted) return true;
    this.release();
    return this.#connection.isWritable;
  }

  /** The kernel had room for all that it was given. */
  get #mayTake(): boolean {
    return !this.#isPending && !this.isSending;
  }

  // ---- pieces ----

  /** Writes behind what is on its way, piece by piece as there is time and room. */
  #giveInPieces(...all: readonly Uint8Array[]): boolean {
    const connection = this.#connection;
    const { turns, shared } = connection;
    const wasSending = this.isSending;
    const pieces = (this.#pieces ??= new OutgoingPieces(shared.turns.counters));
    for (const bytes of all) pieces.queue(bytes);
    if (!wasSending && !this.#isPending) turns.send();
    if (pieces.bytes === 0) this.#pieces = null;
    if (!connection.isOpen) return false;
    const { pendingBytesMax } = connection.options;
    if (pendingBytesMax !== null && pieces.queuedBytes > pendingBytesMax) {
      limitCounters.hit("pendingBytesMax");
      connection.onTooSlow();
      return false;
    }
    if (!this.isSending) return !this.#isPending;
    shared.pending.count(connection, this.pendingBytes);
    if (!this.#isPending) turns.wait();
    return false;
  }

  /** Sends what is on its way, as far as there is time and room. */
  sendOn(): void {
    const pieces = this.#pieces;
    if (pieces === null || this.#isPending || !this.isSending) return;
    const connection = this.#connection;
    while (connection.isOpen) {
      const piece = pieces.take(pieceBytes);
      if (piece === null || !this.#giveNow(piece) || connection.isSpent) break;
    }
    if (connection.isWritable) connection.shared.pending.forget(connection);
  }

  // ---- the kernel ----

  #giveNow(bytes: Uint8Array): boolean {
    const connection = this.#connection;
    const { counters, turns, pending } = connection.shared;
    counters.writes += 1;
    counters.bytesOut += bytes.length;
    turns.touch(connection);
    if (this.#transport.write(bytes)) return true;
    const { pendingBytes } = this.#transport;
    const { pendingBytesMax } = connection.options;
    if (pendingBytesMax !== null && pendingBytes > pendingBytesMax) {
      limitCounters.hit("pendingBytesMax");
      connection.onTooSlow();
    } else if (!this.#isPending) this.#pend();
    pending.count(connection, this.pendingBytes);
    return false;
  }

  #writeLast(bytes: Uint8Array): void {
    const { counters } = this.#connection.shared;
    this.#transport.write(bytes);
    counters.writes += 1;
    counters.bytesOut += bytes.length;
  }

  /** The kernel did not take everything: `taken` will follow. */
  #pend(): void {
    const { counters, clock } = this.#connection.shared;
    this.#isPending = true;
    counters.pended += 1;
    this.#progressMs = Math.trunc(clock.nowMs());
    this.#progress = this.#transport.progress;
    this.#connection.watch();
  }

  /** The kernel has taken everything. @returns whether anything was pending. */
  taken(): boolean {
    if (!this.#isPending) return false;
    this.#isPending = false;
    this.#connection.shared.pending.forget(this.#connection);
    return true;
  }

  /** See `Connection.pendingAgeMs`. */
  pendingAgeMs(nowMs: number): number {
    if (!this.#isPending || this.#transport.progress !== this.#progress) return 0;
    return Math.max(0, nowMs - this.#progressMs);
  }

  /** Whether the kernel has taken nothing for too long. */
  isStale(nowMs: number): boolean {
    const { pendingAgeMsMax } = this.#connection.options;
    if (!this.#isPending || pendingAgeMsMax === null) return false;
    const { progress } = this.#transport;
    if (progress === this.#progress) return nowMs - this.#progressMs >= pendingAgeMsMax * ageShare;
    this.#progress = progress;
    // Some time since the last look: the earliest counts, so that the age is never exceeded.
    this.#progressMs = Math.trunc(nowMs - pendingAgeMsMax / looksPerAge);
    return false;
  }

  /** When to look whether it `isStale`; infinite for never. */
  staleLookMs(nowMs: number): number {
    const { pendingAgeMsMax } = this.#connection.options;
    if (!this.#isPending || pendingAgeMsMax === null) return Number.POSITIVE_INFINITY;
    const endMs = this.#progressMs + pendingAgeMsMax * ageShare;
    return Math.min(nowMs + pendingAgeMsMax / looksPerAge, Math.max(nowMs, endMs));
  }

  /** Lets go of what waits here; what the kernel has it keeps. */
  drop(): void {
    this.#pieces?.clear();
    this.#pong = null;
  }
}
