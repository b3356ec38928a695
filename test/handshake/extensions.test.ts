import { describe, expect, it } from "vitest";

import { parseExtensions } from "../../src/handshake/extensions.ts";

describe("RFC 6455 §9.1 Sec-WebSocket-Extensions", () => {
  it.each([
    { value: "foo", offers: [{ name: "foo", parameters: [] }] },
    {
      value: "permessage-deflate; client_max_window_bits ; server_max_window_bits=10",
      offers: [
        {
          name: "permessage-deflate",
          parameters: [
            { name: "client_max_window_bits", value: null },
            { name: "server_max_window_bits", value: "10" },
          ],
        },
      ],
    },
    { value: 'a; b="10"', offers: [{ name: "a", parameters: [{ name: "b", value: "10" }] }] },
    { value: 'a; b="1\\0"', offers: [{ name: "a", parameters: [{ name: "b", value: "10" }] }] },
    {
      value: "a; x=1; x=2,, __proto__, a",
      offers: [
        {
          name: "a",
          parameters: [
            { name: "x", value: "1" },
            { name: "x", value: "2" },
          ],
        },
        { name: "__proto__", parameters: [] },
        { name: "a", parameters: [] },
      ],
    },
  ])("reads $value", ({ value, offers }) => {
    expect(parseExtensions(value)).toEqual(offers);
  });

  it.each([
    { name: "nothing", value: "" },
    { name: "only commas", value: " , ," },
    { name: "no name", value: "; a" },
    { name: "a name with a space", value: "a b" },
    { name: "an empty parameter", value: "a;" },
    { name: "no parameter name", value: "a; =1" },
    { name: "an empty value", value: "a; b=" },
    { name: "an empty quoted value", value: 'a; b=""' },
    { name: "a quoted value that is no token", value: 'a; b="1,2"' },
    { name: "an open quote", value: 'a; b="1' },
    { name: "an open quote behind an escape", value: 'a; b="1\\"' },
    { name: "a lone quote", value: 'a; b="' },
    { name: "a value behind a quoted one", value: 'a; b="1"2' },
    { name: "quotes inside a value", value: 'a; b="1""2"' },
    { name: "an escaped closing quote and one more", value: 'a; b="1\\""' },
    { name: "quotes around a name", value: '"a"' },
  ])("refuses $name", ({ value }) => {
    expect(parseExtensions(value)).toBeNull();
  });
});
