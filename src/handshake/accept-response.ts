/**
 * The answer that makes a connection a WebSocket (RFC 6455 §4.2.2).
 */

import { hash } from "node:crypto";

import { invariant } from "../base/errors.ts";

// RFC 6455 §1.3.
const keySuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const linePattern = /^[\t\u0020-\u007e]*$/;

/** The value of Sec-WebSocket-Accept: base64 of the SHA-1 of the key and the constant of RFC 6455 §1.3. */
export function acceptKey(key: string): string {
  return hash("sha1", key + keySuffix, "base64");
}

/**
 * The bytes of the 101 response.
 * @param key of an accepted handshake.
 * @param subprotocol one of ours that the client offered, or null. RFC 6455 §4.1: a client fails the connection when
 * the answer names a subprotocol that it did not ask for.
 * @param headers further lines; values of ours, never a peer's.
 */
export function acceptResponse(
  key: string,
  subprotocol: string | null,
  headers: Readonly<Record<string, string>> = {},
): Buffer {
  let text =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    `Sec-WebSocket-Accept: ${acceptKey(key)}\r\n`;
  if (subprotocol !== null) text += `Sec-WebSocket-Protocol: ${subprotocol}\r\n`;
  for (const [name, value] of Object.entries(headers)) {
    invariant(linePattern.test(value), "a header value of the 101 response is visible ASCII");
    text += `${name}: ${value}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, "latin1");
}
