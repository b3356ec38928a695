/** What the connections of a worker did, as plain integers: metrics reads them, nobody is notified. */

import { closeReasons, type CloseReason } from "./close-reason.ts";

/** One object for all connections. All but `open` only grow. */
export class ConnectionCounters {
  opened = 0;
  /** Gauge: sockets that were upgraded and are not closed yet, those in their close handshake included. */
  open = 0;
  /** Reads from sockets and their bytes, WebSocket bytes only. */
  reads = 0;
  bytesIn = 0;
  /** Writes to sockets (about a system call each) and their bytes, frame headers included. */
  writes = 0;
  bytesOut = 0;
  messagesIn = 0;
  /** Connections that agreed on permessage-deflate. */
  deflateAgreed = 0;
  pingsIn = 0;
  pongsIn = 0;
  pingsOut = 0;
  /** Times that the kernel did not take a whole write at once. */
  pended = 0;
  /** Gauge: bytes given to sockets and, when we last looked, not taken by the kernel. */
  pendingBytes = 0;
  /** Connections ended because all pending bytes together were too many. */
  shed = 0;
  /** Ended connections by reason, every reason of the closed list present. */
  readonly closed = new Map<CloseReason, number>(closeReasons.map((reason) => [reason, 0]));
}
