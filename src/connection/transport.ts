/**
 * What the front door and a connection need of a socket. Two implementations: `StreamTransport` over node's public
 * `net.Socket` and `TLSSocket`, and `HandleTransport` over the handle below it, for less memory and less work per
 * connection and write.
 *
 * "Taken" means that the kernel has the bytes, or, for TLS, that everything before them has been taken.
 */
import type { Socket } from "node:net";

/** Receives the events of a transport. */
export interface TransportOwner {
  /** `chunk` may be changed, and is borrowed until return: the next read may lie in the same memory. */
  onSocketData(chunk: Buffer): void;
  /** The peer sent FIN. Our side stays open until the owner ends it. */
  onSocketEnd(): void;
  /** The socket is gone, whatever happened; the last event. */
  onSocketClose(): void;
  /** Everything that was pending has been taken. Follows each row of writes that returned false, unless it ends before. */
  onSocketTaken(): void;
}

/** One per socket; reads from the beginning. */
export interface Transport {
  /** Who gets the events: the reader of the request head, then the connection. Handing a socket on is one assignment. */
  owner: TransportOwner;
  /** TLS ends here. */
  readonly isEncrypted: boolean;
  /** The peer's, asked of the kernel; empty for a unix socket, `goneAddress` when the peer has left already. */
  readonly remoteAddress: string;
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
  /** Gives the socket up as one of node's, half-open, on which nothing is pending. The transport is of no use any more. */
  release(): Socket;
}

/** Of a socket that has just come: nobody is told anything. */
export const nobody: TransportOwner = {
  onSocketData: () => undefined,
  onSocketEnd: () => undefined,
  onSocketClose: () => undefined,
  onSocketTaken: () => undefined,
};
