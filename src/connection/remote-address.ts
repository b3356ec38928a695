/** The address of a socket's peer, as rules about addresses may read it. */
import type { Socket } from "node:net";

/** What stands for the address of a peer that reset its connection already; no rule about addresses may match it. */
export const goneAddress = "gone";

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
