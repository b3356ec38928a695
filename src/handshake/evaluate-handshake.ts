/**
 * Judges the head of an upgrade request by RFC 6455 §4.2.1, whoever parsed it: our own reader, or node:http, whose
 * `upgrade` event checks almost nothing of this. Knows no socket and no route; Origin, paths and limits come after.
 * Looking a name up is always a Map or Set, so that `__proto__` is a name like any other.
 */

import { parseExtensions, type ExtensionOffer } from "./extensions.ts";
import { isToken, listContains, listElements } from "./field-values.ts";
import type { Refusal, RefusalReason } from "./refusal.ts";
import { headerLinesMax, type RequestHead } from "./request-head.ts";

/** What an acceptable handshake asks for. */
export interface Handshake {
  /** Sec-WebSocket-Key as sent. */
  readonly key: string;
  /** Percent-decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly host: string;
  /** Null when there is none: the peer is not a browser. */
  readonly origin: string | null;
  /** In the client's order of preference. */
  readonly subprotocols: readonly string[];
  readonly extensions: readonly ExtensionOffer[];
  /** By lower-case name; repeated lines joined with `, `, cookies with `; `. */
  readonly headers: ReadonlyMap<string, string>;
}

// Fields of which a second line would let two readers of the same request disagree.
const singletons: ReadonlySet<string> = new Set([
  "authorization",
  "content-length",
  "host",
  "origin",
  "sec-websocket-key",
  "sec-websocket-version",
]);

/**
 * RFC 3986 §3.2.2 without the comma, which a reg-name may have and no name of a host has: two Host lines that somebody
 * joined look so.
 */
const hostPattern = /^(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9.\-_~!$&'()*+;=]|%[0-9A-Fa-f]{2})+)(?::(\d{0,5}))?$/;
const portMax = 65_535;
const absoluteFormPattern = /^https?:\/\/([^/?]*)(\/.*)?$/i;
const originFormPattern = /^\/[\u0021-\u007e]*$/;
// RFC 6455 §4.1: 16 bytes in base64. The last character may carry bits beyond the 16th byte: the RFC's own example
// (AQIDBAUGBwgJCgsMDQ4PEC==) does.
const keyPattern = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Accepts a handshake or says how to refuse it. Never throws, whatever the peer sent.
 * Cost: linear in the head.
 */
export function evaluateHandshake(head: RequestHead): Handshake | Refusal {
  const { rawHeaders } = head;
  // RFC 6455 §4.2.1: "An HTTP/1.1 or higher GET request".
  if (head.method !== "GET") {
    return refuse(405, "bad_method", "a WebSocket handshake is a GET request", { Allow: "GET" });
  }
  // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request."
  if (head.httpVersion !== "1.1") {
    return refuse(400, "bad_http_version", "a WebSocket handshake is an HTTP/1.1 request");
  }
  if (rawHeaders.length > headerLinesMax * 2) {
    return refuse(431, "too_many_headers", `a handshake has at most ${headerLinesMax} header lines`);
  }
  const headers = collectHeaders(rawHeaders);
  if (headers === null) {
    return refuse(
      400,
      "duplicate_header",
      "Host, Origin, Authorization, Sec-WebSocket-Key and Sec-WebSocket-Version may stand once each",
    );
  }
  if (hasBody(headers)) return refuse(400, "unexpected_body", "a WebSocket handshake has no body");
  return evaluateHeaders(head.target, headers);
}

/** The first of the client's subprotocols that is ours, or null: then none is named and none is in use. */
export function chooseSubprotocol(offered: readonly string[], ours: readonly string[]): string | null {
  return offered.find((name) => ours.includes(name)) ?? null;
}

/** Whether the Upgrade field asks for a WebSocket; if not, the field is to be ignored (RFC 9110 §7.8). */
export function asksForWebSocket(upgrade: string): boolean {
  return listContains(upgrade, "websocket");
}

/** Whether a Host field names one host, with or without a port. An empty one names none. */
export function isHost(host: string): boolean {
  const match = hostPattern.exec(host);
  return match !== null && Number(match[1] ?? 0) <= portMax;
}

/** Tells the two outcomes of `evaluateHandshake` apart. */
export function isRefusal(outcome: object): outcome is Refusal {
  return "status" in outcome;
}

function evaluateHeaders(target: string, headers: ReadonlyMap<string, string>): Handshake | Refusal {
  const host = headers.get("host");
  // RFC 9112 §3.2: 400 for a request "that lacks a Host header field", or has an invalid one.
  if (host === undefined || !isHost(host)) {
    return refuse(400, "bad_host", "Host must be one host name or address with an optional port");
  }
  const resource = readTarget(target, host);
  if (resource === null) {
    return refuse(400, "bad_target", "the request target must be a path with well-formed percent-encoding");
  }
  // RFC 6455 §4.2.1: "An |Upgrade| header field containing the value "websocket", treated as an ASCII
  // case-insensitive value", and "A |Connection| header field that includes the token "Upgrade"".
  if (
    !asksForWebSocket(headers.get("upgrade") ?? "") ||
    !listContains(headers.get("connection") ?? "", "upgrade")
  ) {
    return refuse(400, "bad_upgrade", "Upgrade must name websocket and Connection must name upgrade");
  }
  // RFC 6455 §4.4: "it MUST respond with a |Sec-WebSocket-Version| header field".
  if (headers.get("sec-websocket-version") !== "13") {
    return refuse(426, "bad_version", "Sec-WebSocket-Version must be 13", {
      "Sec-WebSocket-Version": "13",
      Upgrade: "websocket",
    });
  }
  const key = headers.get("sec-websocket-key");
  if (key === undefined || !keyPattern.test(key)) {
    return refuse(400, "bad_key", "Sec-WebSocket-Key must be 16 bytes in base64");
  }
  const subprotocols = readSubprotocols(headers.get("sec-websocket-protocol"));
  if (subprotocols === null) {
    return refuse(400, "bad_subprotocol", "Sec-WebSocket-Protocol must be a list of different tokens");
  }
  const offered = headers.get("sec-websocket-extensions");
  const extensions = offered === undefined ? [] : parseExtensions(offered);
  if (extensions === null) {
    return refuse(400, "bad_extensions", "Sec-WebSocket-Extensions must follow RFC 6455 section 9.1");
  }
  const origin = headers.get("origin") ?? null;
  return { key, path: resource.path, query: resource.query, host, origin, subprotocols, extensions, headers };
}

/** Joins repeated lines; null when one of `singletons` is repeated. */
function collectHeaders(rawHeaders: readonly string[]): Map<string, string> | null {
  const headers = new Map<string, string>();
  let name = "";
  for (const [index, text] of rawHeaders.entries()) {
    if (index % 2 === 0) {
      name = text.toLowerCase();
      continue;
    }
    const earlier = headers.get(name);
    if (earlier === undefined) headers.set(name, text);
    else if (singletons.has(name)) return null;
    else headers.set(name, `${earlier}${name === "cookie" ? "; " : ", "}${text}`);
  }
  return headers;
}

function hasBody(headers: ReadonlyMap<string, string>): boolean {
  const contentLength = headers.get("content-length");
  return headers.has("transfer-encoding") || (contentLength !== undefined && !/^0+$/.test(contentLength));
}

/** Path and query of a request target; null when it is neither origin-form nor our own absolute-form. */
function readTarget(target: string, host: string): { path: string; query: URLSearchParams } | null {
  let resource = target;
  // RFC 9112 §3.2.2: "a server MUST accept the absolute-form in requests". One whose authority is not Host is
  // refused: the two would be judged by different readers.
  const absolute = absoluteFormPattern.exec(target);
  if (absolute !== null) {
    if (absolute[1]?.toLowerCase() !== host.toLowerCase()) return null;
    resource = absolute[2] ?? "/";
  }
  if (!originFormPattern.test(resource) || resource.includes("#")) return null;
  const mark = resource.indexOf("?");
  const encodedPath = mark === -1 ? resource : resource.slice(0, mark);
  let path = encodedPath;
  if (encodedPath.includes("%")) {
    try {
      path = decodeURIComponent(encodedPath);
    } catch {
      return null;
    }
  }
  return { path, query: new URLSearchParams(mark === -1 ? "" : resource.slice(mark + 1)) };
}

/** RFC 6455 §4.1: "The elements that comprise this value MUST be non-empty strings … and MUST all be unique". */
function readSubprotocols(value: string | undefined): string[] | null {
  if (value === undefined) return [];
  const names = listElements(value);
  const isGood =
    names.length > 0 && names.every((name) => isToken(name)) && new Set(names).size === names.length;
  return isGood ? names : null;
}

function refuse(
  status: number,
  reason: RefusalReason,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Refusal {
  return { status, reason, message, headers };
}
