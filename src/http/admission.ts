/**
 * Which good handshakes become connections: limits, routes and origins, then the 101. Everything that may refuse one is
 * asked before anything is hashed, the cheapest first. Not here: whether a handshake is good (handshake/), and how a
 * refusal is written (front-door.ts).
 */
import { deflateWindowBits } from "../codec/deflate.ts";
import { ownCloseCode } from "../connection/close-reason.ts";
import type { ConnectionOptions } from "../connection/connection-options.ts";
import type { Connection } from "../connection/connection.ts";
import type { Connections } from "../connection/connections.ts";
import type { Transport } from "../connection/transport.ts";
import { acceptResponse } from "../handshake/accept-response.ts";
import { chooseSubprotocol, isRefusal, type Handshake } from "../handshake/evaluate-handshake.ts";
import { isOriginAllowed, type AllowedOrigins } from "../handshake/origin.ts";
import { negotiateDeflate, type DeflateAgreement } from "../handshake/permessage-deflate.ts";
import type { Refusal } from "../handshake/refusal.ts";
import type { FrontDoorCounters } from "./front-door-counters.ts";
import type { FrontDoorLimits } from "./front-door-limits.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";
import type { Endpoint, Router } from "./upgrade-request.ts";

/** Named as in docs/CONFIGURATION.md. */
export interface AdmissionOptions {
  readonly allowedOrigins: AllowedOrigins;
  readonly trustedProxies: TrustedProxies;
}

const forbiddenOrigin: Refusal = {
  status: 403,
  reason: "origin",
  message: "pages of this origin may not connect; auth.allowedOrigins says which may",
};

/** One per front door. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #connections: Connections;
  readonly #router: Router;
  readonly #limits: FrontDoorLimits;
  readonly #counters: FrontDoorCounters;

  constructor(
    options: AdmissionOptions,
    connections: Connections,
    router: Router,
    limits: FrontDoorLimits,
    counters: FrontDoorCounters,
  ) {
    this.#options = options;
    this.#connections = connections;
    this.#router = router;
    this.#limits = limits;
    this.#counters = counters;
  }

  /**
   * Makes a connection of a good handshake.
   * @param rest what came behind the handshake in the same packet; may be changed.
   * @returns why it is none; then nothing was written.
   */
  admit(transport: Transport, handshake: Handshake, rest: Buffer): Refusal | null {
    const beganMs = this.#connections.clock.nowMs();
    const address = this.#addressTold(transport, handshake);
    const refusal = this.#limits.admit(this.#connections.counters.open, address);
    if (refusal !== null) return refusal;
    const endpoint = this.#router(handshake.path, handshake.query);
    if (isRefusal(endpoint)) return endpoint;
    if (endpoint.checkOrigin && !this.#isOriginAllowed(handshake, transport)) return forbiddenOrigin;
    const subprotocol = chooseSubprotocol(handshake.subprotocols, endpoint.subprotocols);
    const connection = this.#upgrade(transport, endpoint, handshake, subprotocol, address);
    if (connection === null) return null;
    this.#limits.shareWork(connection, address, beganMs);
    const { path, query, headers } = handshake;
    const request = { path, query, headers, encrypted: transport.isEncrypted, subprotocol };
    connection.start(endpoint.accept(connection, request), rest);
    return null;
  }

  /**
   * The client's address where somebody needs it now: a limit, or a connection whose proxy told it. Null: the kernel
   * knows it as long as the socket is open, and asking costs as much as reading a head.
   */
  #addressTold(transport: Transport, { headers }: Handshake): string | null {
    const { trustedProxies } = this.#options;
    const forwardedFor = trustedProxies.trustsAny ? headers.get("x-forwarded-for") : undefined;
    if (forwardedFor === undefined && !this.#limits.needsAddress) return null;
    return trustedProxies.clientOf(transport.remoteAddress, forwardedFor);
  }

  #isOriginAllowed({ origin, host, headers }: Handshake, transport: Transport): boolean {
    if (origin === null) return true;
    return isOriginAllowed(origin, this.#options.allowedOrigins, host, this.#schemeOf(headers, transport));
  }

  /** The scheme of the browser's address, where it is known. */
  #schemeOf(headers: ReadonlyMap<string, string>, transport: Transport): "http" | "https" | null {
    const { trustedProxies } = this.#options;
    const forwardedProto = trustedProxies.trustsAny ? headers.get("x-forwarded-proto") : undefined;
    const told =
      forwardedProto === undefined ? null : trustedProxies.schemeOf(transport.remoteAddress, forwardedProto);
    return told ?? (transport.isEncrypted ? "https" : null);
  }

  /** Answers with 101. Null when the connection is closed right away. */
  #upgrade(
    transport: Transport,
    endpoint: Endpoint,
    { key, extensions }: Handshake,
    subprotocol: string | null,
    address: string | null,
  ): Connection | null {
    const isWelcome = this.#limits.enter(address);
    const agreement = endpoint.compression === null ? null : negotiateDeflate(extensions);
    const greeting = acceptResponse(key, subprotocol, extensionHeaders(agreement));
    const options = optionsFor(endpoint, agreement);
    const connection = this.#connections.adopt(transport, options, greeting);
    connection.addressTold = address;
    if (isWelcome) {
      this.#counters.upgraded += 1;
      if (address !== null && this.#limits.countsAddresses) {
        connection.onGone = () => this.#limits.leave(address);
      }
      return connection;
    }
    // A browser's script sees a close code, but not the status of a refused handshake.
    this.#counters.refuse("connections_per_address");
    connection.close(ownCloseCode.connectionLimit, "connection_limit");
    return null;
  }
}

function extensionHeaders(agreement: DeflateAgreement | null): Record<string, string> {
  return agreement === null ? {} : { "Sec-WebSocket-Extensions": agreement.answer };
}

function optionsFor(
  { connection, compression }: Endpoint,
  agreement: DeflateAgreement | null,
): ConnectionOptions {
  if (agreement === null || compression === null) return connection;
  // RFC 7692 §7.1.2.1: a client that names a smaller window than ours is sent uncompressed frames, which is always legal.
  return agreement.serverWindowBits < deflateWindowBits ? compression.inbound : compression.both;
}
