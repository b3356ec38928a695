/** A connection as the hub writes to it. */
import { encodeTextFrame } from "../codec/frame-encoder.ts";
import type { Variant } from "../hub/entry.ts";
import type { LostReason, ReaderSink } from "../hub/reader.ts";
import { closeCodes } from "../protocol/close-codes.ts";
import type { SessionConnection } from "./session-services.ts";

export class ConnectionSink implements ReaderSink {
  readonly #connection: SessionConnection;
  readonly #variant: Variant;

  constructor(connection: SessionConnection, variant: Variant) {
    this.#connection = connection;
    this.#variant = variant;
  }

  get isWritable(): boolean {
    return this.#connection.isWritable;
  }

  write(bytes: Uint8Array): boolean {
    return this.#connection.write(bytes);
  }

  lostFrame(topic: string, count: number, reason: LostReason): Uint8Array | null {
    if (this.#variant === "raw") return null;
    return encodeTextFrame(JSON.stringify({ event: "lost", topic, count, reason }));
  }

  closeForGap(): void {
    this.#connection.close(closeCodes.historyGap, "history_gap");
  }
}
