/**
 * Heads of requests that node:http lets through and two readers could read differently, a proxy in front and we: they
 * get 400 and the connection ends, as a handshake of that kind does (evaluate-handshake.ts).
 */
import type { IncomingMessage } from "node:http";
import { isHost } from "../handshake/evaluate-handshake.ts";
import { HttpRefusal } from "./http-refusal.ts";
import { hasTooManyHeaders, headerLinesMax } from "./http-server.ts";

const ending = { connection: "close" };
const absoluteFormPattern = /^https?:\/\/([^/?#]*)(?:\/|$)/i;

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
  // RFC 9112 §3.2: 400 "to any HTTP/1.1 request message that lacks a Host header field".
  if (headers.host === undefined && request.httpVersion !== "1.0")
    return bad("HTTP/1.1 needs a Host header line");
  const { host = "" } = headers;
  if (host !== "" && !isHost(host)) return bad("Host must be one host name or address with an optional port");
  // RFC 9110 §10.1.1: "A server that receives an Expect field value containing a member other than 100-continue MAY
  // respond with a 417".
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== "100-continue") {
    return new HttpRefusal(417, "bad_request", "Expect may be 100-continue and nothing else", ending);
  }
  return targetRefusal(url ?? "", host) ?? bodyRefusal(headers["transfer-encoding"]);
}

/**
 * RFC 9112 §3.2: a target is a path, or a whole address whose authority counts instead of Host, and has no fragment. The
 * router would take `*api/publish` and `http://a?/api/publish` for /api/publish, which a rule of a proxy in front does not.
 */
function targetRefusal(target: string, host: string): HttpRefusal | null {
  if (target.includes("#")) return bad("the request's target has no fragment");
  if (target.startsWith("/") || target === "*") return null;
  const absolute = absoluteFormPattern.exec(target);
  if (absolute === null) return bad("the request's target is a path: GET /");
  if (absolute[1]?.toLowerCase() === host.toLowerCase()) return null;
  return bad("the authority of the request's target must be that of Host");
}

/**
 * RFC 9112 §6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD respond
 * with 501". Node looks at the last coding only, and takes a field without any as if it were not there.
 */
function bodyRefusal(transferEncoding: string | undefined): HttpRefusal | null {
  if (transferEncoding === undefined || transferEncoding.toLowerCase() === "chunked") return null;
  return bad("Transfer-Encoding can only be chunked, once");
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
