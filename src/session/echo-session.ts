/**
 * One connection on `/echo`: every message comes back as it was, text or binary. With `?trace=1` each echo is followed
 * by the bytes of both frames as hex, for the page that teaches the protocol.
 */

/** What an echo needs of a connection. */
export interface EchoConnection {
  readonly isWritable: boolean;
  write(bytes: Uint8Array): boolean;
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

/** A whole frame around a message. */
export type EncodeFrame = (isText: boolean, payload: Uint8Array) => Buffer;

/** What all echoes of the worker hold together; makes room where it is too much. */
export interface PendingEchoes {
  count(connection: EchoConnection, bytes: number): void;
  forget(connection: EchoConnection): void;
}

export class EchoSession {
  readonly #connection: EchoConnection;
  readonly #encode: EncodeFrame | null;
  readonly #pending: PendingEchoes;

  /** @param encode builds the frames whose bytes are shown; null without a trace. */
  constructor(connection: EchoConnection, encode: EncodeFrame | null, pending: PendingEchoes) {
    this.#connection = connection;
    this.#pending = pending;
    this.#encode = encode;
  }

  /** @param payload borrowed until return, or, if it is larger than 64 KiB, ours. */
  receive(isText: boolean, payload: Uint8Array): void {
    if (this.#encode !== null) this.#echoTraced(this.#encode(isText, payload));
    else this.#connection.sendCompressed(isText, payload);
    if (this.#connection.isWritable) return;
    this.#connection.pauseReading();
    this.#pending.count(this.#connection, this.#connection.pendingBytes);
  }

  drained(): void {
    this.#pending.forget(this.#connection);
    this.#connection.resumeReading();
  }

  /** The connection is gone. */
  closed(): void {
    this.#pending.forget(this.#connection);
  }

  #echoTraced(frame: Buffer): void {
    this.#connection.write(frame);
    const recorded = this.#connection.recordedFrames;
    const received = recorded === null ? "" : Buffer.from(recorded).toString("hex");
    this.#connection.sendText(JSON.stringify({ event: "frames", in: received, out: frame.toString("hex") }));
  }
}
