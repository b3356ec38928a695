import { describe, expect, it } from "vitest";

import { TrustedProxies } from "../../src/http/trusted-proxies.ts";

const proxies = new TrustedProxies(["10.0.0.0/8", "::1", "fd00::/8"]);

describe("X-Forwarded-For", () => {
  const rows: readonly (readonly [name: string, peer: string, field: string | undefined, client: string])[] =
    [
      ["no proxy, no field", "8.8.8.8", undefined, "8.8.8.8"],
      ["a stranger's field is not looked at", "8.8.8.8", "1.2.3.4", "8.8.8.8"],
      ["a proxy's client", "10.0.0.1", "1.2.3.4", "1.2.3.4"],
      ["a proxy that says nothing", "10.0.0.1", undefined, "10.0.0.1"],
      ["what the client had written itself", "10.0.0.1", "127.0.0.1, 9.9.9.9, 1.2.3.4", "1.2.3.4"],
      ["a chain of proxies", "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.3, fd00::2", "1.2.3.4"],
      ["only proxies", "10.0.0.1", "10.0.0.2,10.0.0.3", "10.0.0.2"],
      ["IPv6", "::1", "2001:db8::1", "2001:db8::1"],
      ["a peer in IPv4-mapped form", "::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4"],
      ["a hop in IPv4-mapped form", "10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"],
      ["a trusted hop in IPv4-mapped form", "10.0.0.1", "1.2.3.4, ::ffff:a00:9", "1.2.3.4"],
      ["a port", "10.0.0.1", "1.2.3.4:5678", "1.2.3.4"],
      ["brackets and a port", "10.0.0.1", "[2001:db8::1]:5678", "2001:db8::1"],
      ["brackets", "10.0.0.1", "[2001:db8::1]", "2001:db8::1"],
      ["unknown", "10.0.0.1", "unknown", "10.0.0.1"],
      ["empty", "10.0.0.1", "", "10.0.0.1"],
      ["commas", "10.0.0.1", ",,,", "10.0.0.1"],
      ["garbage behind a good one", "10.0.0.1", "1.2.3.4, <script>", "10.0.0.1"],
      ["garbage behind a trusted hop", "10.0.0.1", "1.2.3.4, x, 10.0.0.2", "10.0.0.2"],
      ["garbage before a good one", "10.0.0.1", "x, 1.2.3.4", "1.2.3.4"],
      ["an octal", "10.0.0.1", "010.0.0.1", "10.0.0.1"],
      ["a peer that is gone", "gone", "1.2.3.4", "gone"],
      ["a unix socket that is not trusted", "", "1.2.3.4", ""],
    ];
  it.each(rows)("%s", (_name, peer, field, client) => {
    expect(proxies.clientOf(peer, field)).toBe(client);
  });

  it("a unix socket that is trusted", () => {
    const unix = new TrustedProxies(["unix"]);
    expect(unix.clientOf("", "9.9.9.9, 1.2.3.4")).toBe("1.2.3.4");
    expect(unix.clientOf("127.0.0.1", "1.2.3.4")).toBe("127.0.0.1");
    expect(unix.isTrusted("")).toBe(true);
  });

  it("sixteen kilobytes of hops take no time", () => {
    const startMs = performance.now();
    for (let count = 0; count < 20; count += 1) proxies.clientOf("10.0.0.1", "10.0.0.2,".repeat(1800));
    expect(performance.now() - startMs).toBeLessThan(2000);
  });
});

describe("X-Forwarded-Proto", () => {
  it.each([
    ["https", "https"],
    ["HTTP", "http"],
    ["http, https", "https"],
    ["https, http", "http"],
    ["https,", null],
    ["wss", null],
    ["", null],
    [undefined, null],
  ])("%j of a proxy is %s", (field, scheme) => {
    expect(proxies.schemeOf("10.0.0.1", field)).toBe(scheme);
    expect(proxies.schemeOf("8.8.8.8", field)).toBeNull();
  });
});
