/**
 * Keeps one WebSocket alive: connects, watches for silence, comes back after a loss, stops where the server says so.
 * Knows nothing of topics or commands; `tapecast-client.ts` speaks the protocol over it.
 */
import { closeCodes, mayReconnect } from "../protocol/close-codes.ts";
import { backoffMs, welcomedMaxMs } from "./backoff.ts";
import type { After, CloseLike, WebSocketFactory, WebSocketLike } from "./environment.ts";

/** An attempt that has not opened after this long is given up: a black-holed SYN takes browsers two minutes. */
const connectTimeoutMs = 10_000;
/** A connection that stayed open this long ends a series of failed attempts. */
const stableAfterMs = 5_000;
/** How long a server may take to answer the ping that follows silence. */
const pingTimeoutMs = 8_000;

/** What a page shows of the connection. `code` 1006 stands for a loss without a closing handshake. */
export type LinkStatus =
  | { readonly state: "connecting"; readonly attempt: number }
  | { readonly state: "open" }
  | { readonly state: "waiting"; readonly retryInMs: number; readonly code: number; readonly reason: string }
  | { readonly state: "stopped"; readonly code: number; readonly reason: string };

/** Where the link reports to. Never called from within the link's own methods except `onStatus` and `onDown`. */
export interface LinkListener {
  /** A new connection is open: nothing of the one before is known to the server. */
  onOpen(): void;
  onText(text: string): void;
  /** The connection is gone; what was asked on it gets no answer. Once per `onOpen`. */
  onDown(): void;
  /** Nothing was heard for one heartbeat: ask for a sign of life. */
  onQuiet(): void;
  onStatus(status: LinkStatus): void;
}

export interface LinkEnvironment {
  readonly webSocket: WebSocketFactory;
  readonly after: After;
  /** A number in [0, 1). */
  readonly die: () => number;
}

export class Link {
  readonly #environment: LinkEnvironment;
  readonly #address: () => string;
  readonly #listener: LinkListener;
  #socket: WebSocketLike | null = null;
  #isOpen = false;
  #attempt = 0;
  #heard = false;
  /** The server has said on this connection that it serves us. */
  #isWelcome = false;
  /** A wait is under way that this side chose. */
  #isBackingOff = false;
  /** The wait that the server asked for in `closing`, used once. */
  #askedDelayMs: number | null = null;
  #cancelConnect: () => void = doNothing;
  #cancelStable: () => void = doNothing;
  #cancelHeartbeat: () => void = doNothing;

  /** @param address asked anew for each attempt, since a token in it may have changed. */
  constructor(environment: LinkEnvironment, address: () => string, listener: LinkListener) {
    this.#environment = environment;
    this.#address = address;
    this.#listener = listener;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Connects unless a connection is open or being made; also ends a wait, and a stop. */
  connect(): void {
    if (this.#socket !== null) return;
    this.#isWelcome = false;
    this.#isBackingOff = false;
    this.#cancelConnect();
    this.#listener.onStatus({ state: "connecting", attempt: this.#attempt });
    let socket: WebSocketLike;
    try {
      socket = this.#environment.webSocket(this.#address());
    } catch (error) {
      // The address itself is refused (a wrong scheme, mixed content): trying again would change nothing.
      this.#stop(1006, error instanceof Error ? error.message : "cannot connect");
      return;
    }
    this.#socket = socket;
    this.#cancelConnect = this.#environment.after(connectTimeoutMs, () => {
      this.#drop(socket, 1006, "no answer");
    });
    socket.addEventListener("open", () => this.#opened(socket));
    socket.addEventListener("message", (event) => {
      if (this.#socket !== socket || typeof event.data !== "string") return;
      this.#heard = true;
      this.#listener.onText(event.data);
    });
    // A close event always follows and says as much as a page may know; `ws` throws where nobody listens.
    socket.addEventListener("error", doNothing);
    socket.addEventListener("close", (event: CloseLike) => {
      if (this.#socket === socket) this.#ended(event.code, event.reason);
    });
  }

  /** @returns false when there is no open connection: nothing was sent. */
  send(text: string): boolean {
    if (!this.#isOpen || this.#socket === null) return false;
    this.#socket.send(text);
    return true;
  }

  /** The server serves us; starts the watch as `watch` does. */
  welcomed(heartbeatMs: number): void {
    this.#isWelcome = true;
    this.watch(heartbeatMs);
  }

  /** The network is back: a wait that this side chose is over. One that the server asked for is not. */
  hurry(): void {
    if (!this.#isBackingOff) return;
    this.#attempt = 0;
    this.connect();
  }

  /** Starts the watch: after `intervalMs` of silence the listener asks, after a further wait the link is given up. */
  watch(intervalMs: number): void {
    this.#cancelHeartbeat();
    const socket = this.#socket;
    if (socket === null || !(intervalMs > 0)) return;
    this.#heard = false;
    this.#cancelHeartbeat = this.#environment.after(intervalMs, () => {
      if (this.#heard) {
        this.watch(intervalMs);
        return;
      }
      this.#listener.onQuiet();
      this.#cancelHeartbeat = this.#environment.after(Math.min(intervalMs, pingTimeoutMs), () => {
        if (this.#heard) this.watch(intervalMs);
        else this.#drop(socket, 1006, "silence");
      });
    });
  }

  /** The next wait is `delayMs` and not the backoff's: the server has spread its clients itself. */
  comeBackAfter(delayMs: number): void {
    this.#askedDelayMs = delayMs;
  }

  /** Gives the present connection up, if there is one, and makes a new one after `delayMs`. */
  reconnect(delayMs: number): void {
    this.#askedDelayMs = delayMs;
    if (this.#socket === null) this.#wait(1000, "");
    else this.#drop(this.#socket, 1000, "");
  }

  /** Ends it. `connect` begins anew. */
  close(): void {
    const socket = this.#socket;
    this.#stop(1000, "");
    socket?.close(1000);
  }

  #opened(socket: WebSocketLike): void {
    if (this.#socket !== socket) {
      socket.close(1000);
      return;
    }
    this.#cancelConnect();
    this.#isOpen = true;
    this.#cancelStable = this.#environment.after(stableAfterMs, () => {
      this.#attempt = 0;
    });
    this.#listener.onStatus({ state: "open" });
    this.#listener.onOpen();
  }

  /** Does not wait for the close event: on a dead network it comes minutes later or never. */
  #drop(socket: WebSocketLike, code: number, reason: string): void {
    if (this.#socket !== socket) return;
    this.#ended(code, reason);
    socket.close(1000);
  }

  #ended(code: number, reason: string): void {
    if (mayReconnect(code)) this.#wait(code, reason);
    else this.#stop(code, reason);
  }

  #wait(code: number, reason: string): void {
    this.#down();
    // Who was told that the server has too much to do keeps away longer, welcome or not.
    const maxMs = this.#isWelcome && code !== closeCodes.overloaded ? welcomedMaxMs : undefined;
    const retryInMs = this.#askedDelayMs ?? backoffMs(this.#attempt, this.#environment.die(), maxMs);
    this.#isBackingOff = this.#askedDelayMs === null;
    this.#askedDelayMs = null;
    this.#attempt += 1;
    this.#cancelConnect = this.#environment.after(retryInMs, () => this.connect());
    this.#listener.onStatus({ state: "waiting", retryInMs, code, reason });
  }

  #stop(code: number, reason: string): void {
    this.#down();
    this.#attempt = 0;
    this.#askedDelayMs = null;
    this.#isBackingOff = false;
    this.#listener.onStatus({ state: "stopped", code, reason });
  }

  #down(): void {
    const wasOpen = this.#isOpen;
    this.#socket = null;
    this.#isOpen = false;
    this.#cancelConnect();
    this.#cancelStable();
    this.#cancelHeartbeat();
    if (wasOpen) this.#listener.onDown();
  }
}

function doNothing(): void {}
