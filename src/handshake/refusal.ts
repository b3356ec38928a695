/**
 * Why a connection was not upgraded: a closed list, since the reasons are metric labels. The body of every refusal has
 * the error code that the HTTP API gives with its status (docs/HTTP.md), and says what is wrong and what would be
 * right, never what the peer sent.
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

/** One of `refusalReasons`. */
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

/** The `code` of the error body, by status. A 404 says which of two it is. */
const codes: ReadonlyMap<number, string> = new Map([
  [400, "bad_request"],
  [403, "forbidden"],
  [405, "method_not_allowed"],
  [408, "request_timeout"],
  [426, "upgrade_required"],
  [429, "rate_limited"],
  [431, "too_large"],
  [503, "unavailable"],
]);

/**
 * The bytes of a refusal, `{"error":{"code","message"}}`. The connection closes behind it: a proxy that ignores the
 * status of a refused upgrade would otherwise tunnel what follows.
 * @param fieldLines header lines that every answer of the server has, each with its CR LF.
 */
export function refusalResponse(refusal: Refusal, fieldLines = ""): Buffer {
  const body = `${JSON.stringify({ error: { code: codeOf(refusal), message: refusal.message } })}\n`;
  let head = `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n`;
  let connection = "close";
  for (const [name, value] of Object.entries(refusal.headers ?? {})) {
    head += `${name}: ${value}\r\n`;
    // RFC 9110 §7.8: a sender of Upgrade also sends the connection option.
    if (name === "Upgrade") connection = "close, Upgrade";
  }
  head += "Content-Type: application/json; charset=utf-8\r\n";
  head += `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: ${connection}\r\n${fieldLines}\r\n`;
  return Buffer.from(head + body, "utf8");
}

/** The code of the error body. */
export function codeOf({ status, reason }: Refusal): string {
  return reason === "bad_topic" ? reason : (codes.get(status) ?? reason);
}
