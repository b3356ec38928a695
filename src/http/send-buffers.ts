/**
 * Bounds how much the kernel takes for a connection whose peer does not read. Left to itself it takes up to
 * `net.ipv4.tcp_wmem`, 4 MB, before a write says that it must wait. SO_SNDBUF bounds that, and an accepted socket has
 * the listener's (tcp(7)); but Node sets it for UDP sockets only. For libuv a socket is a socket: the listener's
 * descriptor is lent to a UDP socket, on which nothing is ever sent or received. The descriptor must not be watched by
 * this process's event loop yet, and in the primary it never is: the workers accept.
 */
import { createSocket, type Socket } from "node:dgram";

/**
 * By listener, the UDP socket that has its descriptor. It is never closed, the descriptor would go with it; it holds no
 * event loop open.
 */
const lent = new WeakMap<object, Socket>();

/**
 * Sets SO_SNDBUF for all sockets that are accepted on a listener from now on.
 * @param handle of a TCP listener, as node:cluster keeps it.
 * @param bytes the kernel doubles them for what it needs itself, and takes no more than `net.core.wmem_max`.
 * @returns null, or why this Node or system does not have it; then the kernel's own bounds count.
 */
export function boundSendBuffer(handle: object, bytes: number): string | null {
  const socket = lent.get(handle) ?? lend(handle);
  if (typeof socket === "string") return socket;
  lent.set(handle, socket);
  try {
    socket.setSendBufferSize(bytes);
    return null;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

/** A UDP socket with the listener's descriptor, or why there is none. */
function lend(handle: object): Socket | string {
  const fd: unknown = Reflect.get(handle, "fd");
  if (typeof fd !== "number" || fd < 0) return "the listener's descriptor is not to be had";
  const socket = createSocket("udp4");
  const inside = insideOf(socket);
  if (inside === null) {
    socket.close();
    return "a UDP socket of this Node has no handle that could be opened";
  }
  const error = inside.open(fd);
  if (error !== 0) {
    socket.close();
    return `the listener's descriptor cannot be lent (${String(error)})`;
  }
  return socket;
}

interface UdpInside {
  readonly open: (fd: number) => unknown;
}

/** The handle is behind a symbol, since Node 10. */
function insideOf(socket: Socket): UdpInside | null {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === "state symbol");
  const state: unknown = key === undefined ? null : Reflect.get(socket, key);
  if (typeof state !== "object" || state === null || !("handle" in state)) return null;
  const { handle } = state;
  if (typeof handle !== "object" || handle === null || !("open" in handle)) return null;
  const { open } = handle;
  return typeof open === "function" ? { open: (fd) => Reflect.apply(open, handle, [fd]) } : null;
}
