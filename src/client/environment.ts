/**
 * What the client needs of its surroundings: a WebSocket, a timer, a die. Declared here and not taken from the DOM,
 * so that the same modules run in a browser, in Node (with the `ws` package or its own WebSocket) and under a test's
 * fake clock.
 */
import { subprotocolName } from "../protocol/messages.ts";

/** The few members of a WebSocket that are used. The browser's, Node's and the `ws` package's all fit. */
export interface WebSocketLike {
  addEventListener(type: "open", listener: () => void): void;
  addEventListener(type: "message", listener: (event: MessageLike) => void): void;
  addEventListener(type: "close", listener: (event: CloseLike) => void): void;
  addEventListener(type: "error", listener: () => void): void;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

/** A message event. `data` is a string for text messages, the only kind that the protocol uses. */
export interface MessageLike {
  readonly data: unknown;
}

/** A close event: 1006 where the connection ended without a closing handshake. */
export interface CloseLike {
  readonly code: number;
  readonly reason: string;
}

/** Makes a WebSocket that begins to connect at once. May throw where the address is not one. */
export type WebSocketFactory = (url: string) => WebSocketLike;

/** Calls `callback` once after `delayMs`, unless the returned function was called before. */
export type After = (delayMs: number, callback: () => void) => () => void;

/** Timers of the platform. */
export const systemAfter: After = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/** Calls `callback` each time the network is back. */
export type Online = (callback: () => void) => void;

/** The browser's word on it; Node has none. */
export const systemOnline: Online = (callback) => {
  const platform: PlatformGlobals = globalThis;
  platform.addEventListener?.("online", callback);
};

interface PlatformGlobals {
  readonly setTimeout: unknown;
  readonly addEventListener?: (type: "online", listener: () => void) => void;
  readonly WebSocket?: new (url: string, protocol: string) => WebSocketLike;
}

/** The platform's own WebSocket, with the subprotocol of docs/PROTOCOL.md. @throws Error where there is none. */
export const systemWebSocket: WebSocketFactory = (url) => {
  const platform: PlatformGlobals = globalThis;
  if (platform.WebSocket === undefined) throw new Error("no WebSocket here: pass options.webSocket");
  return new platform.WebSocket(url, subprotocolName);
};
