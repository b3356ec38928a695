/** A connection as the hub writes to it. */
import type { PlainVariant } from "../hub/entry.ts";
import type { Hub } from "../hub/hub.ts";
import type { LostReason, Reader, ReaderSink } from "../hub/reader.ts";
import { closeCodes } from "../protocol/close-codes.ts";
import type { SessionConnection } from "./session-services.ts";

/** Makes the connection a reader, of compressed messages too where that was agreed on. */
export function addReader(hub: Hub, connection: SessionConnection, variant: PlainVariant): Reader {
  const sink = new ConnectionSink(connection, variant);
  return hub.addReader(connection.id, sink, connection.maySendCompressed ? `${variant}+deflate` : variant);
}

class ConnectionSink implements ReaderSink {
  readonly #connection: SessionConnection;
  readonly #variant: PlainVariant;

  constructor(connection: SessionConnection, variant: PlainVariant) {
    this.#connection = connection;
    this.#variant = variant;
  }

  get isWritable(): boolean {
    return this.#connection.isWritable;
  }

  write(bytes: Uint8Array): boolean {
    return this.#connection.write(bytes);
  }

  lostEvent(topic: string, count: number, reason: LostReason): string | null {
    return this.#variant === "raw" ? null : JSON.stringify({ event: "lost", topic, count, reason });
  }

  closeForGap(): void {
    this.#connection.close(closeCodes.historyGap, "history_gap");
  }
}
