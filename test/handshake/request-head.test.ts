import { describe, expect, it } from "vitest";

import { headerLinesMax, readRequestHead } from "../../src/handshake/request-head.ts";

const good =
  "GET /ws?topics=a HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nX-Odd:\t padded \t\r\nX-Empty:\r\n\r\n";

function read(text: string): ReturnType<typeof readRequestHead> {
  return readRequestHead(Buffer.from(text, "latin1"));
}

describe("strict reader of a request head", () => {
  it("reads a well-formed head and says where the next protocol begins", () => {
    expect(read(`${good}\x81\x80`)).toEqual({
      head: {
        method: "GET",
        target: "/ws?topics=a",
        httpVersion: "1.1",
        rawHeaders: ["Host", "example.com", "Upgrade", "websocket", "X-Odd", "padded", "X-Empty", ""],
      },
      headBytes: good.length,
    });
  });

  it("waits at every split and finds the end however little the last piece is", () => {
    const bytes = Buffer.from(good);
    for (let split = 0; split < bytes.length; split += 1) {
      expect(readRequestHead(bytes.subarray(0, split))).toBe("incomplete");
      expect(readRequestHead(bytes, split)).toMatchObject({ headBytes: good.length });
    }
  });

  it("reads a head without any field", () => {
    expect(read("GET / HTTP/1.1\r\n\r\n")).toMatchObject({ head: { rawHeaders: [] } });
  });

  it.each([
    { name: "another method", text: "POST / HTTP/1.1\r\nHost: a\r\n\r\n" },
    { name: "another method, at its first byte", text: "P" },
    { name: "a TLS ClientHello", text: "\x16\x03\x01\x02\x00" },
    { name: "the HTTP/2 preface", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
    { name: "HTTP/1.0", text: "GET / HTTP/1.0\r\n\r\n" },
    { name: "HTTP/0.9", text: "GET /\r\n\r\n" },
    { name: "lower case method", text: "get / HTTP/1.1\r\n\r\n" },
    { name: "two spaces", text: "GET  / HTTP/1.1\r\n\r\n" },
    { name: "absolute-form", text: "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n" },
    { name: "asterisk-form", text: "GET * HTTP/1.1\r\n\r\n" },
    { name: "a byte above 0x7F in the target", text: "GET /\xe9 HTTP/1.1\r\n\r\n" },
    { name: "a tab in the target", text: "GET /\t HTTP/1.1\r\n\r\n" },
    { name: "a bare LF after the request line", text: "GET / HTTP/1.1\nHost: a\n\n" },
    { name: "a bare LF between fields", text: "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n" },
    { name: "a bare CR in a value", text: "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n" },
    { name: "NUL in a value", text: "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n" },
    { name: "obsolete line folding", text: "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n" },
    { name: "a space before the colon", text: "GET / HTTP/1.1\r\nHost : a\r\n\r\n" },
    { name: "no colon", text: "GET / HTTP/1.1\r\nHost\r\n\r\n" },
    { name: "an empty field name", text: "GET / HTTP/1.1\r\n: a\r\n\r\n" },
    { name: "too many lines", text: `GET / HTTP/1.1\r\n${"a:b\r\n".repeat(headerLinesMax + 1)}\r\n` },
  ])("passes on: $name", ({ text }) => {
    expect(read(text)).toBe("other");
  });

  it("reads as many lines as its limit", () => {
    expect(read(`GET / HTTP/1.1\r\n${"a:b\r\n".repeat(headerLinesMax)}\r\n`)).toMatchObject({ head: {} });
  });
});
