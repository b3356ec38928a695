/**
 * Clients that we did not write, against a whole server: connect, echo 1 MB of text and of binary, ping, close with
 * 1000 and with 4000, and both sides agree on the code. Nothing is skipped: a client that is missing fails its test
 * with what to install.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { WebSocket as UndiciWebSocket } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import websocket from "websocket";
import { WebSocket as WsWebSocket } from "ws";
import { run } from "../e2e/run.ts";
import { Server } from "../e2e/server.ts";
import { delay, until, within } from "../e2e/until.ts";
import { launchChromium } from "./chromium.ts";

const megabyte = 1_048_576;
/** 1 MB in UTF-8, of characters of one to four bytes. */
const text = `${"aé弹🎏".repeat(megabyte / 10)}tail-1`;
const binary = Buffer.from(Array.from({ length: megabyte }, (_, index) => (index * 7 + (index >> 8)) & 255));

/** What a client found out. */
interface Report {
  /** Whether the megabyte of text came back as it was. */
  readonly text: boolean;
  readonly binary: boolean;
  /** Whether a ping was answered; for a client that cannot send one: whether it lived on our pings to it. */
  readonly pong: boolean;
  /** The close code that it saw in the end. */
  readonly code: number;
}

interface ForeignClient {
  readonly name: string;
  readonly talk: (url: string, code: number) => Promise<Report>;
}

const clients: readonly ForeignClient[] = [
  { name: "npm ws", talk: talkWs },
  { name: "npm undici", talk: talkUndici },
  { name: "npm websocket", talk: talkWebsocket },
  { name: "python3-websockets", talk: talkPython },
  { name: "Chromium", talk: talkChromium },
];

/** Longer than a client lives that answers no ping: interval and timeout of the server below. */
const silenceMs = 2000;
const pinging = new Set(["npm ws", "npm websocket", "python3-websockets"]);

let server: Server;

beforeAll(async () => {
  server = await Server.start({
    sets: { workers: 1, "heartbeat.intervalMs": 300, "heartbeat.timeoutMs": 1000 },
  });
});

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

describe.each(clients)("$name on /echo", ({ name, talk }) => {
  it.each([
    { code: 1000, reason: "normal" },
    { code: 4000, reason: "other" },
  ])("1 MB of text and of binary, ping, and close with $code on both sides", async ({ code, reason }) => {
    expect(Buffer.byteLength(text)).toBeGreaterThanOrEqual(megabyte);
    const before = await closedAs(reason);
    const pingsBefore = (await server.metrics()).sum("tapecast_pings_received_total");
    const startMs = performance.now();
    const report = await within(`${name} to be done`, 60_000, talk(`${server.ws}/echo`, code));
    console.log(`${name}: ${JSON.stringify(report)} in ${(performance.now() - startMs).toFixed(0)} ms`);
    expect(report).toMatchObject({ text: true, binary: true, pong: true, code });
    // The server's side: one connection more that was closed by the peer with that code.
    await until("the server to count the close", async () => (await closedAs(reason)) === before + 1);
    if (pinging.has(name)) {
      expect((await server.metrics()).sum("tapecast_pings_received_total")).toBeGreaterThan(pingsBefore);
    }
  });
});

/** How many the server saw closed so. A code of an application's own that a peer sends is `other`. */
async function closedAs(reason: string): Promise<number> {
  return (await server.metrics()).sum("tapecast_connections_closed_total", { reason });
}

async function talkWs(url: string, code: number) {
  const socket = new WsWebSocket(url);
  const messages = new Queue<{ data: Buffer; isBinary: boolean }>();
  const pong = new Promise<boolean>((resolve) => {
    socket.on("pong", (data) => resolve(data.toString() === "are you there"));
  });
  const closed = new Promise<number>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", resolve);
  });
  socket.on("message", (data: Buffer, isBinary) => messages.put({ data, isBinary }));
  await new Promise((resolve) => socket.once("open", resolve));
  socket.send(text);
  const first = await messages.take();
  socket.send(binary);
  const second = await messages.take();
  socket.ping("are you there");
  const isAnswered = await pong;
  socket.close(code);
  return {
    text: !first.isBinary && first.data.toString() === text,
    binary: second.isBinary && second.data.equals(binary),
    pong: isAnswered,
    code: await closed,
  };
}

async function talkUndici(url: string, code: number) {
  const socket = new UndiciWebSocket(url);
  socket.binaryType = "arraybuffer";
  const messages = new Queue<unknown>();
  const closed = new Promise<number>((resolve) => {
    socket.addEventListener("close", (event) => resolve(event.code));
  });
  socket.addEventListener("message", (event) => messages.put(event.data));
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error("undici could not connect")));
  });
  socket.send(text);
  const first = await messages.take();
  socket.send(binary);
  const second = await messages.take();
  // The WHATWG interface has no ping, but answers them.
  await delay(silenceMs);
  socket.send("still here");
  const third = await messages.take();
  socket.close(code);
  return {
    text: first === text,
    binary: second instanceof ArrayBuffer && Buffer.from(second).equals(binary),
    pong: third === "still here",
    code: await closed,
  };
}

async function talkWebsocket(url: string, code: number) {
  const client = new websocket.client({
    maxReceivedFrameSize: 2 * megabyte,
    maxReceivedMessageSize: 2 * megabyte,
  });
  const connection = await new Promise<websocket.connection>((resolve, reject) => {
    client.on("connect", resolve);
    client.on("connectFailed", reject);
    client.connect(url);
  });
  const messages = new Queue<websocket.Message>();
  connection.on("message", (message) => messages.put(message));
  const pong = new Promise<boolean>((resolve) => {
    connection.on("pong", (data: Buffer) => resolve(data.toString() === "are you there"));
  });
  const closed = new Promise<number>((resolve) => {
    connection.on("close", resolve);
  });
  connection.sendUTF(text);
  const first = await messages.take();
  connection.sendBytes(binary);
  const second = await messages.take();
  connection.ping("are you there");
  const isAnswered = await pong;
  connection.close(code);
  return {
    text: first.type === "utf8" && first.utf8Data === text,
    binary: second.type === "binary" && second.binaryData.equals(binary),
    pong: isAnswered,
    code: await closed,
  };
}

async function talkPython(url: string, code: number) {
  // Debian's python, for which the package is installed, whatever else stands first on the PATH.
  const python = "/usr/bin/python3";
  if (spawnSync(python, ["-c", "import websockets"]).status !== 0) {
    throw new Error("python3-websockets is missing: apt-get install -y python3-websockets");
  }
  const script = fileURLToPath(new URL("foreign-client.py", import.meta.url));
  const {
    code: exitCode,
    stdout,
    stderr,
  } = await run(python, [script, url, String(code)], { withinMs: 60_000 });
  if (exitCode !== 0) throw new Error(`python: ${stderr}`);
  const report: Report = JSON.parse(stdout);
  return report;
}

async function talkChromium(url: string, code: number) {
  await using browser = await launchChromium();
  const page = await browser.newPage();
  // A page of the server's own: the policy of about:blank or data: would be another.
  await page.goto(`${server.http}/demo/lesson`);
  return await page.evaluate(
    async ({ url, code, text, size, silenceMs }) => {
      const socket = new WebSocket(url);
      socket.binaryType = "arraybuffer";
      const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 8)) & 255);
      const message = () =>
        new Promise<unknown>((resolve, reject) => {
          socket.addEventListener("message", (event) => resolve(event.data), { once: true });
          socket.addEventListener("close", (event) => reject(new Error(`closed ${event.code}`)), {
            once: true,
          });
        });
      await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
      socket.send(text);
      const first = await message();
      socket.send(bytes);
      const second = await message();
      const same =
        second instanceof ArrayBuffer &&
        second.byteLength === size &&
        new Uint8Array(second).every((byte, index) => byte === bytes[index]);
      await new Promise((resolve) => setTimeout(resolve, silenceMs));
      socket.send("still here");
      const third = await message();
      const closed = new Promise<number>((resolve) => {
        socket.addEventListener("close", (event) => resolve(event.code));
      });
      socket.close(code);
      return { text: first === text, binary: same, pong: third === "still here", code: await closed };
    },
    { url, code, text, size: megabyte, silenceMs },
  );
}

/** Values in the order in which they came. */
class Queue<Value> {
  readonly #values: Value[] = [];
  #waiting: ((value: Value) => void) | null = null;

  put(value: Value): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#values.push(value);
    else waiting(value);
  }

  take(): Promise<Value> {
    const value = this.#values.shift();
    if (value !== undefined) return Promise.resolve(value);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}
