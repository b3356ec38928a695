/**
 * A transport over libuv's handle, below `net.Socket`, for TCP and unix sockets. A connection costs no stream with its
 * two buffers and its listeners, a write no stream machinery and no allocation while the kernel keeps up
 * (docs/benchmarks: P1, P5 and P6). What it needs to know of node's inside is in stream-wrap.ts; it is tried out at the
 * start of a process (handle-trial.ts), and where anything is not as expected everybody gets a StreamTransport.
 */
import { Socket } from "node:net";
import { goneAddress } from "./remote-address.ts";
import {
  isStreamHandle,
  type Inside,
  type ShutdownRequest,
  type StreamHandle,
  type WriteRequest,
} from "./stream-wrap.ts";
import { nobody, type Transport, type TransportOwner } from "./transport.ts";

/** libuv's error number for the end of a stream. */
const endOfStream = -4095;
/** A read takes at most this much; libuv suggests the same. */
const readBytes = 65_536;
/** Null: not to be had, or not tried out yet. */
let inside: Inside | null = null;
/** All handles read into it, one after the other: a chunk is borrowed until `onSocketData` returns. */
const readBuffer = Buffer.allocUnsafeSlow(readBytes);
/** Used again and again until a write needs to keep it. */
let spareRequest: WriteRequest | null = null;
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

/** Whether connections can be served by their handles. */
export function isHandlePathOpen(): boolean {
  return inside !== null;
}

/** For the trial: from now on `HandleTransport.over` works with what was found; null: it never does. */
export function openHandlePath(found: Inside | null): void {
  inside = found;
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
