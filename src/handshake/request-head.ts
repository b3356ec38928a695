/**
 * A strict and tiny reader of the head of a WebSocket handshake (RFC 6455 §4.1, RFC 9112 §2–5). It is not an HTTP
 * parser: what is not plainly `GET <path> HTTP/1.1` with well-formed field lines is "other" and belongs, with all its
 * bytes, to a real HTTP server, which knows how to answer it. So nothing here is lenient and nothing here refuses.
 */

import { readFieldLines } from "./field-values.ts";

/** The head of a request, from our reader or from node's `IncomingMessage`. */
export interface RequestHead {
  readonly method: string;
  /** The request target as sent. */
  readonly target: string;
  /** `1.1`, `1.0`. */
  readonly httpVersion: string;
  /** Names and values in turn, order and repetitions kept, as in node's `rawHeaders`. */
  readonly rawHeaders: readonly string[];
}

/** What the bytes so far are. `headBytes` includes the empty line; what follows belongs to the next protocol. */
export type HeadVerdict = "incomplete" | "other" | { readonly head: RequestHead; readonly headBytes: number };

/**
 * Most field lines of a handshake. Browsers send about 15; beyond node's own limit (1,000 or 2,000, by release) it
 * drops lines silently, and a check that a dropped line would have failed must not pass.
 */
export const headerLinesMax = 128;

const method = Buffer.from("GET ");
const headEnd = Buffer.from("\r\n\r\n");
const requestLinePattern = /^GET (\/[\u0021-\u007e]*) HTTP\/1\.1$/;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/**
 * Reads the head of a request from the beginning of a connection.
 * @param bytes all that came so far, borrowed.
 * @param seenBytes how many of them an earlier call has seen, so that a head that comes byte by byte is not searched
 * from its beginning each time.
 * Cost: one scan for the end of the head; then one string of the head and its lines.
 */
export function readRequestHead(bytes: Buffer, seenBytes = 0): HeadVerdict {
  const compared = Math.min(bytes.length, method.length);
  if (bytes.compare(method, 0, compared, 0, compared) !== 0) return "other";
  const end = bytes.indexOf(headEnd, Math.max(0, seenBytes - headEnd.length + 1));
  if (end === -1) {
    // A line that ends in a bare LF tells at once that the end we look for may never come.
    const firstLineEnd = bytes.indexOf(lineFeed);
    return firstLineEnd !== -1 && bytes[firstLineEnd - 1] !== carriageReturn ? "other" : "incomplete";
  }
  const text = bytes.toString("latin1", 0, end);
  const firstLineEnd = text.indexOf("\r\n");
  const requestLine = firstLineEnd === -1 ? text : text.slice(0, firstLineEnd);
  const target = requestLinePattern.exec(requestLine)?.[1];
  if (target === undefined) return "other";
  const fields = firstLineEnd === -1 ? [] : readFieldLines(text.slice(firstLineEnd + 2), headerLinesMax);
  if (fields === null) return "other";
  return {
    head: { method: "GET", target, httpVersion: "1.1", rawHeaders: fields },
    headBytes: end + headEnd.length,
  };
}
