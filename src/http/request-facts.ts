/**
 * What a request's head says about who sends it. Node joins or drops repeated fields (of `Authorization` the first
 * counts); too many lines never get here (http-api.ts).
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

/**
 * The token of `Authorization: Bearer`, or null. RFC 9110 §11.1: the scheme is case-insensitive.
 * A key in the query is not looked at: addresses end up in logs and histories.
 */
export function bearerOf(headers: IncomingHttpHeaders): string | null {
  const match = /^bearer +(\S+) *$/i.exec(headers.authorization ?? "");
  return match?.[1] ?? null;
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
