/**
 * Heads of requests that node:http lets through and two readers could read differently, a proxy in front and we: they
 * get 400 and the connection ends, as a handshake of that kind does (evaluate-handshake.ts).
 */
import type { IncomingMessage } from "node:http";
import { isHost } from "../handshake/evaluate-handshake.ts";
import { HttpRefusal } from "./http-refusal.ts";
import { hasTooManyHeaders, headerLinesMax } from "./http-server.ts";

const ending = { connection: "close" };

/** Why this head is refused, or null. Cost: one look at each name of a field. */
export function headRefusal(request: IncomingMessage): HttpRefusal | null {
  const { url, method, rawHeaders, headers } = request;
  // RFC 9112 §3.2.4: the asterisk-form "is only used for a server-wide OPTIONS request"; the router takes it for /.
  if (url === "*" && method !== "OPTIONS") return bad("the request's target is a path: GET /");
  if (hasTooManyHeaders(request)) {
    return new HttpRefusal(431, "too_large", `a request has at most ${headerLinesMax} header lines`, ending);
  }
  // RFC 9112 §3.2: 400 "to any request message that contains more than one Host header field line or a Host header
  // field with an invalid field value". Of both fields Node takes the first line and forgets the others. An empty Host
  // is a valid one; probes send it.
  if (countOf("host", rawHeaders) > 1 || countOf("authorization", rawHeaders) > 1) {
    return bad("Host and Authorization may stand once each");
  }
  const { host = "" } = headers;
  return host === "" || isHost(host)
    ? null
    : bad("Host must be one host name or address with an optional port");
}

function countOf(name: string, rawHeaders: readonly string[]): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const field = rawHeaders[index] ?? "";
    if (field.length === name.length && field.toLowerCase() === name) count += 1;
  }
  return count;
}

function bad(message: string): HttpRefusal {
  return new HttpRefusal(400, "bad_request", message, ending);
}
