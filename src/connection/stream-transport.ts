/**
 * A transport over node's public stream interface: for TLS, for sockets that node:http had before, and wherever the
 * handle path is not to be had. All sockets have the same listener functions, so that no closure is made per socket.
 * The error listener is there before anything is ever written, so that a reset peer throws nowhere.
 */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { remoteAddressOf } from "./remote-address.ts";
import { nobody, type Transport, type TransportOwner } from "./transport.ts";
import { writeProgress } from "./write-progress.ts";

const nothing = Buffer.alloc(0);
const transportOf = Symbol("transport");

declare module "node:net" {
  interface Socket {
    [transportOf]?: StreamTransport | undefined;
  }
}

/**
 * On TCP and unix sockets node tries each write at once, so nothing pending right after it means taken. Node's TLS
 * reports a write one turn of the event loop later, even when the kernel took it at once; there a write counts as taken
 * when everything before it was. What a frozen reader can pile up that way is one write.
 */
export class StreamTransport implements Transport {
  owner: TransportOwner = nobody;
  readonly isEncrypted: boolean;
  readonly #socket: Socket;
  #onTaken: ((error?: Error | null) => void) | null = null;
  #isWaiting = false;

  /** @param socket with `allowHalfOpen`, in no one else's hands. */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.isEncrypted = socket instanceof TLSSocket;
    socket[transportOf] = this;
    socket.on("error", onError);
    socket.on("close", onClose);
    socket.on("end", onEnd);
    socket.on("data", onData);
  }

  get remoteAddress(): string {
    return remoteAddressOf(this.#socket);
  }

  write(bytes: Uint8Array): boolean {
    this.#socket.write(bytes);
    const pendingBytes = this.#socket.writableLength;
    if (pendingBytes === 0 || (this.isEncrypted && pendingBytes === bytes.length)) return true;
    if (!this.#isWaiting) this.#wait();
    return false;
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  get progress(): number {
    return writeProgress(this.#socket);
  }

  get sentBytes(): number {
    return this.#socket.bytesWritten;
  }

  get receivedBytes(): number {
    return this.#socket.bytesRead;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    const socket = this.#socket;
    const mayReset = socket.writableLength > 0 && !this.isEncrypted && !socket.destroyed;
    // Only TCP has resets.
    if (mayReset && socket.remoteAddress !== undefined) socket.resetAndDestroy();
    else socket.destroy();
  }

  release(): Socket {
    const socket = this.#socket;
    delete socket[transportOf];
    socket.off("data", onData);
    socket.off("end", onEnd);
    socket.off("close", onClose);
    socket.off("error", onError);
    return socket;
  }

  /**
   * An empty write behind what is pending tells when it is taken. (`drain` only comes for more than the high-water
   * mark, and a callback on every write would cost each of them a turn of the next-tick queue.)
   */
  #wait(): void {
    this.#isWaiting = true;
    this.#onTaken ??= (error) => this.#taken(error);
    this.#socket.write(nothing, this.#onTaken);
  }

  #taken(error: Error | null | undefined): void {
    this.#isWaiting = false;
    if ((error !== null && error !== undefined) || this.#socket.destroyed) return;
    if (this.#socket.writableLength > 0) this.#wait();
    else this.owner.onSocketTaken();
  }
}

function onData(this: Socket, chunk: Buffer): void {
  this[transportOf]?.owner.onSocketData(chunk);
}

function onEnd(this: Socket): void {
  this[transportOf]?.owner.onSocketEnd();
}

function onClose(this: Socket): void {
  this[transportOf]?.owner.onSocketClose();
}

function onError(): void {
  // `close` always follows, and what the error was changes nothing: the peer is gone.
}
