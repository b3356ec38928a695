/**
 * A transport over libuv's handle, below `net.Socket`, for TCP and unix sockets. A connection costs no stream with its
 * two buffers and its listeners, a write no stream machinery and no allocation while the kernel keeps up
 * (docs/benchmarks: P1, P5 and P6). This file alone knows node's inside: `stream_wrap`, which net.js is written on, and
 * the owner that a handle carries. What it uses has been the same from Node 20 to 26; it is tried out at the start of a
 * process, on sockets of its own, and where anything is not as expected everybody gets a StreamTransport.
 */
import { createServer, connect, Socket, type Server } from "node:net";
import { once } from "node:events";
import { goneAddress } from "./remote-address.ts";
import { nobody, type Transport, type TransportOwner } from "./transport.ts";

/** libuv's error number for the end of a stream. */
const endOfStream = -4095;
/** A read takes at most this much; libuv suggests the same. */
const readBytes = 65_536;
/** A piece of what is written until the kernel takes no more, and how many pieces are tried. */
const floodBytes = 1024 * 1024;
const floodPiecesMax = 64;
const probeTimeoutMs = 2000;

/** A libuv stream as node wraps it. */
interface StreamHandle {
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

interface WriteRequest {
  oncomplete: (this: WriteRequest, status: number) => void;
  /** Keeps the bytes alive until the kernel has them. */
  bytes: Uint8Array | null;
  transport: HandleTransport | null;
}

interface ShutdownRequest {
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

interface Inside {
  readonly WriteWrap: StreamWrap["WriteWrap"];
  readonly ShutdownWrap: StreamWrap["ShutdownWrap"];
  /** Under which a handle carries its socket. */
  readonly ownerSymbol: symbol;
  readonly state: Int32Array;
  readonly readResult: number;
  readonly wasAsync: number;
}

/** Null: not to be had, or not tried out yet. */
let inside: Inside | null = null;
/** All handles read into it, one after the other: a chunk is borrowed until `onSocketData` returns. */
const readBuffer = Buffer.allocUnsafeSlow(readBytes);
/** Used again and again until a write needs to keep it. */
let spareRequest: WriteRequest | null = null;
/** What handles inherit from, TCP's and a unix socket's, once looked at. */
const knownPrototypes = new Set<object | null>();

/** See the file head. Made by `over`. */
export class HandleTransport implements Transport {
  owner: TransportOwner = nobody;
  #handle: StreamHandle | null;
  #pendingWrites = 0;
  #isEnding = false;
  #isOurSideDone = false;
  #isPeerDone = false;

  /**
   * @param client the handle of an accepted connection, as a listening handle gives it, in no one else's hands.
   * @returns null: not possible with this one, which is left alone.
   */
  static over(client: object): HandleTransport | null {
    if (inside === null || !isStreamHandle(client)) return null;
    const transport = new HandleTransport(client);
    client[inside.ownerSymbol] = transport;
    client.onread = onRead;
    client.useUserBuffer(readBuffer);
    client.setNoDelay?.(true);
    // Other than 0: gone already.
    if (client.readStart() !== 0) transport.destroy();
    return transport;
  }

  private constructor(handle: StreamHandle) {
    this.#handle = handle;
  }

  get isEncrypted(): boolean {
    return false;
  }

  get remoteAddress(): string {
    const handle = this.#handle;
    if (handle === null) return goneAddress;
    if (handle.getpeername === undefined) return "";
    const peer: { address?: string } = {};
    return handle.getpeername(peer) === 0 ? (peer.address ?? goneAddress) : goneAddress;
  }

  /** Cost: one system call; no allocation while the kernel takes everything. */
  write(bytes: Uint8Array): boolean {
    const handle = this.#handle;
    if (handle === null || inside === null) return false;
    const request = (spareRequest ??= new inside.WriteWrap());
    if (handle.writeBuffer(request, bytes) !== 0) {
      this.destroy();
      return false;
    }
    if (inside.state[inside.wasAsync] === 0) return this.#pendingWrites === 0;
    spareRequest = null;
    request.bytes = bytes;
    request.transport = this;
    request.oncomplete = onWritten;
    this.#pendingWrites += 1;
    return false;
  }

  get pendingBytes(): number {
    return this.#handle?.writeQueueSize ?? 0;
  }

  get progress(): number {
    // What it was given, also while nothing is taken, less what waits.
    return this.sentBytes - this.pendingBytes;
  }

  get sentBytes(): number {
    return this.#handle?.bytesWritten ?? 0;
  }

  get receivedBytes(): number {
    return this.#handle?.bytesRead ?? 0;
  }

  pause(): void {
    this.#handle?.readStop();
  }

  resume(): void {
    this.#handle?.readStart();
  }

  end(): void {
    if (this.#handle === null || this.#isEnding) return;
    this.#isEnding = true;
    // Not before everything is taken: a handle that waits to be shut down cannot be reset.
    if (this.#pendingWrites === 0) this.#shutDown();
  }

  destroy(): void {
    const handle = this.#handle;
    if (handle === null) return;
    this.#handle = null;
    if (this.#pendingWrites > 0 && handle.reset !== undefined && handle.reset(onClosed) === 0) return;
    handle.close(onClosed);
  }

  /** The socket reads on into the shared buffer, and copies: what it is given of a stream is its owner's for ever. */
  release(): Socket {
    const handle = this.#handle;
    this.#handle = null;
    this.owner = nobody;
    // It must not read before the socket does, which would find it reading already.
    handle?.readStop();
    return new Socket({
      handle,
      allowHalfOpen: true,
      readable: true,
      writable: true,
      onread: { buffer: readBuffer, callback: pushCopy },
    } as object);
  }

  /** For the handle. */
  readDone(result: number): void {
    if (result > 0) this.owner.onSocketData(readBuffer.subarray(0, result));
    else if (result === endOfStream) {
      this.#isPeerDone = true;
      if (this.#isOurSideDone) this.destroy();
      else this.owner.onSocketEnd();
    } else if (result < 0) this.destroy();
  }

  /** For a request. */
  writeDone(status: number): void {
    this.#pendingWrites -= 1;
    if (this.#handle === null) return;
    if (status < 0) this.destroy();
    else if (this.#pendingWrites === 0) {
      if (this.#isEnding) this.#shutDown();
      else this.owner.onSocketTaken();
    }
  }

  /** For a request. */
  shutDownDone(): void {
    this.#ourSideDone();
  }

  /** For the handle. */
  closed(): void {
    this.owner.onSocketClose();
  }

  #shutDown(): void {
    if (this.#handle === null || inside === null) return;
    const request = new inside.ShutdownWrap();
    request.transport = this;
    request.oncomplete = onShutDown;
    // Other than 0: done at once, or the peer is gone already.
    if (this.#handle.shutdown(request) !== 0) this.#ourSideDone();
  }

  #ourSideDone(): void {
    this.#isOurSideDone = true;
    if (this.#isPeerDone) this.destroy();
  }
}

/** Whether connections can be served by their handles: after `probeHandleTransport` has resolved to null. */
export function isHandlePathOpen(): boolean {
  return inside !== null;
}

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

/**
 * Tries the handle path out on sockets of this process: that bytes arrive in order, that a write that the kernel does
 * not take is told so and completes, that the end arrives. Afterwards `HandleTransport.over` works, or never does.
 * @returns null, or why it is not to be had.
 */
export async function probeHandleTransport(): Promise<string | null> {
  const server = createServer({ allowHalfOpen: true });
  const sockets: Socket[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    // Exclusive: the primary of a cluster would hand its connections to other workers.
    server.listen({ port: 0, host: "127.0.0.1", exclusive: true });
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") return "no address to try it on";
    const open = (): Socket => {
      const peer = connect({ port: address.port, host: "127.0.0.1", allowHalfOpen: true });
      sockets.push(peer);
      return peer;
    };
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve("it does not do what it should"), probeTimeoutMs);
    });
    const accepted = once(server, "connection");
    open();
    // By its type: the event's first argument.
    const [socket] = (await accepted) as [Socket];
    sockets.push(socket);
    const found = findInside(socket);
    if (typeof found === "string") return found;
    inside = found;
    const client = new Promise<object | undefined>((resolve) => {
      if (!takeClients(server, resolve)) resolve(undefined);
    });
    const problem = await Promise.race([tryOut(client, open()), late]);
    if (problem !== null) inside = null;
    return problem;
  } catch (error) {
    inside = null;
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/** Writes a little, then more than the kernel takes; the peer answers with a word and its end. */
async function tryOut(client: Promise<object | undefined>, peer: Socket): Promise<string | null> {
  let wasTaken = false;
  const heard: string[] = [];
  const taken = HandleTransport.over((await client) ?? {});
  if (taken === null) return "a server gives no handles that could be taken";
  const closed = new Promise<void>((resolve) => {
    taken.owner = {
      onSocketData: (chunk) => void heard.push(chunk.toString("latin1")),
      onSocketEnd: () => taken.end(),
      onSocketClose: resolve,
      onSocketTaken: () => {
        wasTaken = true;
      },
    };
  });
  if (taken.remoteAddress !== "127.0.0.1") return "the peer's address is not told";
  if (!taken.write(Buffer.from("a"))) return "a write does not say that it was taken";
  const flood = Buffer.alloc(floodBytes, "b");
  let writtenBytes = 1;
  let isTaken = true;
  for (let piece = 0; piece < floodPiecesMax && isTaken; piece += 1) {
    isTaken = taken.write(flood);
    writtenBytes += floodBytes;
  }
  if (isTaken) return "a write does not say that it was not taken";
  if (taken.pendingBytes <= 0) return "what is pending is not told";
  let receivedBytes = 0;
  let isInOrder = true;
  peer.on("data", (chunk) => {
    if (receivedBytes === 0) isInOrder &&= chunk[0] === 0x61;
    receivedBytes += chunk.length;
    if (receivedBytes === writtenBytes) peer.end("bye");
  });
  await closed;
  if (!wasTaken) return "it is not told when everything was taken";
  if (receivedBytes !== writtenBytes || !isInOrder) return "bytes do not arrive as they were written";
  return heard.join("") === "bye" ? null : "bytes are not read as they were sent";
}

function onRead(this: StreamHandle): void {
  if (inside === null) return;
  // Put there by `over`.
  const transport = this[inside.ownerSymbol] as HandleTransport;
  transport.readDone(inside.state[inside.readResult] ?? 0);
}

function onWritten(this: WriteRequest, status: number): void {
  const { transport } = this;
  this.transport = null;
  this.bytes = null;
  transport?.writeDone(status);
}

function onShutDown(this: ShutdownRequest): void {
  this.transport?.shutDownDone();
  this.transport = null;
}

function onClosed(this: StreamHandle): void {
  if (inside === null) return;
  const transport = this[inside.ownerSymbol] as HandleTransport | undefined;
  this[inside.ownerSymbol] = undefined;
  transport?.closed();
}

/** How a released socket reads. */
function pushCopy(this: Socket, bytes: number, buffer: Uint8Array): boolean {
  return this.push(Buffer.from(buffer.subarray(0, bytes)));
}

/** Whether a handle is such as we know. */
function isStreamHandle(handle: object): handle is StreamHandle {
  const prototype = Reflect.getPrototypeOf(handle);
  if (knownPrototypes.has(prototype)) return true;
  const methods = ["useUserBuffer", "readStart", "readStop", "writeBuffer", "shutdown", "close"];
  if (methods.some((name) => typeof Reflect.get(handle, name) !== "function")) return false;
  knownPrototypes.add(prototype);
  return true;
}

function findInside(socket: Socket): Inside | string {
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
