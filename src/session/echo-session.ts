/**
 * One connection on `/echo`: every message comes back as it was, text or binary. With `?trace=1` each echo is followed
 * by the bytes of both frames as hex, for the page that teaches the protocol.
 */
import { encodeFrame } from "../codec/frame-encoder.ts";
import { opcode } from "../codec/opcode.ts";

/** What an echo needs of a connection. */
export interface EchoConnection {
  readonly isWritable: boolean;
  write(bytes: Uint8Array): boolean;
  sendText(text: string): boolean;
  /** Sends a message, compressed where that was agreed on and pays. */
  sendCompressed(isText: boolean, payload: Uint8Array): boolean;
  /** Wire bytes of the frames of the message being delivered, or null when they are not recorded. */
  readonly recordedFrames: Uint8Array | null;
  /** Reading stops while echoes wait to be taken, so that a peer that only sends cannot fill our memory. */
  pauseReading(): void;
  resumeReading(): void;
}

export class EchoSession {
  readonly #connection: EchoConnection;
  readonly #isTraced: boolean;

  constructor(connection: EchoConnection, isTraced: boolean) {
    this.#connection = connection;
    this.#isTraced = isTraced;
  }

  /** @param payload borrowed until return. */
  receive(isText: boolean, payload: Uint8Array): void {
    if (this.#isTraced) this.#echoTraced(isText, payload);
    else this.#connection.sendCompressed(isText, payload);
    if (!this.#connection.isWritable) this.#connection.pauseReading();
  }

  drained(): void {
    this.#connection.resumeReading();
  }

  #echoTraced(isText: boolean, payload: Uint8Array): void {
    const frame = encodeFrame(isText ? opcode.text : opcode.binary, payload);
    this.#connection.write(frame);
    const recorded = this.#connection.recordedFrames;
    const received = recorded === null ? "" : Buffer.from(recorded).toString("hex");
    this.#connection.sendText(JSON.stringify({ event: "frames", in: received, out: frame.toString("hex") }));
  }
}
