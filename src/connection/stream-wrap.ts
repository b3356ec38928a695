/**
 * Node's inside, as far as a transport on handles needs it: `stream_wrap`, which net.js is written on, the owner that a
 * handle carries, and how a server hands its handles out. What is used here has been the same from Node 20 to 26; each
 * part is looked at before it is relied on, and handle-trial.ts tries out that it does what it did.
 */
import type { Server, Socket } from "node:net";
import type { HandleTransport } from "./handle-transport.ts";

/** A libuv stream as node wraps it. */
export interface StreamHandle {
  onread: (this: StreamHandle, data: ArrayBuffer | undefined) => void;
  readonly writeQueueSize: number;
  readonly bytesWritten: number;
  readonly bytesRead: number;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  /** 0, or a negative error number. `request` is used up only if the write was asynchronous. */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  shutdown(request: ShutdownRequest): number;
  close(done: (this: StreamHandle) => void): void;
  /** These three TCP only. */
  reset?(done: (this: StreamHandle) => void): number;
  setNoDelay?(isOn: boolean): number;
  getpeername?(result: { address?: string }): number;
  [owner: symbol]: unknown;
}

export interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void;
  /** Keeps the bytes alive until the kernel has them. */
  bytes: Uint8Array | null;
  transport: HandleTransport | null;
}

export interface ShutdownRequest {
  oncomplete: (this: ShutdownRequest, status: number) => void;
  transport: HandleTransport | null;
}

/** What node's net.js is written on. */
interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest;
  readonly ShutdownWrap: new () => ShutdownRequest;
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

export interface Inside {
  readonly WriteWrap: StreamWrap["WriteWrap"];
  readonly ShutdownWrap: StreamWrap["ShutdownWrap"];
  /** Under which a handle carries its socket. */
  readonly ownerSymbol: symbol;
  readonly state: Int32Array;
  readonly readResult: number;
  readonly wasAsync: number;
}

/** What handles inherit from, TCP's and a unix socket's, once looked at. */
const knownPrototypes = new Set<object | null>();

/**
 * Lets `onClient` take the connections that a listening server accepts, as handles, instead of its event `connection`.
 * @param onClient gets the handle, or undefined for one that came and could not be accepted.
 * @returns false when it is not such a server as we know; then nothing has changed.
 */
export function takeClients(server: Server, onClient: (client: object | undefined) => void): boolean {
  const handle: unknown = Reflect.get(server, "_handle");
  if (typeof handle !== "object" || handle === null) return false;
  if (typeof Reflect.get(handle, "onconnection") !== "function") return false;
  return Reflect.set(handle, "onconnection", (_status: number, client: object | undefined) => {
    onClient(client);
  });
}

/** Whether a handle is such as we know. */
export function isStreamHandle(handle: object): handle is StreamHandle {
  const prototype = Reflect.getPrototypeOf(handle);
  if (knownPrototypes.has(prototype)) return true;
  const methods = ["useUserBuffer", "readStart", "readStop", "writeBuffer", "shutdown", "close"];
  if (methods.some((name) => typeof Reflect.get(handle, name) !== "function")) return false;
  knownPrototypes.add(prototype);
  return true;
}

/** What is to be known, looked at through a socket of this process; or why this Node is another. */
export function findInside(socket: Socket): Inside | string {
  // process.binding is deprecated in the documentation only (DEP0111): there is no other way to a WriteWrap.
  const binding: unknown = Reflect.get(process, "binding");
  if (typeof binding !== "function") return "this Node has no process.binding";
  const wrap = Reflect.apply(binding, process, ["stream_wrap"]) as Partial<StreamWrap>;
  const { WriteWrap, ShutdownWrap, streamBaseState, kReadBytesOrError, kLastWriteWasAsync } = wrap;
  if (
    typeof WriteWrap !== "function" ||
    typeof ShutdownWrap !== "function" ||
    !(streamBaseState instanceof Int32Array) ||
    typeof kReadBytesOrError !== "number" ||
    typeof kLastWriteWasAsync !== "number"
  ) {
    return "this Node's stream_wrap is another";
  }
  const handle: unknown = Reflect.get(socket, "_handle");
  const ownerSymbol =
    typeof handle !== "object" || handle === null || !isStreamHandle(handle)
      ? undefined
      : Object.getOwnPropertySymbols(handle).find((each) => handle[each] === socket);
  if (ownerSymbol === undefined) return "this Node's handles carry no owner";
  return {
    WriteWrap,
    ShutdownWrap,
    ownerSymbol,
    state: streamBaseState,
    readResult: kReadBytesOrError,
    wasAsync: kLastWriteWasAsync,
  };
}
