/**
 * What a request's head says about who sends it. Node joins or drops repeated fields (of `Authorization` the first
 * counts); too many lines never get here (http-api.ts).
 */
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";

/**
 * The token of `Authorization: Bearer`, or null. RFC 9110 §11.1: the scheme is case-insensitive.
 * A key in the query is not looked at: addresses end up in logs and histories.
 */
export function bearerOf(headers: IncomingHttpHeaders): string | null {
  const match = /^bearer +(\S+) *$/i.exec(headers.authorization ?? "");
  return match?.[1] ?? null;
}

/** What stands for the address of a peer that reset its connection already; no rule about addresses may match it. */
const goneAddress = "gone";

/**
 * The peer's address; empty on a unix socket, which has none. A peer that resets right after its request has no
 * address either (getpeername fails, while its bytes can still be read: tried), so the absence alone proves nothing:
 * taken for a unix socket it would let strangers publish where only this machine may.
 */
export function remoteAddressOf(
  socket: Pick<Socket, "destroyed" | "localAddress" | "remoteAddress">,
): string {
  if (socket.remoteAddress !== undefined) return socket.remoteAddress;
  return socket.destroyed || socket.localAddress !== undefined ? goneAddress : "";
}

/** True when a proxy says that it forwards for somebody: then a loopback peer is not the sender. */
export function isForwarded(headers: IncomingHttpHeaders): boolean {
  if (headers["forwarded"] !== undefined) return true;
  for (const name in headers) {
    if (name.startsWith("x-forwarded-")) return true;
  }
  return false;
}
