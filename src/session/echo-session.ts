/**
 * One connection on `/echo`: every message comes back as it was, text or binary. With `?trace=1` each echo is followed
 * by the bytes of both frames as hex, for the page that teaches the protocol; of large ones by the first.
 */

import { releaseMemory } from "../base/release-memory.ts";

/** Messages so large are not left to the collector: the next one would come before it does. */
const releasedBytesMin = 1_048_576;

/** What an echo needs of a connection. */
export interface EchoConnection {
  readonly isWritable: boolean;
  sendText(text: string): boolean;
  /** Sends a message, compressed where that was agreed on and pays. A `payload` of more than 64 KiB is kept. */
  sendCompressed(isText: boolean, payload: Uint8Array): boolean;
  /** Wire bytes of the frames of the message being delivered, or null when they are not recorded. */
  readonly recordedFrames: Uint8Array | null;
  /** Reading stops while echoes wait to be taken, so that a peer that only sends cannot fill our memory. */
  pauseReading(): void;
  /** Bytes that wait to be taken. */
  readonly pendingBytes: number;
  /** Ends it at once, with all that is pending. */
  shed(): void;
  resumeReading(): void;
}

/** The frame around a message, or the first part of it. */
export type FrameBytes = (isText: boolean, payload: Uint8Array) => Buffer;

/** What all echoes of the worker hold together; makes room where it is too much. */
export interface PendingEchoes {
  count(connection: EchoConnection, bytes: number): void;
  forget(connection: EchoConnection): void;
}

export class EchoSession {
  readonly #connection: EchoConnection;
  readonly #frameBytes: FrameBytes | null;
  readonly #pending: PendingEchoes;
  /** The large message that waits to be taken. */
  #sent: Uint8Array | null = null;

  /** @param frameBytes what is shown of the frames that go out; null without a trace. */
  constructor(connection: EchoConnection, frameBytes: FrameBytes | null, pending: PendingEchoes) {
    this.#connection = connection;
    this.#pending = pending;
    this.#frameBytes = frameBytes;
  }

  /** @param payload borrowed until return, or, if it is larger than 64 KiB, ours. */
  receive(isText: boolean, payload: Uint8Array): void {
    const trace = this.#frameBytes === null ? null : this.#traceOf(this.#frameBytes(isText, payload));
    this.#connection.sendCompressed(isText, payload);
    if (trace !== null) this.#connection.sendText(trace);
    const isLarge = payload.length >= releasedBytesMin;
    if (this.#connection.isWritable) {
      if (isLarge) this.#release(payload);
      return;
    }
    if (isLarge) this.#sent = payload;
    this.#connection.pauseReading();
    this.#pending.count(this.#connection, this.#connection.pendingBytes);
  }

  drained(): void {
    if (this.#sent !== null) this.#release(this.#sent);
    this.#sent = null;
    this.#pending.forget(this.#connection);
    this.#connection.resumeReading();
  }

  /** The connection is gone. */
  closed(): void {
    // Not given back by us: what is not taken may still be the kernel's to read.
    this.#sent = null;
    this.#pending.forget(this.#connection);
  }

  /** Of a message that was sent, unless a part of it has not been taken. */
  #release(payload: Uint8Array): void {
    if (this.#connection.pendingBytes === 0) releaseMemory(payload);
  }

  #traceOf(frame: Buffer): string {
    const recorded = this.#connection.recordedFrames;
    const received = recorded === null ? "" : Buffer.from(recorded).toString("hex");
    return JSON.stringify({ event: "frames", in: received, out: frame.toString("hex") });
  }
}
