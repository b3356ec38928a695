/**
 * Why a connection was not upgraded: a closed list, since the reasons are metric labels and error codes. The body of
 * every refusal says what is wrong and what would be right, never what the peer sent.
 */

import { STATUS_CODES } from "node:http";

/** Every reason, those of the front door and of its limits included. */
export const refusalReasons = [
  "bad_method",
  "bad_http_version",
  "bad_target",
  "bad_host",
  "bad_upgrade",
  "bad_version",
  "bad_key",
  "bad_subprotocol",
  "bad_extensions",
  "duplicate_header",
  "too_many_headers",
  "unexpected_body",
  "origin",
  "not_found",
  "bad_topic",
  "unknown_topic",
  "head_timeout",
  "head_too_large",
  "pipelined",
  "connections",
  "connections_per_address",
  "handshake_rate",
  "handshake_rate_per_address",
  "work_per_address",
  "draining",
  "sockets",
  "tls",
] as const;

/** One of `refusalReasons`; also the `code` of the error body. */
export type RefusalReason = (typeof refusalReasons)[number];

/** The answer instead of 101. */
export interface Refusal {
  readonly status: number;
  readonly reason: RefusalReason;
  /** For a person: what is wrong and what would be right. A constant. */
  readonly message: string;
  /** Further header lines, names and values; constants. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The bytes of a refusal, `{"error":{"code","message"}}`. The connection closes behind it: a proxy that ignores the
 * status of a refused upgrade would otherwise tunnel what follows.
 */
export function refusalResponse(refusal: Refusal): Buffer {
  const body = `${JSON.stringify({ error: { code: refusal.reason, message: refusal.message } })}\n`;
  let head = `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n`;
  let connection = "close";
  for (const [name, value] of Object.entries(refusal.headers ?? {})) {
    head += `${name}: ${value}\r\n`;
    // RFC 9110 §7.8: a sender of Upgrade also sends the connection option.
    if (name === "Upgrade") connection = "close, Upgrade";
  }
  head += "Content-Type: application/json; charset=utf-8\r\n";
  head += `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: ${connection}\r\n\r\n`;
  return Buffer.from(head + body, "utf8");
}
