/**
 * Behind a real nginx and a real haproxy: WebSocket works, the client's address is the client's, and no request gets
 * past the proxy's rules inside another one. Both proxies forbid `/api/publish`: what is stored has been smuggled.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { get, publish } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { ProxyServer, proxyIdleMs, type ProxyKind } from "./proxy-server.ts";
import { clientAt, handshake, RawClient } from "./raw-client.ts";

const key = "proxy-test-key";
const json = '{"topic":"quote.SMUGGLED","data":1}';
/** What must never reach the server through the proxy. */
const smuggled = [
  "POST /api/publish HTTP/1.1",
  "Host: tape.test",
  `Authorization: Bearer ${key}`,
  "Content-Type: application/json",
  `Content-Length: ${json.length}`,
  "",
  json,
].join("\r\n");
const chunkedSmuggled = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;

function post(lines: readonly string[], body: string): string {
  return ["POST /api/topics/quote.A HTTP/1.1", "Host: tape.test", ...lines, "", body].join("\r\n");
}

const chunkedEnd = "0\r\n\r\n";
const shapes: readonly (readonly [name: string, bytes: string])[] = [
  ["CL.TE", post([`Content-Length: ${chunkedEnd.length + smuggled.length}`, "Transfer-Encoding: chunked"], chunkedEnd + smuggled)],
  ["TE.CL", post(["Content-Length: 4", "Transfer-Encoding: chunked"], chunkedSmuggled)],
  ["two Content-Length", post(["Content-Length: 0", `Content-Length: ${smuggled.length}`], smuggled)],
  ["Content-Length as a list", post([`Content-Length: 0, ${smuggled.length}`], smuggled)],
  ["Content-Length with a sign", post(["Content-Length: +0"], smuggled)],
  ["obs-fold Transfer-Encoding", post([`Content-Length: ${chunkedEnd.length + smuggled.length}`, "Transfer-Encoding:\r\n chunked"], chunkedEnd + smuggled)],
  ["obs-fold before Content-Length", post(["X: y\r\n Content-Length: 0", "Transfer-Encoding: chunked"], chunkedEnd + smuggled)],
  ["a space before the colon", post([`Content-Length: ${chunkedEnd.length + smuggled.length}`, "Transfer-Encoding : chunked"], chunkedEnd + smuggled)],
  ["a tab before chunked", post([`Content-Length: ${chunkedEnd.length + smuggled.length}`, "Transfer-Encoding:\tchunked"], chunkedEnd + smuggled)],
  ["a vertical tab before chunked", post([`Content-Length: ${chunkedEnd.length + smuggled.length}`, "Transfer-Encoding: \u000bchunked"], chunkedEnd + smuggled)],
  ["xchunked", post([`Content-Length: ${chunkedEnd.length + smuggled.length}`, "Transfer-Encoding: xchunked"], chunkedEnd + smuggled)],
  ["chunked, identity", post([`Content-Length: ${chunkedEnd.length + smuggled.length}`, "Transfer-Encoding: chunked, identity"], chunkedEnd + smuggled)],
  ["identity, then chunked", post(["Content-Length: 4", "Transfer-Encoding: identity", "Transfer-Encoding: chunked"], chunkedSmuggled)],
  ["a chunk extension of 64 KiB", post(["Transfer-Encoding: chunked"], `1;${"x".repeat(65_536)}\r\na\r\n${chunkedEnd}${smuggled}`)],
  ["a chunk extension with a bare LF", post(["Transfer-Encoding: chunked"], `2;\nxx\r\n4c\r\n${chunkedEnd}${smuggled}`)],
  ["a chunk length past 64 bits", post(["Transfer-Encoding: chunked"], `10000000000000005\r\nabcde\r\n${chunkedEnd}${smuggled}`)],
  ["a chunk length with 0x", post(["Transfer-Encoding: chunked"], `0x5\r\nabcde\r\n${chunkedEnd}${smuggled}`)],
  ["chunked on HTTP/1.0", post(["Content-Length: 4", "Transfer-Encoding: chunked"], chunkedSmuggled).replace("HTTP/1.1", "HTTP/1.0")],
  ["behind an upgrade of a wrong version", handshake("/ws", ["Sec-WebSocket-Version: 7"]) + smuggled],
  ["behind an upgrade of a wrong Origin", handshake("/ws", ["Origin: https://evil.example"]) + smuggled],
  ["behind an upgrade of no such path", handshake("/nowhere") + smuggled],
  ["behind an upgrade with a body", handshake("/ws", [`Content-Length: ${smuggled.length}`]) + smuggled],
  ["behind an upgrade with a chunked body", handshake("/ws", ["Transfer-Encoding: chunked"]) + chunkedEnd + smuggled],
  ["behind an upgrade that is accepted", handshake("/ws") + smuggled],
  ["behind an upgrade to h2c", post(["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Content-Length: 0"], "") + smuggled],
]; // prettier-ignore

describe.each<ProxyKind>(["nginx", "haproxy"])("behind %s", (kind) => {
  let server: Server;
  let proxy: ProxyServer;

  beforeAll(async () => {
    server = await Server.start({
      sets: {
        workers: 1,
        "listen.trustedProxies": ["127.0.0.1"],
        "limits.connectionsPerAddressMax": 2,
        "auth.publishKeys": [key],
        "heartbeat.intervalMs": 800,
        "heartbeat.timeoutMs": 8000,
      },
    });
    proxy = await ProxyServer.start(kind, server.port);
  });

  afterAll(async () => {
    await proxy.stop();
    if (!server.process.hasEnded) expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it.each(shapes)("is not smuggled: %s", async (_name, bytes) => {
    const answer = await clientAt(proxy.port, bytes, { withinMs: 700 });
    // Others on the proxy's kept connections get the answers to their own questions.
    for (const topic of ["quote.ONE", "quote.TWO", "quote.THREE"]) {
      const next = await clientAt(
        proxy.port,
        `GET /api/topics/${topic} HTTP/1.1\r\nHost: tape.test\r\nConnection: close\r\n\r\n`,
        { from: "127.0.0.3" },
      );
      expect(next).toMatch(/^HTTP\/1\.1 200 /u);
      expect(next).toContain(`"topic":"${topic}"`);
      expect(next.match(/HTTP\/1\.1 /gu)).toHaveLength(1);
    }
    const { text } = await get(`${server.http}/api/topics/quote.SMUGGLED`);
    expect(JSON.parse(text), answer.slice(0, 300)).toMatchObject({ seq: 0 });
    // A second answer is the proxy's own to what it took for the next request: its 403, or a 400.
    expect(answer).not.toContain('"results"');
  });

  it("the same publish through the front is the proxy's 403, and to the server itself a 200: the trap is armed", async () => {
    expect(await clientAt(proxy.port, smuggled, { done: (text) => text.includes("403") })).toMatch(
      /^HTTP\/1\.1 403 /u,
    );
    const headers = { authorization: `Bearer ${key}` };
    expect((await publish(server.http, "quote.ARMED", "1", { headers })).status).toBe(200);
  });

  it("a WebSocket is upgraded, subscribes and gets what is published; a GET went before on the proxy's connection", async () => {
    for (let count = 0; count < 3; count += 1) {
      expect((await get(`http://127.0.0.1:${proxy.port}/healthz`)).status).toBe(200);
    }
    const peer = await Peer.native(`ws://127.0.0.1:${proxy.port}`);
    await peer.subscribe("quote.PROXY");
    await publish(server.http, "quote.PROXY", "1.50", { headers: { authorization: `Bearer ${key}` } });
    expect(await peer.text()).toBe('{"topic":"quote.PROXY","seq":1,"data":1.50}');
    await peer.close();
  });

  it("the client's address is what limits count, whatever the client writes into X-Forwarded-For", async () => {
    const clients: RawClient[] = [];
    const open = async (from: string, forwardedFor: string): Promise<string> => {
      const client = new RawClient(proxy.port, from);
      clients.push(client);
      client.send(handshake("/ws", [`X-Forwarded-For: ${forwardedFor}`]));
      await client.until((text) => /"welcome"|connection_limit/u.test(text), 5000);
      return /welcome|connection_limit/u.exec(client.text)?.[0] ?? client.text;
    };
    expect(await open("127.0.0.5", "1.1.1.1")).toBe("welcome");
    expect(await open("127.0.0.5", "2.2.2.2")).toBe("welcome");
    expect(await open("127.0.0.5", "3.3.3.3")).toBe("connection_limit");
    expect(await open("127.0.0.5", "127.0.0.6, , garbage")).toBe("connection_limit");
    expect(await open("127.0.0.6", "127.0.0.5")).toBe("welcome");
    for (const client of clients) client.socket.destroy();
    await until(
      "the places to be free again",
      async () => (await open("127.0.0.5", "4.4.4.4")) === "welcome",
    );
    for (const client of clients) client.socket.destroy();
  });

  it("same-origin knows that the browser spoke http to the proxy", async () => {
    expect(await statusOf(proxy.port, "http://tape.test")).toBe("101");
    expect(await statusOf(proxy.port, "https://tape.test")).toBe("403");
    expect(await statusOf(proxy.port, "http://evil.test")).toBe("403");
  });

  it("a reader to whom nothing is said outlives the proxy's time limit: the heartbeat is shorter", async () => {
    const peer = await Peer.native(`ws://127.0.0.1:${proxy.port}`);
    const end = await Promise.race([
      peer.ended,
      new Promise((resolve) => {
        setTimeout(resolve, proxyIdleMs * 2);
      }),
    ]);
    expect(end).toBeUndefined();
    expect(peer.pings).toBeGreaterThanOrEqual(3);
    expect(await peer.command("ping")).toMatchObject({ result: {} });
    await peer.close();
  });

  // The last: the server is gone afterwards.
  it("a server that goes away tells its clients through the proxy, and closes with 4000", async () => {
    const peer = await Peer.native(`ws://127.0.0.1:${proxy.port}`);
    const stopped = server.stop();
    expect(await peer.json()).toMatchObject({ event: "closing", reason: "restart" });
    expect(await peer.ended).toMatchObject({ code: 4000, reason: "restart" });
    expect(await stopped).toEqual({ code: 0, signal: null });
    const answer = await clientAt(proxy.port, handshake("/ws"), { done: (text) => text.includes("\r\n") });
    expect(answer).toMatch(/^HTTP\/1\.1 50[23] /u);
  });
});

/** The status that a handshake of a page of this origin gets. */
async function statusOf(port: number, origin: string): Promise<string> {
  const answer = await clientAt(port, handshake("/ws", [`Origin: ${origin}`]), {
    done: (text) => text.includes("\r\n"),
  });
  return answer.slice(9, 12);
}
