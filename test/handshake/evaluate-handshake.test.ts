import { array, assert, nat, property, record, uint8Array } from "fast-check";
import { describe, expect, it } from "vitest";

import {
  asksForWebSocket,
  chooseSubprotocol,
  evaluateHandshake,
  isRefusal,
  type Handshake,
} from "../../src/handshake/evaluate-handshake.ts";
import { refusalReasons, refusalResponse, type Refusal } from "../../src/handshake/refusal.ts";
import { headerLinesMax, readRequestHead } from "../../src/handshake/request-head.ts";

const fields: readonly (readonly [string, string])[] = [
  ["Host", "server.example.com"],
  ["Upgrade", "websocket"],
  ["Connection", "Upgrade"],
  ["Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="],
  ["Sec-WebSocket-Version", "13"],
];

/** A good request with some fields replaced (null leaves one out) and others appended. */
function request(
  changes: Readonly<Record<string, string | null>> = {},
  more: readonly (readonly [string, string])[] = [],
  line: { method?: string; target?: string; httpVersion?: string } = {},
): Handshake | Refusal {
  const rawHeaders: string[] = [];
  for (const [name, value] of fields) {
    const changed = name in changes ? changes[name] : value;
    if (changed !== null && changed !== undefined) rawHeaders.push(name, changed);
  }
  for (const [name, value] of more) rawHeaders.push(name, value);
  return evaluateHandshake({ method: "GET", target: "/chat", httpVersion: "1.1", ...line, rawHeaders });
}

describe("RFC 6455 §4.2.1 reading the client's opening handshake", () => {
  it("accepts the example of §1.2", () => {
    const outcome = request({}, [
      ["Origin", "http://example.com"],
      ["Sec-WebSocket-Protocol", "chat, superchat"],
    ]);
    expect(outcome).toMatchObject({
      key: "dGhlIHNhbXBsZSBub25jZQ==",
      path: "/chat",
      host: "server.example.com",
      origin: "http://example.com",
      subprotocols: ["chat", "superchat"],
      extensions: [],
    });
  });

  it.each([
    { name: "names and tokens in odd case", changes: { Upgrade: "WebSocket", Connection: "UPGRADE" } },
    { name: "upgrade inside a list", changes: { Connection: "keep-alive, x ,\tupgrade" } },
    { name: "websocket inside a list", changes: { Upgrade: "h2c, , websocket" } },
    {
      name: "the key of §4.1 with bits beyond the 16th byte",
      changes: { "Sec-WebSocket-Key": "AQIDBAUGBwgJCgsMDQ4PEC==" },
    },
    { name: "an IPv6 host", changes: { Host: "[::1]:8080" } },
    { name: "a host with an empty port", changes: { Host: "example.com:" } },
    { name: "a host with the last port", changes: { Host: "example.com:65535" } },
    { name: "a host with a percent escape", changes: { Host: "example%2dtwo.com" } },
    { name: "a body of length 0", changes: {}, more: [["Content-Length", "0"]] },
    { name: "Expect", changes: {}, more: [["Expect", "100-continue"]] },
    {
      name: "a broken cookie",
      changes: {},
      more: [
        ["Cookie", "===;;;"],
        ["Cookie", "a=b"],
      ],
    },
    {
      name: "absolute-form with the authority of Host",
      changes: {},
      target: "http://Server.example.com/chat",
    },
  ] as { name: string; changes: Record<string, string>; more?: [string, string][]; target?: string }[])(
    "accepts $name",
    ({ changes, more, target }) => {
      const outcome = request(changes, more, target === undefined ? {} : { target });
      expect(outcome).toMatchObject({ path: "/chat" });
      expect(isRefusal(outcome)).toBe(false);
    },
  );

  it.each([
    { name: "POST", line: { method: "POST" }, status: 405, reason: "bad_method" },
    { name: "HEAD", line: { method: "HEAD" }, status: 405, reason: "bad_method" },
    { name: "HTTP/1.0", line: { httpVersion: "1.0" }, status: 400, reason: "bad_http_version" },
    { name: "a body", more: [["Content-Length", "5"]], status: 400, reason: "unexpected_body" },
    {
      name: "a chunked body",
      more: [["Transfer-Encoding", "chunked"]],
      status: 400,
      reason: "unexpected_body",
    },
    { name: "no Host", changes: { Host: null }, status: 400, reason: "bad_host" },
    { name: "an empty Host", changes: { Host: "" }, status: 400, reason: "bad_host" },
    { name: "userinfo in Host", changes: { Host: "a@b" }, status: 400, reason: "bad_host" },
    { name: "a path in Host", changes: { Host: "a/b" }, status: 400, reason: "bad_host" },
    { name: "two hosts in one line", changes: { Host: "a, b" }, status: 400, reason: "bad_host" },
    { name: "two hosts joined", changes: { Host: "a,b" }, status: 400, reason: "bad_host" },
    { name: "a port past the last", changes: { Host: "a:65536" }, status: 400, reason: "bad_host" },
    { name: "half a percent escape in Host", changes: { Host: "a%4" }, status: 400, reason: "bad_host" },
    { name: "two Hosts", more: [["host", "b"]], status: 400, reason: "duplicate_header" },
    {
      name: "two Origins",
      more: [
        ["Origin", "a"],
        ["origin", "b"],
      ],
      status: 400,
      reason: "duplicate_header",
    },
    {
      name: "two Keys",
      more: [["Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="]],
      status: 400,
      reason: "duplicate_header",
    },
    {
      name: "two Versions",
      more: [["Sec-WebSocket-Version", "13"]],
      status: 400,
      reason: "duplicate_header",
    },
    {
      name: "too many lines",
      more: Array.from({ length: headerLinesMax }, () => ["a", "b"]),
      status: 431,
      reason: "too_many_headers",
    },
    { name: "a broken percent-encoding", line: { target: "/%zz%00" }, status: 400, reason: "bad_target" },
    { name: "asterisk-form", line: { target: "*" }, status: 400, reason: "bad_target" },
    { name: "authority-form", line: { target: "a:80" }, status: 400, reason: "bad_target" },
    {
      name: "absolute-form to another host",
      line: { target: "http://evil.example/chat" },
      status: 400,
      reason: "bad_target",
    },
    { name: "a fragment", line: { target: "/chat#a" }, status: 400, reason: "bad_target" },
    { name: "no Upgrade", changes: { Upgrade: null }, status: 400, reason: "bad_upgrade" },
    { name: "Upgrade: h2c", changes: { Upgrade: "h2c" }, status: 400, reason: "bad_upgrade" },
    { name: "no Connection", changes: { Connection: null }, status: 400, reason: "bad_upgrade" },
    {
      name: "Connection: keep-alive",
      changes: { Connection: "keep-alive" },
      status: 400,
      reason: "bad_upgrade",
    },
    { name: "no version", changes: { "Sec-WebSocket-Version": null }, status: 426, reason: "bad_version" },
    { name: "version 8", changes: { "Sec-WebSocket-Version": "8" }, status: 426, reason: "bad_version" },
    {
      name: "version 13, 8",
      changes: { "Sec-WebSocket-Version": "13, 8" },
      status: 426,
      reason: "bad_version",
    },
    { name: "version 013", changes: { "Sec-WebSocket-Version": "013" }, status: 426, reason: "bad_version" },
    { name: "no key", changes: { "Sec-WebSocket-Key": null }, status: 400, reason: "bad_key" },
    { name: "an empty key", changes: { "Sec-WebSocket-Key": "" }, status: 400, reason: "bad_key" },
    {
      name: "a key of 15 bytes",
      changes: { "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA" },
      status: 400,
      reason: "bad_key",
    },
    {
      name: "a key of 17 bytes",
      changes: { "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAA=" },
      status: 400,
      reason: "bad_key",
    },
    {
      name: "a key that is not base64",
      changes: { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25j-_==" },
      status: 400,
      reason: "bad_key",
    },
    {
      name: "a subprotocol with a separator",
      more: [["Sec-WebSocket-Protocol", "a/b"]],
      status: 400,
      reason: "bad_subprotocol",
    },
    {
      name: "a repeated subprotocol",
      more: [
        ["Sec-WebSocket-Protocol", "a"],
        ["sec-websocket-protocol", "b, a"],
      ],
      status: 400,
      reason: "bad_subprotocol",
    },
    {
      name: "an empty subprotocol list",
      more: [["Sec-WebSocket-Protocol", " , "]],
      status: 400,
      reason: "bad_subprotocol",
    },
    {
      name: "broken extensions",
      more: [["Sec-WebSocket-Extensions", "a;;b"]],
      status: 400,
      reason: "bad_extensions",
    },
  ] as {
    name: string;
    changes?: Record<string, string | null>;
    more?: [string, string][];
    line?: { method?: string; target?: string; httpVersion?: string };
    status: number;
    reason: string;
  }[])("refuses $name with $status $reason", ({ changes, more, line, status, reason }) => {
    const outcome = request(changes, more, line);
    expect(outcome).toMatchObject({ status, reason });
    expect(refusalReasons).toContain(reason);
  });

  it("names what it refuses in terms of the protocol and closes, 426 with the version that would be right (§4.4)", () => {
    const outcome = request({ "Sec-WebSocket-Version": "8" });
    if (!isRefusal(outcome)) throw new Error("accepted");
    expect(refusalResponse(outcome).toString()).toBe(
      "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n" +
        "Content-Type: application/json; charset=utf-8\r\nContent-Length: 83\r\nConnection: close, Upgrade\r\n\r\n" +
        '{"error":{"code":"upgrade_required","message":"Sec-WebSocket-Version must be 13"}}\n',
    );
    expect(refusalResponse(outcome, "date: now\r\n").toString()).toContain(
      "close, Upgrade\r\ndate: now\r\n\r\n{",
    );
    expect(refusalResponse({ status: 404, reason: "not_found", message: "no" }).toString()).toMatch(
      /^HTTP\/1\.1 404 Not Found\r\nContent-Type.*\r\nContent-Length: \d+\r\nConnection: close\r\n\r\n/,
    );
  });

  it("decodes the path, keeps the query, and never needs a URL to be sane", () => {
    const outcome = request({}, [], { target: "/raw/%E5%BC%B9?topics=a,b&token=x%2" });
    expect(outcome).toMatchObject({ path: "/raw/弹" });
    expect((outcome as Handshake).query.get("topics")).toBe("a,b");
    expect((request({}, [], { target: "//evil/.." }) as Handshake).path).toBe("//evil/..");
    expect((request({}, [], { target: "http://server.example.com" }) as Handshake).path).toBe("/");
  });

  it("joins repeated lines, cookies with a semicolon, and knows no prototype", () => {
    const { headers } = request({}, [
      ["X-A", "1"],
      ["x-a", "2"],
      ["Cookie", "a=1"],
      ["Cookie", "b=2"],
      ["__proto__", "x"],
    ]) as Handshake;
    expect([headers.get("x-a"), headers.get("cookie"), headers.get("__proto__")]).toEqual([
      "1, 2",
      "a=1; b=2",
      "x",
    ]);
    expect(headers.get("constructor")).toBeUndefined();
  });

  it("finds the token of an Upgrade list", () => {
    expect(asksForWebSocket("h2c, WebSocket")).toBe(true);
    expect(asksForWebSocket("websocket2")).toBe(false);
    expect(asksForWebSocket("")).toBe(false);
  });
});

describe("subprotocol choice", () => {
  it.each([
    { offered: ["tapecast.v1"], ours: ["tapecast.v1"], chosen: "tapecast.v1" },
    { offered: ["other", "b", "a"], ours: ["a", "b"], chosen: "b" },
    { offered: ["__proto__", "constructor", "toString"], ours: ["a"], chosen: null },
    { offered: [], ours: ["a"], chosen: null },
    { offered: ["a"], ours: [], chosen: null },
  ])("of $offered with ours $ours: $chosen", ({ offered, ours, chosen }) => {
    expect(chooseSubprotocol(offered, ours)).toBe(chosen);
  });
});

describe("hostile heads", () => {
  const valid = Buffer.from(
    `GET /chat?x=%41 HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}`).join("\r\n")}\r\n` +
      "Origin: https://a.example\r\nSec-WebSocket-Protocol: a, b\r\n" +
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits="10"\r\n\r\n',
  );

  it("never throw, whatever bytes change, and what is accepted has a good key", () => {
    const edit = record({
      at: nat(valid.length - 1),
      remove: nat(3),
      insert: uint8Array({ maxLength: 3 }),
    });
    assert(
      property(array(edit, { maxLength: 4 }), (edits) => {
        let bytes: Buffer = valid;
        for (const { at, remove, insert } of edits) {
          bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
        }
        const verdict = readRequestHead(bytes);
        if (typeof verdict === "string") return;
        const outcome = evaluateHandshake(verdict.head);
        if (isRefusal(outcome)) refusalResponse(outcome);
        else expect(Buffer.from(outcome.key, "base64")).toHaveLength(16);
      }),
      { numRuns: 20_000 },
    );
  });

  it.each([
    {
      name: "4 KiB of spaces in the subprotocols",
      field: "Sec-WebSocket-Protocol",
      value: `a${" ".repeat(4096)}b`,
    },
    {
      name: "4,000 escapes in the extensions",
      field: "Sec-WebSocket-Extensions",
      value: `a="${"\\c".repeat(4000)}`,
    },
    { name: "10,000 commas", field: "Sec-WebSocket-Protocol", value: ",".repeat(10_000) },
    { name: "10,000 quotes", field: "Sec-WebSocket-Extensions", value: '"'.repeat(10_001) },
    { name: "9 KB of unknown offers", field: "Sec-WebSocket-Extensions", value: "x;y,".repeat(2250) },
  ])("cost little: $name", ({ field, value }) => {
    // The best of many: the machine may be busy, a quadratic reader is slow every time.
    let bestMs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 20; round += 1) {
      const start = performance.now();
      request({}, [[field, value]]);
      bestMs = Math.min(bestMs, performance.now() - start);
    }
    expect(bestMs).toBeLessThan(5);
  });
});
