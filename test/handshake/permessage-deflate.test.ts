import { describe, expect, it } from "vitest";

import { parseExtensions } from "../../src/handshake/extensions.ts";
import { negotiateDeflate } from "../../src/handshake/permessage-deflate.ts";

const always = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

function negotiate(header: string): ReturnType<typeof negotiateDeflate> {
  const offers = parseExtensions(header);
  if (offers === null) throw new Error("the grammar is broken");
  return negotiateDeflate(offers);
}

describe("RFC 7692 §5 and §7.1 negotiation of permessage-deflate", () => {
  it.each([
    { name: "the plain offer", offer: "permessage-deflate" },
    { name: "Chromium's offer, verbatim", offer: "permessage-deflate; client_max_window_bits" },
    { name: "Firefox's offer, verbatim", offer: "permessage-deflate" },
    { name: "client_max_window_bits with a value", offer: "permessage-deflate; client_max_window_bits=8" },
    { name: "both takeovers given up", offer: `${always}; client_max_window_bits=15` },
    { name: "a quoted value", offer: 'permessage-deflate; client_max_window_bits="10"' },
    {
      name: "HS10: others first, named like members of Object",
      offer: "__proto__, constructor; toString, permessage-deflate",
    },
    { name: "§7.1: a bad offer, then a good one", offer: "permessage-deflate; nonsense, permessage-deflate" },
    {
      name: "another extension's parameters",
      offer: "x-webkit-deflate-frame; no_context_takeover, permessage-deflate",
    },
  ])("accepts $name", ({ offer }) => {
    expect(negotiate(offer)).toEqual({ answer: always, serverWindowBits: 15 });
  });

  it.each([
    ["8", 8],
    ["9", 9],
    ["11", 11],
    ["12", 12],
    ["15", 15],
    ['"10"', 10],
  ])("DF6: honours server_max_window_bits=%s", (value, serverWindowBits) => {
    expect(negotiate(`permessage-deflate; server_max_window_bits=${value}`)).toEqual({
      answer: `${always}; server_max_window_bits=${serverWindowBits}`,
      serverWindowBits,
    });
  });

  it("the first acceptable offer wins", () => {
    const offer =
      "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=9, permessage-deflate";
    expect(negotiate(offer)?.serverWindowBits).toBe(9);
  });

  it.each([
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=08",
    "permessage-deflate; server_max_window_bits=1",
    "permessage-deflate; server_max_window_bits=150",
    "permessage-deflate; server_max_window_bits=1e1",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; client_max_window_bits=7",
    "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=010",
    "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; server_no_context_takeover=true",
    "permessage-deflate; client_no_context_takeover=1",
    "permessage-deflate; unknown",
    "permessage-deflate; __proto__",
    "permessage-deflate; constructor=1",
    "permessage-deflate; hasOwnProperty; NaN",
    "PerMessage-Deflate; bogus",
    "permessage-bzip2",
    "toString",
  ])("DF5: declines %s", (offer) => {
    expect(negotiate(offer)).toBeNull();
  });

  it("DF7: takes one of 50 offers, behind 9 KB of unknown ones", () => {
    const unknown = Array.from({ length: 900 }, (_, index) => `ext-${index}; a=b`).join(", ");
    const many = Array.from({ length: 50 }, () => "permessage-deflate").join(", ");
    // A busy machine may take the processor away once, not each time.
    const tookMs = Array.from({ length: 5 }, () => {
      const startMs = performance.now();
      expect(negotiate(`${unknown}, ${many}`)?.answer).toBe(always);
      return performance.now() - startMs;
    });
    expect(Math.min(...tookMs)).toBeLessThan(50);
  });
});
