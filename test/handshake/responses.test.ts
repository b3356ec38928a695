import { describe, expect, it } from "vitest";

import { acceptKey, acceptResponse } from "../../src/handshake/accept-response.ts";
import { clientRequest, createKey, readServerResponse } from "../../src/handshake/client-handshake.ts";
import { evaluateHandshake, isRefusal } from "../../src/handshake/evaluate-handshake.ts";
import { readRequestHead } from "../../src/handshake/request-head.ts";

const key = "dGhlIHNhbXBsZSBub25jZQ==";

describe("RFC 6455 §4.2.2 the server's opening handshake", () => {
  it("gives the golden value of §1.3", () => {
    expect(acceptKey(key)).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });

  it("writes the 101 of §1.3, with and without a subprotocol", () => {
    const head =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    expect(acceptResponse(key, null).toString("latin1")).toBe(`${head}\r\n`);
    expect(acceptResponse(key, "chat", { "X-A": "1" }).toString("latin1")).toBe(
      `${head}Sec-WebSocket-Protocol: chat\r\nX-A: 1\r\n\r\n`,
    );
  });

  it("cannot be made to split the response", () => {
    expect(() => acceptResponse(key, null, { "X-A": "1\r\nSet-Cookie: a=b" })).toThrow(/visible ASCII/);
  });
});

describe("RFC 6455 §4.1 the client's side", () => {
  it("writes a request that our own server accepts", () => {
    const mine = createKey();
    const bytes = clientRequest({ host: "a:1", target: "/ws?x=1" }, mine, ["b", "a"], {
      Origin: "http://a:1",
    });
    const verdict = readRequestHead(bytes);
    if (typeof verdict === "string") throw new Error(verdict);
    const outcome = evaluateHandshake(verdict.head);
    expect(isRefusal(outcome)).toBe(false);
    expect(outcome).toMatchObject({ key: mine, host: "a:1", subprotocols: ["b", "a"], origin: "http://a:1" });
    expect(clientRequest({ host: "a", target: "/" }, mine).toString()).not.toContain("Protocol");
  });

  it("refuses to write what would split the request", () => {
    expect(() => clientRequest({ host: "a", target: "/ HTTP/1.1\r\nX: y" }, key)).toThrow(/target/);
    expect(() => clientRequest({ host: "a\r\nX: y", target: "/" }, key)).toThrow(/Host/);
    expect(() => clientRequest({ host: "a", target: "/" }, key, [], { "X-A": "\n" })).toThrow(/X-A/);
  });

  it("accepts its own server's answer, at any split, and says where the frames begin", () => {
    const bytes = Buffer.concat([
      acceptResponse(key, "chat", { "X-A": "1", "x-a": "2" }),
      Buffer.from([0x89, 0]),
    ]);
    for (let split = 0; split < bytes.length - 2; split += 1) {
      expect(readServerResponse(bytes.subarray(0, split), key, ["chat"]).kind).toBe("incomplete");
    }
    const response = readServerResponse(bytes, key, ["chat"]);
    expect(response).toMatchObject({ kind: "accepted", subprotocol: "chat", headBytes: bytes.length - 2 });
    expect(response.kind === "accepted" && response.headers.get("x-a")).toBe("1, 2");
    expect(readServerResponse(acceptResponse(key, null), key)).toMatchObject({
      kind: "accepted",
      subprotocol: null,
    });
  });

  const accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
  it.each([
    { name: "not HTTP", text: "SSH-2.0-OpenSSH", status: 0, problem: /not HTTP/ },
    { name: "broken field lines", text: "HTTP/1.1 101 x\r\nnonsense", status: 0, problem: /not HTTP/ },
    { name: "another status", text: "HTTP/1.1 404 Not Found\r\nA: b", status: 404, problem: /answered 404/ },
    { name: "a status without fields", text: "HTTP/1.1 503", status: 503, problem: /answered 503/ },
    {
      name: "no Upgrade",
      text: `HTTP/1.1 101 x\r\nConnection: Upgrade\r\n${accept}`,
      status: 101,
      problem: /Upgrade is/,
    },
    {
      name: "no Connection",
      text: `HTTP/1.1 101 x\r\nUpgrade: websocket\r\n${accept}`,
      status: 101,
      problem: /Connection/,
    },
    {
      name: "a wrong accept",
      text: "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x",
      status: 101,
      problem: /Accept/,
    },
    {
      name: "an extension",
      text: `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n${accept}\r\nSec-WebSocket-Extensions: a`,
      status: 101,
      problem: /extension/,
    },
    {
      name: "a subprotocol of its own",
      text: `HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n${accept}\r\nSec-WebSocket-Protocol: a`,
      status: 101,
      problem: /subprotocol/,
    },
  ])("fails the connection on $name", ({ text, status, problem }) => {
    const response = readServerResponse(Buffer.from(`${text}\r\n\r\n`), key);
    expect(response).toMatchObject({ kind: "refused", status, headBytes: text.length + 4 });
    expect(response.kind === "refused" && response.problem).toMatch(problem);
  });
});
