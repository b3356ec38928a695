/**
 * What a request's head says about who sends it. Node joins or drops repeated fields (of `Authorization` the first
 * counts); too many lines never get here (http-api.ts).
 */
import type { IncomingHttpHeaders } from "node:http";

/**
 * The token of `Authorization: Bearer`, or null. RFC 9110 §11.1: the scheme is case-insensitive.
 * A key in the query is not looked at: addresses end up in logs and histories.
 */
export function bearerOf(headers: IncomingHttpHeaders): string | null {
  const match = /^bearer +(\S+) *$/i.exec(headers.authorization ?? "");
  return match?.[1] ?? null;
}

/** True when a proxy says that it forwards for somebody: then a loopback peer is not the sender. */
export function isForwarded(headers: IncomingHttpHeaders): boolean {
  if (headers["forwarded"] !== undefined) return true;
  for (const name in headers) {
    if (name.startsWith("x-forwarded-")) return true;
  }
  return false;
}
