/** How far the kernel has taken what a socket was given. For sockets whose handle stays theirs. */

import type { Socket } from "node:net";

/**
 * How many bytes the kernel has taken, as a number that grows with each of them and with nothing else: also not with what
 * is written meanwhile, or a reader that is frozen and sends commands would never be found out. What a stream calls
 * written stands still while one large write is taken piece by piece; node's own socket timeout looks at the handle's
 * `writeQueueSize` for the same reason. For TLS it is the handle below the encryption that knows. Without these
 * properties whole writes count.
 */
export function writeProgress(socket: Socket): number {
  const handle = property(socket, "_handle");
  const lowest = property(handle, "_parent") ?? handle;
  const givenBytes = property(lowest, "bytesWritten");
  const queuedBytes = property(lowest, "writeQueueSize");
  return typeof givenBytes === "number" && typeof queuedBytes === "number"
    ? givenBytes - queuedBytes
    : socket.bytesWritten - socket.writableLength;
}

function property(of: unknown, name: string): unknown {
  return typeof of === "object" && of !== null ? Reflect.get(of, name) : undefined;
}
