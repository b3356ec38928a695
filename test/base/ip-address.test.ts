import { describe, expect, it } from "vitest";

import {
  AddressRanges,
  canonicalAddress,
  isLoopback,
  isUnspecified,
  limitKeyOf,
  rangeProblem,
} from "../../src/base/ip-address.ts";

describe("RFC 4291 §2.2 spellings", () => {
  const good: readonly (readonly [text: string, canonical: string])[] = [
    ["1.2.3.4", "1.2.3.4"],
    ["255.255.255.255", "255.255.255.255"],
    ["0.0.0.0", "0.0.0.0"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["::", "::"],
    ["1:0::", "1::"],
    ["2001:DB8::1", "2001:db8::1"],
    ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["::FFFF:0102:0304", "1.2.3.4"],
    ["0:0:0:0:0:ffff:1.2.3.4", "1.2.3.4"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
    ["::1.2.3.4", "::102:304"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:3:0:0:4", "1::2:3:0:0:4"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["fe80::1%eth0", "fe80::1"],
  ];
  it.each(good)("%s is %s", (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });

  it.each([
    "", " ", "unknown", "localhost", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "1.2.3.4:80",
    "0x7f.1", "2130706433", "1.2.3.", ".1.2.3", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::",
    "g::", "[::1]", "::1.2.3", "1.2.3.4::", "1:2:3:4:5:6:7:8::", "fe80::1%", "fe80::1%a b", "::ffff:1.2.3.999", "1:",
    `${"1:".repeat(40)}1`, "::1\n",
  ])("%j is none", (text) => {
    expect(canonicalAddress(text)).toBeNull();
  }); // prettier-ignore
});

describe("what counts as one peer", () => {
  it.each([
    ["1.2.3.4", "1.2.3.4"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
    ["2001:db8:1:3::", "2001:db8:1:3::/64"],
    ["2001:db8::7", "2001:db8:0:0::/64"],
    ["gone", "gone"],
    ["", ""],
  ])("%j counts as %j", (address, key) => {
    expect(limitKeyOf(address)).toBe(key);
  });
});

describe("special addresses", () => {
  it.each([
    ["127.0.0.1", true, false],
    ["127.255.0.9", true, false],
    ["::1", true, false],
    ["::ffff:127.0.0.1", true, false],
    ["0.0.0.0", false, true],
    ["::", false, true],
    ["::ffff:0.0.0.0", false, true],
    ["126.0.0.1", false, false],
    ["128.0.0.1", false, false],
    ["::2", false, false],
    ["::127.0.0.1", false, false],
    ["127.0.0.1.evil", false, false],
    ["gone", false, false],
    ["", false, false],
  ])("%j: loopback %s, unspecified %s", (address, loopback, unspecified) => {
    expect([isLoopback(address), isUnspecified(address)]).toEqual([loopback, unspecified]);
  });
});

describe("ranges", () => {
  it.each([
    [
      "10.0.0.0/8",
      ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
      ["9.255.255.255", "11.0.0.0", "::a00:1"],
    ],
    ["10.1.2.3", ["10.1.2.3"], ["10.1.2.2", "10.1.2.4"]],
    ["10.1.2.128/25", ["10.1.2.128", "10.1.2.255"], ["10.1.2.127"]],
    ["0.0.0.0/0", ["1.2.3.4", "::ffff:9.9.9.9"], ["::1", "2001:db8::1"]],
    ["::/0", ["::1", "2001:db8::1"], ["1.2.3.4", "::ffff:1.2.3.4"]],
    ["2001:db8::/33", ["2001:db8:7fff::1"], ["2001:db8:8000::1"]],
    ["::1", ["::1", "0:0:0:0:0:0:0:1"], ["::2", "127.0.0.1"]],
    ["::ffff:10.0.0.0/104", ["10.9.9.9"], ["11.0.0.1"]],
  ])("%s", (range, inside, outside) => {
    expect(rangeProblem(range)).toBeNull();
    const ranges = new AddressRanges(["192.0.2.1", range]);
    expect(inside.filter((address) => !ranges.has(address))).toEqual([]);
    expect(outside.filter((address) => ranges.has(address))).toEqual([]);
    for (const none of ["", "gone", "unknown", "1.2.3"]) expect(ranges.has(none)).toBe(false);
  });

  it.each([
    ["10.0.0.0/33", /0 to 32/],
    ["10.0.0.0/", /0 to 32/],
    ["10.0.0.0/08", /0 to 32/],
    ["10.0.0.0/-1", /0 to 32/],
    ["::/129", /0 to 128/],
    ["10.0.0.1/8", /bits set/],
    ["2001:db8::1/64", /bits set/],
    ["proxy.internal", /an IP address/],
    ["fe80::1%eth0", /an IP address/],
    ["", /an IP address/],
    ["*", /an IP address/],
  ])("%j is none", (range, problem) => {
    expect(rangeProblem(range)).toMatch(problem);
  });
});
