/**
 * What a connection needs of its socket. Two implementations: `StreamTransport` over node's public `net.Socket` and
 * `TLSSocket`, and `HandleTransport` over the handle below it, for less memory and less work per write.
 *
 * "Taken" means that the kernel has the bytes, or, for TLS, that everything before them has been taken.
 */
import type { SocketOwner } from "./socket-owner.ts";

/** Receives the events of a transport. */
export interface TransportOwner extends SocketOwner {
  /** Everything that was pending has been taken. Follows each row of writes that returned false, unless it ends before. */
  onSocketTaken(): void;
}

/** One per connection; in no one else's hands. */
export interface Transport {
  /**
   * Gives bytes to the kernel. @param bytes kept: do not change them until they are taken.
   * @returns true: taken. False: pending, or the socket is gone.
   */
  write(bytes: Uint8Array): boolean;
  /** Bytes given and not taken. */
  readonly pendingBytes: number;
  /** Changes whenever the kernel takes a byte of what is pending. */
  readonly progress: number;
  /** Bytes of the socket's whole life, as the system counts them. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Stops reading. What was already read still comes. */
  pause(): void;
  resume(): void;
  /** Sends FIN behind what is pending. When the peer has sent its own, the socket is gone. */
  end(): void;
  /**
   * Frees the socket now; `onSocketClose` follows. With bytes still pending the peer does not read: a reset frees the
   * kernel's megabytes too, where a FIN would wait behind them for minutes.
   */
  destroy(): void;
}
