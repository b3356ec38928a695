/**
 * Who a peer speaks for. X-Forwarded-For and X-Forwarded-Proto are whatever the sender wrote, so they are read only when
 * the socket's own peer is one of `listen.trustedProxies`, and then from the right: each hop is what the trusted hop
 * behind it saw. RFC 7239's `Forwarded` is not read; that it is there is known (request-facts.ts).
 */
import { AddressRanges, canonicalAddress } from "../base/ip-address.ts";

/** The word for the peers of a unix socket, which have no address. */
const unixWord = "unix";

export class TrustedProxies {
  /** Whether there is any: without one, no header has to be read. */
  readonly trustsAny: boolean;
  readonly #ranges: AddressRanges;
  readonly #trustsUnix: boolean;

  /** @param trusted `listen.trustedProxies`: addresses, CIDR ranges, `unix`. */
  constructor(trusted: readonly string[]) {
    this.trustsAny = trusted.length > 0;
    this.#ranges = new AddressRanges(trusted.filter((each) => each !== unixWord));
    this.#trustsUnix = trusted.includes(unixWord);
  }

  /** @param peer as the socket has it; empty for a unix socket. */
  isTrusted(peer: string): boolean {
    return peer === "" ? this.#trustsUnix : this.#ranges.has(peer);
  }

  /**
   * The address of the client: the right-most hop that is no trusted proxy. A hop that is no address (garbage,
   * `unknown`) says nothing; then the proxy that wrote it answers for it. The addresses come in canonical spelling.
   * @param forwardedFor all X-Forwarded-For fields, joined by commas.
   * Cost: linear in the field.
   */
  clientOf(peer: string, forwardedFor: string | undefined): string {
    let client = canonicalAddress(peer) ?? peer;
    if (forwardedFor === undefined || !this.isTrusted(peer)) return client;
    const hops = forwardedFor.split(",");
    for (let index = hops.length - 1; index >= 0; index -= 1) {
      const hop = canonicalAddress(withoutPort((hops[index] ?? "").trim()));
      if (hop === null) return client;
      client = hop;
      if (!this.#ranges.has(hop)) return client;
    }
    return client;
  }

  /** The scheme that the browser used, by a trusted proxy's word; null when nobody trusted says so. */
  schemeOf(peer: string, forwardedProto: string | undefined): "http" | "https" | null {
    if (forwardedProto === undefined || !this.isTrusted(peer)) return null;
    const last = forwardedProto
      .slice(forwardedProto.lastIndexOf(",") + 1)
      .trim()
      .toLowerCase();
    return last === "http" || last === "https" ? last : null;
  }
}

/** `1.2.3.4:567` and `[::1]:567`, as some proxies write a hop, without brackets and port. */
function withoutPort(hop: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(hop);
  if (bracketed !== null) return bracketed[1] ?? "";
  const dotted = /^([\d.]+):\d{1,5}$/.exec(hop);
  return dotted?.[1] ?? hop;
}
