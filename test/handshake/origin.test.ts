import { describe, expect, it } from "vitest";

import { isOriginAllowed } from "../../src/handshake/origin.ts";

describe("same-origin", () => {
  it.each([
    { origin: "https://good.com", host: "good.com", scheme: null, allowed: true },
    { origin: "http://good.com", host: "good.com", scheme: null, allowed: true },
    { origin: "https://good.com", host: "good.com:443", scheme: null, allowed: true },
    { origin: "http://good.com:80", host: "good.com", scheme: null, allowed: true },
    { origin: "http://good.com", host: "good.com:443", scheme: null, allowed: false },
    { origin: "http://good.com:8080", host: "GOOD.com:8080", scheme: null, allowed: true },
    { origin: "http://[::1]:8080", host: "[::1]:8080", scheme: null, allowed: true },
    { origin: "http://good.com:8080", host: "good.com", scheme: null, allowed: false },
    { origin: "http://good.com", host: "good.com:8080", scheme: null, allowed: false },
    { origin: "https://good.com", host: "good.com", scheme: "https", allowed: true },
    { origin: "http://good.com", host: "good.com", scheme: "https", allowed: false },
    { origin: "https://good.com", host: "good.com", scheme: "http", allowed: false },
    { origin: "https://evil.com", host: "good.com", scheme: null, allowed: false },
    { origin: "https://good.com.evil", host: "good.com", scheme: null, allowed: false },
    { origin: "https://evilgood.com", host: "good.com", scheme: null, allowed: false },
    { origin: "https://good.com@evil.com", host: "good.com", scheme: null, allowed: false },
    { origin: "https://good.com/", host: "good.com", scheme: null, allowed: false },
    { origin: "null", host: "good.com", scheme: null, allowed: false },
    { origin: "null", host: "null", scheme: null, allowed: false },
    { origin: "", host: "", scheme: null, allowed: false },
    { origin: "file://", host: "good.com", scheme: null, allowed: false },
    { origin: "chrome-extension://good.com", host: "good.com", scheme: null, allowed: false },
  ] as const)("$origin to $host, scheme $scheme: $allowed", ({ origin, host, scheme, allowed }) => {
    expect(isOriginAllowed(origin, "same-origin", host, scheme)).toBe(allowed);
  });
});

describe("any and lists", () => {
  const list = ["https://a.example", "https://b.example:8443"];
  it.each([
    { origin: "https://a.example", allowed: true },
    { origin: "https://b.example:8443", allowed: true },
    { origin: "https://b.example", allowed: false },
    { origin: "http://a.example", allowed: false },
    { origin: "https://a.example.evil", allowed: false },
    { origin: "null", allowed: false },
  ])("$origin in the list: $allowed", ({ origin, allowed }) => {
    expect(isOriginAllowed(origin, list, "a.example", null)).toBe(allowed);
    expect(isOriginAllowed(origin, "any", "a.example", null)).toBe(true);
  });
});
