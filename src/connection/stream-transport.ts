/** A transport over node's public stream interface: for TLS, and wherever the handle path is not to be had. */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { ownSocket } from "./socket-owner.ts";
import type { Transport, TransportOwner } from "./transport.ts";
import { writeProgress } from "./write-progress.ts";

const nothing = Buffer.alloc(0);

/**
 * On TCP and unix sockets node tries each write at once, so nothing pending right after it means taken. Node's TLS
 * reports a write one turn of the event loop later, even when the kernel took it at once; there a write counts as taken
 * when everything before it was. What a frozen reader can pile up that way is one write.
 */
export class StreamTransport implements Transport {
  readonly #socket: Socket;
  readonly #owner: TransportOwner;
  readonly #isTls: boolean;
  #onTaken: ((error?: Error | null) => void) | null = null;
  #isWaiting = false;

  /** @param socket with `allowHalfOpen`. */
  constructor(socket: Socket, owner: TransportOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#isTls = socket instanceof TLSSocket;
    ownSocket(socket, owner);
  }

  write(bytes: Uint8Array): boolean {
    this.#socket.write(bytes);
    const pendingBytes = this.#socket.writableLength;
    if (pendingBytes === 0 || (this.#isTls && pendingBytes === bytes.length)) return true;
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
    const isTcp = !this.#isTls && socket.remoteAddress !== undefined;
    if (socket.writableLength > 0 && isTcp && !socket.destroyed) socket.resetAndDestroy();
    else socket.destroy();
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
    else this.#owner.onSocketTaken();
  }
}
