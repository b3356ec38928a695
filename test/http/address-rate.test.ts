/** `limits.httpRequestsPerAddressPerSecMax`, at the limit and one past it. */
import type { IncomingMessage } from "node:http";

import { afterEach, describe, expect, it } from "vitest";

import { limitCounters } from "../../src/base/limit-counters.ts";
import { AddressRate } from "../../src/http/address-rate.ts";
import { TrustedProxies } from "../../src/http/trusted-proxies.ts";
import { type Answer, ask, errorOf, type Harness, startHarness } from "./http-harness.ts";

const proxy = new TrustedProxies(["127.0.0.1"]);

function requestFrom(remoteAddress: string | undefined, forwardedFor?: string): IncomingMessage {
  const headers = forwardedFor === undefined ? {} : { "x-forwarded-for": forwardedFor };
  return { headers, socket: { remoteAddress } } as unknown as IncomingMessage;
}

function refused(): number {
  return limitCounters.reached.get("httpRequestsPerAddressPerSecMax") ?? 0;
}

describe("limits.httpRequestsPerAddressPerSecMax", () => {
  it("lets as many through in a second, not one more, and as many again a second later", () => {
    const rate = new AddressRate(3, proxy);
    const before = refused();
    const ask4 = (nowMs: number): (number | null)[] =>
      Array.from({ length: 4 }, () => rate.refusal(requestFrom("192.0.2.1"), "value", nowMs)?.status ?? null);
    expect(ask4(1000)).toEqual([null, null, null, 429]);
    expect(refused()).toBe(before + 1);
    expect(ask4(2000)).toEqual([null, null, null, 429]);
  });

  it.each([
    { name: "another address", address: "192.0.2.2", isRefused: false },
    { name: "the same /64", address: "2001:db8::2", isRefused: true },
    { name: "another /64", address: "2001:db8:0:1::1", isRefused: false },
    { name: "no address, as of a unix socket", address: undefined, isRefused: false },
    { name: "a proxy for another client", address: "127.0.0.1", forwardedFor: "192.0.2.2", isRefused: false },
    { name: "a proxy for the same client", address: "127.0.0.1", forwardedFor: "192.0.2.1", isRefused: true },
    { name: "no proxy, whatever it says", address: "192.0.2.1", forwardedFor: "192.0.2.2", isRefused: true },
  ])("counts $name: refused $isRefused", ({ address, forwardedFor, isRefused }) => {
    const rate = new AddressRate(1, proxy);
    for (const first of ["192.0.2.1", "2001:db8::1"]) rate.refusal(requestFrom(first), "value", 0);
    expect(rate.refusal(requestFrom(address, forwardedFor), "value", 0) !== null).toBe(isRefused);
  });

  it("is none when it is null", () => {
    const rate = new AddressRate(null, proxy);
    for (let count = 0; count < 100; count += 1)
      expect(rate.refusal(requestFrom("192.0.2.1"), "value", 0)).toBeNull();
  });

  describe("over HTTP", () => {
    let server: Harness;
    afterEach(() => server.stop());

    it("is 429 with Retry-After on every route but health", async () => {
      server = await startHarness({ requestsPerAddressPerSecMax: 1 });
      const paths = ["/api/topics/quote.A", "/api/topics/quote.A/history", "/openapi.json", "/nowhere"];
      // On the slowest machine two of so many come within a second.
      const answers: Answer[] = [];
      for (let round = 0; round < 5; round += 1) {
        answers.push(...(await Promise.all(paths.map((path) => ask(server.port, "GET", path)))));
      }
      const refusals = answers.filter(({ status }) => status === 429);
      expect(refusals.length).toBeGreaterThan(0);
      expect(refusals.length).toBeLessThan(answers.length);
      for (const refusal of refusals) {
        expect(errorOf(refusal).code).toBe("rate_limited");
        expect(refusal.headers).toMatchObject({
          "retry-after": "1",
          connection: "close",
          "cache-control": "no-store",
        });
      }
      for (const path of ["/healthz", "/readyz"]) {
        expect((await ask(server.port, "GET", path)).status).toBe(200);
      }
    });
  });
});
