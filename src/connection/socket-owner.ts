/**
 * Who gets the events of a socket. A socket has one owner at a time (the reader of its head, then the connection), and
 * the same four listener functions for every socket: handing it on is one assignment, and no closure is made per
 * socket. The error listener is there before anything is ever written, so that a reset peer throws nowhere.
 */

import type { Socket } from "node:net";

/** Receives the events of the sockets that it owns. */
export interface SocketOwner {
  /** `chunk` is the owner's to keep or change. */
  onSocketData(chunk: Buffer): void;
  /** The peer sent FIN. Our side stays open until the owner ends it. */
  onSocketEnd(): void;
  /** The socket is gone, whatever happened; the last event. */
  onSocketClose(): void;
}

const owner = Symbol("owner");

declare module "node:net" {
  interface Socket {
    [owner]?: SocketOwner | undefined;
  }
}

/** Makes `next` the owner of `socket` from now on. Sockets must be half-open (`allowHalfOpen`). */
export function ownSocket(socket: Socket, next: SocketOwner): void {
  const isNew = socket[owner] === undefined;
  socket[owner] = next;
  if (!isNew) return;
  socket.on("error", onError);
  socket.on("close", onClose);
  socket.on("end", onEnd);
  socket.on("data", onData);
}

/** Takes our listeners off, for a socket that goes to somebody with listeners of its own. */
export function releaseSocket(socket: Socket): void {
  delete socket[owner];
  socket.off("data", onData);
  socket.off("end", onEnd);
  socket.off("close", onClose);
  socket.off("error", onError);
}

/**
 * Takes the owner's events off a socket that is of no use any more. The listeners stay, and find nobody: taking four
 * off costs as much as reading a head.
 */
export function disownSocket(socket: Socket): void {
  socket[owner] = undefined;
}

function onData(this: Socket, chunk: Buffer): void {
  this[owner]?.onSocketData(chunk);
}

function onEnd(this: Socket): void {
  this[owner]?.onSocketEnd();
}

function onClose(this: Socket): void {
  this[owner]?.onSocketClose();
}

function onError(): void {
  // `close` always follows, and what the error was changes nothing: the peer is gone.
}
