/**
 * How a worker of a cluster accepts. All workers listen at the same sockets and take from the same queue. libuv accepts
 * one connection for each handle in a turn of the event loop, and with a busy hub a turn lasts many milliseconds: so a
 * worker has several handles of each socket. Who has more sockets than its share (primary/accept-shares.ts) lets the
 * others go first: it closes its handles, and listens again a moment later, for a moment and come what may, with copies
 * that it has at hand. So nobody waits for a worker that stands still, nor for the primary.
 */
import type { Server } from "node:net";

import type { ListenerKind } from "../base/worker-messages.ts";
import { asListeningHandle, stopServerHandle, type ListeningHandle } from "./listening-handle.ts";

/** The primary, as far as accepting is concerned. */
export interface AcceptPort {
  /** `FrontDoor.takeListenerHandle` is called once for each, later, or never. */
  wantHandles(kind: ListenerKind, count: number): void;
  /** Called at most every `tellMs`, while connections come, and not for a few of them. */
  tellSockets(count: number): void;
}

/** Connections accepted in one turn at most. */
const activeHandles = 8;
/** At least one, or a worker that stepped back could not come again by itself. */
const spareHandles = 2;
const backlog = 4096;
const stepBackMs = 20;
/** At least so long between two steps back: a herd that only this worker is there for must not wait for one each time. */
const stayMs = 10;
const tellMs = 50;
/**
 * The number of sockets is told when it has changed by more than this since it was told last: a word of it costs both
 * processes about as much as a handshake. Besides, it goes with every sign of life.
 */
const tellStep = 0.02;
const tellSocketsMin = 8;

/** One address at which the worker listens. */
interface Listener {
  readonly kind: ListenerKind;
  readonly server: Server;
  readonly onClient: (client: object | undefined) => void;
  /** The server's own handle is among those that listen. */
  isServerActive: boolean;
  active: ListeningHandle[];
  readonly spare: ListeningHandle[];
  wanted: number;
}

export class Accepting {
  readonly #port: AcceptPort;
  readonly #sockets: () => number;
  readonly #listeners: Listener[] = [];
  #share = Number.POSITIVE_INFINITY;
  #isSteppedBack = false;
  #cameBackMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  #willTell = false;
  #told = 0;

  /** @param sockets how many the worker has open. */
  constructor(port: AcceptPort, sockets: () => number) {
    this.#port = port;
    this.#sockets = sockets;
  }

  /**
   * A server that listens, by way of node:cluster.
   * @param onClient gets what the copies accept, as handles; undefined for what could not be accepted.
   */
  add(kind: ListenerKind, server: Server, onClient: (client: object | undefined) => void): void {
    const listener: Listener = {
      kind,
      server,
      onClient,
      isServerActive: true,
      active: [],
      spare: [],
      wanted: 0,
    };
    this.#listeners.push(listener);
    this.#want(listener);
  }

  /** A copy of the handle of a listener has come. */
  take(kind: ListenerKind, value: unknown): void {
    const handle = asListeningHandle(value);
    const listener = this.#listeners.find((each) => each.kind === kind);
    if (listener !== undefined) listener.wanted -= 1;
    if (handle === null) return;
    if (listener === undefined || this.#isClosed) return handle.close();
    listener.spare.push(handle);
    if (!this.#isSteppedBack) this.#listen(listener);
  }

  /** @param sockets null for as many as come. */
  set share(sockets: number | null) {
    this.#share = sockets ?? Number.POSITIVE_INFINITY;
  }

  /** A connection was accepted. @param sockets that are open now. */
  accepted(sockets: number): void {
    if (
      !this.#willTell &&
      Math.abs(sockets - this.#told) >= Math.max(tellSocketsMin, this.#told * tellStep)
    ) {
      this.#willTell = true;
      setTimeout(() => this.#tell(), tellMs).unref();
    }
    if (sockets <= this.#share || this.#isSteppedBack) return;
    if (performance.now() - this.#cameBackMs >= stayMs) this.#stepBack();
  }

  /** Stops; the servers are closed by whoever opened them. */
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners) {
      for (const handle of [...listener.active, ...listener.spare]) handle.close();
    }
    this.#listeners.length = 0;
  }

  #tell(): void {
    this.#willTell = false;
    if (this.#isClosed) return;
    this.#told = this.#sockets();
    this.#port.tellSockets(this.#told);
  }

  #stepBack(): void {
    // Without a copy at hand it could not come back.
    if (this.#isClosed || this.#listeners.some(({ spare }) => spare.length === 0)) return;
    for (const listener of this.#listeners) {
      if (listener.isServerActive && !stopServerHandle(listener.server)) return;
      listener.isServerActive = false;
    }
    this.#isSteppedBack = true;
    for (const listener of this.#listeners) {
      for (const handle of listener.active) handle.close();
      listener.active = [];
      this.#want(listener);
    }
    setTimeout(() => {
      this.#isSteppedBack = false;
      this.#cameBackMs = performance.now();
      for (const listener of this.#listeners) this.#listen(listener);
    }, stepBackMs);
  }

  /** Lets as many listen as may, and keeps the rest at hand. */
  #listen(listener: Listener): void {
    const { spare, active } = listener;
    while (this.#activeCount(listener) === 0 || spare.length > spareHandles) {
      if (this.#activeCount(listener) >= activeHandles) return;
      const handle = spare.pop();
      if (handle === undefined) return;
      handle.onconnection = (_status, client) => listener.onClient(client);
      if (handle.listen(backlog) === 0) active.push(handle);
      else handle.close();
    }
  }

  #activeCount({ isServerActive, active }: Listener): number {
    return active.length + (isServerActive ? 1 : 0);
  }

  #want(listener: Listener): void {
    const have = this.#activeCount(listener) + listener.spare.length + listener.wanted;
    const count = activeHandles + spareHandles - have;
    if (count <= 0) return;
    listener.wanted += count;
    this.#port.wantHandles(listener.kind, count);
  }
}
