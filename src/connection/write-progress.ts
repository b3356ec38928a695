/** How far the kernel has taken what a socket was given. For sockets whose handle stays theirs. */

import type { Socket } from "node:net";

/**
 * A number that changes whenever the kernel takes a byte of what is pending. `writableLength` alone stands still while
 * one large write is taken piece by piece; node's own socket timeout looks at the handle's `writeQueueSize` for the
 * same reason. For TLS it is the handle below the encryption that knows. Without that property whole writes count.
 */
export function writeProgress(socket: Socket): number {
  const handle = property(socket, "_handle");
  const queuedBytes = property(property(handle, "_parent") ?? handle, "writeQueueSize");
  return socket.writableLength * 2 ** 20 + (typeof queuedBytes === "number" ? queuedBytes % 2 ** 20 : 0);
}

function property(of: unknown, name: string): unknown {
  return typeof of === "object" && of !== null ? Reflect.get(of, name) : undefined;
}
