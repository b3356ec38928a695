/** What a connection needs to know of its endpoint, and what it tells its user. */

import type { LimitName } from "../base/limit-counters.ts";
import type { MessageReaderOptions } from "../codec/message-reader.ts";
import type { CloseReason } from "./close-reason.ts";

/**
 * The limits of one kind of connection. One object for all connections of an endpoint: nothing of it is copied.
 * `null` is no limit. Rates have a burst of one second's worth.
 */
export interface ConnectionOptions extends MessageReaderOptions {
  readonly role: "server";
  /** Bytes given to the socket and not taken by the kernel; one more closes with 4001. */
  readonly pendingBytesMax: number | null;
  /** Time in which the kernel took no byte although some were pending; closes with 4001. */
  readonly pendingAgeMsMax: number | null;
  /** A ping goes out when nothing came in for so long; null for no heartbeat. */
  readonly heartbeatIntervalMs: number | null;
  /** Nothing at all came in for so long after the ping: closes with 4002. */
  readonly heartbeatTimeoutMs: number;
  /** A message that began so long ago and is not whole closes with 1008. */
  readonly messageTimeoutMs: number | null;
  readonly controlFramesPerSecMax: number | null;
  readonly inboundMessagesPerSecMax: number | null;
  /** Wire bytes, and of a compressed message what came out of it. */
  readonly inboundBytesPerSecMax: number | null;
  /** True: the peer can inflate what `deflateFrame` makes. Default false. */
  readonly maySendCompressed?: boolean;
  /** The key of the configuration that `messageBytesMax` comes from; `messageBytesMax` when absent. */
  readonly messageLimitName?: LimitName;
  /** Whether the peer's close reason is sent back with its code (`/echo`); otherwise peers' text goes nowhere. */
  readonly echoesCloseReason: boolean;
}

/** The options of an endpoint's connections that agreed on permessage-deflate. */
export interface CompressionOptions {
  /** The peer's window is too small for what we compress: it may compress, we do not. */
  readonly inbound: ConnectionOptions;
  readonly both: ConnectionOptions;
}

/** Derives them, once per endpoint. */
export function compressionOptions(plain: ConnectionOptions): CompressionOptions {
  const inbound = { ...plain, allowCompressed: true };
  return { inbound, both: { ...inbound, maySendCompressed: true } };
}

/**
 * The user of a connection. Nothing is called before `accept` returned the handler, and never from inside a call of
 * `write`, `send`, `close` or `terminate`.
 */
export interface ConnectionHandler {
  /** A text message, valid UTF-8. `payload` is borrowed until return. */
  onText(payload: Uint8Array): void;
  /** A binary message. `payload` is borrowed until return. */
  onBinary(payload: Uint8Array): void;
  /** The kernel has taken everything that was pending. Follows every `write` that returned false while open. */
  onDrained(): void;
  /** Exactly once, the last call: from now on nothing goes in or out, though the close handshake may still run. */
  onClosed(code: number, reason: CloseReason): void;
}
