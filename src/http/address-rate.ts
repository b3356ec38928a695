/** How many HTTP requests of one address a worker looks at: `limits.httpRequestsPerAddressPerSecMax`. */
import type { IncomingMessage } from "node:http";
import { limitKeyOf } from "../base/ip-address.ts";
import { KeyedBuckets } from "../base/keyed-buckets.ts";
import { limitCounters } from "../base/limit-counters.ts";
import type { HttpRoute } from "./http-counters.ts";
import { HttpRefusal } from "./http-refusal.ts";
import { clientAddressOf } from "./request-facts.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

export class AddressRate {
  readonly #requests: KeyedBuckets | null;
  readonly #proxies: TrustedProxies;

  /** @param perSecMax with a burst of one second's worth; null for no limit. */
  constructor(perSecMax: number | null, proxies: TrustedProxies) {
    this.#requests = perSecMax === null ? null : new KeyedBuckets(perSecMax);
    this.#proxies = proxies;
  }

  /**
   * Counts a request; null when it may go on. Health is for operators' probes, which share an address with everybody
   * where a proxy is not trusted. Peers of a unix socket have no address and are not counted.
   */
  refusal(request: IncomingMessage, route: HttpRoute, nowMs: number): HttpRefusal | null {
    if (this.#requests === null || route === "health" || route === "ready") return null;
    const address = clientAddressOf(request, this.#proxies);
    if (address === "" || this.#requests.take(limitKeyOf(address), 1, nowMs)) return null;
    limitCounters.hit("httpRequestsPerAddressPerSecMax");
    const message = "too many requests from this address: try again in a second";
    return new HttpRefusal(429, "rate_limited", message, { "retry-after": "1", connection: "close" });
  }
}
