/**
 * What a request's head says about who sends it. Node joins or drops repeated fields; where that
 * matters, and with too many lines, a request never gets here (head-check.ts).
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { remoteAddressOf } from "../connection/remote-address.ts";
import type { PublishRequestFacts } from "./http-backend.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

/** What is known of a publisher before its body is read. */
export function publishFacts(request: IncomingMessage, proxies: TrustedProxies): PublishRequestFacts {
  const remoteAddress = remoteAddressOf(request.socket);
  return {
    bearer: bearerOf(request.headers),
    remoteAddress,
    clientAddress: clientAddressOf(request, proxies),
    viaProxy: proxies.isTrusted(remoteAddress),
    host: request.headers.host ?? null,
    forwarded: isForwarded(request.headers),
  };
}

/** The address that a request counts for. */
export function clientAddressOf(request: IncomingMessage, proxies: TrustedProxies): string {
  return proxies.clientOf(remoteAddressOf(request.socket), textOf(request.headers["x-forwarded-for"]));
}

/** The token of a request, as `bearerIn` reads it. */
export function bearerOf(headers: IncomingHttpHeaders): string | null {
  return bearerIn(headers.authorization);
}

/**
 * The token of `Authorization: Bearer`; null when the field is not there or of another scheme, such as a proxy's own
 * Basic. RFC 9110 §11.1: the scheme is case-insensitive. Bearer with none or several words behind it gives an empty
 * token, which is never good: whoever shows something broken is not served as if they had shown nothing.
 * A key in the query is not looked at: addresses end up in logs and histories.
 */
export function bearerIn(authorization: string | undefined): string | null {
  if (authorization === undefined || !/^bearer(?:\s|$)/i.test(authorization)) return null;
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "";
}

/** True when a proxy says that it forwards for somebody: then a loopback peer is not the sender. */
function isForwarded(headers: IncomingHttpHeaders): boolean {
  if (headers["forwarded"] !== undefined) return true;
  for (const name in headers) {
    if (name.startsWith("x-forwarded-")) return true;
  }
  return false;
}

/** Node joins repeated fields of this kind by itself; its types do not know that. */
function textOf(field: string | readonly string[] | undefined): string | undefined {
  return typeof field === "object" ? field.join(",") : field;
}
