/** One port for HTTP and WebSocket, with two workers behind it: plain, TLS, unix socket, IPv6. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { connect, type Socket } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { clientRequest, createKey, readServerResponse } from "../../src/handshake/client-handshake.ts";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { selfSigned } from "../setup/certificate.ts";
import { ask, get, publish, publishLines } from "./http.ts";
import { Peer } from "./peer.ts";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";
import { tapecast } from "./run.ts";
import { onRedis, serveArguments, Server } from "./server.ts";
import { until, within } from "./until.ts";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tapecast-e2e-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe.each(["memory", "redis"] as const)("HTTP in front of two workers, broker %s", (kind) => {
  let server: Server;

  beforeAll(async () => {
    server = await Server.start({ sets: kind === "redis" ? onRedis(redisUrl(), uniquePrefix()) : {} });
  });

  afterAll(async () => {
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it("what one worker takes, the other one knows: values and history", async () => {
    const lines = Array.from(
      { length: 50 },
      (_, index) => `{"topic":"trade.H","data":{"n":${index + 1},"price":1.10}}`,
    );
    const stored = (await publishLines(server.http, lines)).results();
    expect(stored.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1));
    const { epoch } = stored[0] ?? {};
    // Each request has a connection of its own, so both workers answer some.
    for (let index = 0; index < 6; index++) {
      const value = await get(`${server.http}/api/topics/trade.H`);
      expect(value.text).toBe(`{"topic":"trade.H","epoch":"${epoch}","seq":50,"data":{"n":50,"price":1.10}}`);
      const page = await get(`${server.http}/api/topics/trade.H/history?epoch=${epoch}&since=40&limit=3`);
      const messages = [41, 42, 43].map((seq) => `{"seq":${seq},"data":{"n":${seq},"price":1.10}}`).join(",");
      expect(page.text).toContain(`"messages":[${messages}]`);
      expect(page.json()).toMatchObject({ epoch, seq: 50, recovered: true });
    }
  });

  it("an idempotency key stores a message once, whichever worker is asked again", async () => {
    const headers = { "idempotency-key": `key-${kind}` };
    const answers = [];
    for (let index = 0; index < 4; index++) {
      answers.push((await publish(server.http, "trade.ONCE", "1", { headers })).results()[0]);
    }
    expect(answers.map((result) => result?.seq)).toEqual([1, 1, 1, 1]);
  });

  it("publishers on both workers share one sequence", async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => publish(server.http, "trade.SHARED", String(index))),
    );
    const seqs = answers.map((answer) => answer.results()[0]?.seq ?? 0).sort((a, b) => a - b);
    expect(seqs).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  });

  it("HEAD, openapi.json, healthz and the admin port answer", async () => {
    expect(await ask(`${server.http}/healthz`, { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
    expect((await get(`${server.http}/openapi.json`)).json()).toMatchObject({
      openapi: expect.stringMatching(/^3\.1/u),
    });
    expect((await get(`${server.http}/readyz`)).status).toBe(200);
    expect((await get(`${server.admin}/readyz`)).json()).toEqual({ ready: true, reasons: [] });
    expect((await get(`${server.http}/metrics`)).status, "only on the admin port").toBe(404);
  });

  it("a kept-alive connection serves requests and then a handshake", async () => {
    const socket = connect(server.port, "127.0.0.1");
    const reader = new Bytes(socket);
    socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(await reader.until("\r\n\r\n")).toContain("200 OK");
    await reader.until("}");
    const key = createKey();
    socket.write(clientRequest({ host: `127.0.0.1:${server.port}`, target: "/echo" }, key, []));
    const head = await reader.until("\r\n\r\n");
    expect(readServerResponse(Buffer.from(head, "latin1"), key, [])).toMatchObject({ kind: "accepted" });
    socket.write(encodeMaskedFrame(opcode.text, Buffer.from("hi"), 0x01020304));
    expect(await reader.until("hi")).toBe("\x81\x02hi");
    socket.destroy();
  });

  it("frames in the same packet as the handshake are not lost", async () => {
    const socket = connect(server.port, "127.0.0.1");
    const reader = new Bytes(socket);
    const key = createKey();
    const request = clientRequest({ host: `127.0.0.1:${server.port}`, target: "/echo" }, key, []);
    socket.write(
      Buffer.concat([request, encodeMaskedFrame(opcode.text, Buffer.from("at once"), 0x01020304)]),
    );
    await reader.until("\r\n\r\n");
    expect(await reader.until("at once")).toBe("\x81\x07at once");
    socket.destroy();
  });

  it("a handshake byte by byte is one", async () => {
    const socket = connect({ port: server.port, host: "127.0.0.1", noDelay: true });
    const reader = new Bytes(socket);
    const key = createKey();
    for (const byte of clientRequest({ host: "x", target: "/echo" }, key, [])) {
      socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    expect(await reader.until("\r\n\r\n")).toContain("101 Switching Protocols");
    socket.destroy();
  });

  it("an agent of node's keeps its connection over many requests", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    agent.on("free", (socket: Socket) => ports.add(socket.localPort));
    for (let index = 0; index < 20; index++) {
      expect((await publish(server.http, "trade.KEEP", String(index), { agent })).status).toBe(200);
    }
    agent.destroy();
    expect(ports.size).toBe(1);
  });
});

describe("listen.tls", () => {
  it("https and wss on one port, with a certificate of the test's own", async () => {
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const pem = selfSigned();
    writeFileSync(cert, pem.cert);
    writeFileSync(key, pem.key);
    await using server = await Server.start({ sets: { "listen.tls": { cert, key } } });
    expect(server.http).toMatch(/^https:/u);
    expect((await publish(server.http, "quote.TLS", "1.10")).status).toBe(200);
    const peer = await Peer.open(`${server.ws}/raw/quote.TLS`, { rejectUnauthorized: false });
    expect(await peer.text()).toBe("1.10");
    expect(await peer.close(4000)).toMatchObject({ code: 4000 });

    const foreign = new WebSocket(`${server.ws}/echo`, { rejectUnauthorized: false });
    const megabyte = "é".repeat(524_288);
    const echoed = new Promise((resolve, reject) => {
      foreign.on("error", reject);
      foreign.on("open", () => foreign.send(megabyte));
      foreign.on("message", (data: Buffer) => resolve(data.toString()));
    });
    expect(await within("the echo over TLS", 10_000, echoed)).toBe(megabyte);
    foreign.close(1000);

    const page = { headers: { Origin: server.http } };
    await (await Peer.open(`${server.ws}/ws`, { ...page, rejectUnauthorized: false })).close();
    const plain = await new Peer({ url: `${server.ws.replace("wss", "ws")}/ws` }).ended;
    expect(plain).toMatchObject({ code: 1006 });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

describe("listen.unixSocket", () => {
  it("HTTP and WebSocket over a unix socket, which is gone after the end", { timeout: 60_000 }, async () => {
    const path = join(folder, "tapecast.sock");
    await using server = await Server.start({ sets: { "listen.unixSocket": path } });
    expect(server.addresses).toContain(`unix:${path}`);
    expect((await publish("http://localhost", "quote.UNIX", "1.10", { socketPath: path })).status).toBe(200);
    const foreign = new WebSocket(`ws+unix://${path}:/raw/quote.UNIX`);
    const value = new Promise((resolve, reject) => {
      foreign.on("error", reject);
      foreign.on("message", (data: Buffer) => resolve(data.toString()));
    });
    expect(await within("the value over the unix socket", 10_000, value)).toBe("1.10");
    foreign.close();
    expect(await server.stop()).toEqual({ code: 0, signal: null });

    // The next server takes the same path, also over what a killed one left behind.
    await using next = await Server.start({ sets: { "listen.unixSocket": path } });
    await next.process.kill();
    await using afterCrash = await Server.start({ sets: { "listen.unixSocket": path } });
    expect((await get("http://localhost/healthz", { socketPath: path })).status).toBe(200);
    const second = await tapecast(serveArguments({ sets: { "listen.unixSocket": path } }));
    expect(second).toMatchObject({
      code: 69,
      stderr: expect.stringContaining(`another process listens on ${path}`),
    });
    expect((await get("http://localhost/healthz", { socketPath: path })).status).toBe(200);
    expect(await afterCrash.stop()).toEqual({ code: 0, signal: null });
  });
});

const hasIpv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === "::1"),
);

describe("listen.host ::", () => {
  it("IPv6 and IPv4 on one port", async (context) => {
    // A kernel without IPv6 cannot show it; the report of the run says so.
    context.skip(!hasIpv6, "this machine has no ::1");
    await using server = await Server.start({ sets: { "listen.host": "::" } });
    const { port } = server;
    for (const host of ["[::1]", "127.0.0.1"]) {
      expect((await publish(`http://${host}:${port}`, "quote.SIX", `"${host}"`)).status).toBe(200);
      const peer = await Peer.open(`ws://${host}:${port}/raw/quote.SIX`);
      expect(await peer.text()).toBe(`"${host}"`);
      await peer.close();
      const page = await Peer.open(`ws://${host}:${port}/ws`, {
        headers: { Origin: `http://${host}:${port}` },
      });
      await page.close();
    }
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

/** The bytes that a socket brings, read up to a mark. */
class Bytes {
  readonly #socket: Socket;
  #text = "";

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => (this.#text += chunk.toString("latin1")));
  }

  /** Everything up to and with `mark`. */
  async until(mark: string): Promise<string> {
    await until(
      `${JSON.stringify(mark)} from the socket`,
      () => this.#text.includes(mark) || this.#socket.destroyed,
      10_000,
    );
    const end = this.#text.indexOf(mark) + mark.length;
    const text = this.#text.slice(0, end);
    this.#text = this.#text.slice(end);
    return text;
  }
}
