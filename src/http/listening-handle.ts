/**
 * A listening socket as libuv has it, below node's `net.Server`: one of several handles of the same socket. A second
 * file that knows node's inside, after connection/stream-wrap.ts; a Node whose handles are others has no
 * additional ones (`asListeningHandle`).
 */
import { Socket, type Server } from "node:net";

/** `TCP` and `Pipe` of node, listening. */
export interface ListeningHandle {
  onconnection: (this: ListeningHandle, status: number, client: object | undefined) => void;
  /** 0, or a negative error number. */
  listen(backlog: number): number;
  close(): void;
}

/** What came with a message of the primary, if it is such a handle. */
export function asListeningHandle(value: unknown): ListeningHandle | null {
  if (typeof value !== "object" || value === null) return null;
  const isOne = ["listen", "close"].every((name) => typeof Reflect.get(value, name) === "function");
  // Its methods were just looked at; `onconnection` is ours to set.
  return isOne ? (value as ListeningHandle) : null;
}

/**
 * Takes the handle of a server of node:cluster out of the event loop, without a word to the primary: it shares the
 * socket with this worker still, until the server is closed.
 * @returns false when it has none, or not such as we know; then nothing has changed.
 */
export function stopServerHandle(server: Server): boolean {
  const handle: unknown = Reflect.get(server, "_handle");
  if (typeof handle !== "object" || handle === null) return false;
  // node:cluster has put a `close` of its own on the handle, which tells the primary; the handle's is behind it.
  const close: unknown = Reflect.get(Reflect.getPrototypeOf(handle) ?? {}, "close");
  if (!Object.hasOwn(handle, "close") || typeof close !== "function") return false;
  Reflect.apply(close, handle, []);
  return true;
}

/** The socket of an accepted connection, as node's own server makes it with `allowHalfOpen` and `noDelay`. */
export function acceptedSocket(client: object): Socket {
  const setNoDelay: unknown = Reflect.get(client, "setNoDelay");
  if (typeof setNoDelay === "function") Reflect.apply(setNoDelay, client, [true]);
  return new Socket({ handle: client, allowHalfOpen: true, readable: true, writable: true } as object);
}
