/**
 * Clients that we did not write, against a whole server: what they do stands in clients/talk.ts. Nothing is skipped:
 * a client that is missing fails its test with what to install.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Server } from "../e2e/server.ts";
import { until, within } from "../e2e/until.ts";
import { talkChromium, talkFirefox } from "./clients/browser-clients.ts";
import { talkUndici, talkWebsocket, talkWs } from "./clients/npm-clients.ts";
import { talkJava, talkPythonAiohttp, talkPythonWebsockets } from "./clients/script-clients.ts";
import { data, megabyte, text, type ForeignClient } from "./clients/talk.ts";

const clients: readonly ForeignClient[] = [
  { name: "npm ws", deflate: true, canFragment: true, talk: talkWs },
  { name: "npm undici", deflate: true, canFragment: false, talk: talkUndici },
  { name: "npm websocket", deflate: false, canFragment: true, talk: talkWebsocket },
  { name: "python3-websockets", deflate: true, canFragment: true, talk: talkPythonWebsockets },
  { name: "python3-aiohttp", deflate: true, canFragment: false, talk: talkPythonAiohttp },
  { name: "java.net.http", deflate: false, canFragment: true, talk: talkJava },
  { name: "Chromium", deflate: true, canFragment: false, talk: talkChromium },
  { name: "Firefox", deflate: true, canFragment: false, talk: talkFirefox },
];

/** Those whose interface can send a ping. */
const pinging = new Set([
  "npm ws",
  "npm websocket",
  "python3-websockets",
  "python3-aiohttp",
  "java.net.http",
]);

let server: Server;

beforeAll(async () => {
  server = await Server.start({
    sets: {
      workers: 1,
      "heartbeat.intervalMs": 300,
      "heartbeat.timeoutMs": 1000,
      // The browsers' page comes from a server of the test's.
      "auth.allowedOrigins": "any",
    },
  });
});

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

describe.each(clients)("$name", ({ name, talk, deflate, canFragment }) => {
  it.each([
    { code: 1000, reason: "normal" },
    { code: 4000, reason: "other" },
  ])(
    "1 MB of text and of binary, ping, close with $code; then subscribe, publish, and the server's 1003",
    async ({ code, reason }) => {
      expect(Buffer.byteLength(text)).toBeGreaterThanOrEqual(megabyte);
      const before = await closedAs(reason);
      const refusedBefore = await closedAs("unsupported_data");
      const pingsBefore = (await server.metrics()).sum("tapecast_pings_received_total");
      const startMs = performance.now();
      const task = { server: server.ws, code, topic: `chat.${name.replaceAll(/\W+/g, "-")}-${code}` };
      const report = await within(`${name} to be done`, 60_000, talk(task));
      console.log(`${name}: ${JSON.stringify(report)} in ${(performance.now() - startMs).toFixed(0)} ms`);
      expect(report).toEqual({
        text: true,
        binary: true,
        fragmented: canFragment ? true : null,
        pong: true,
        deflate,
        code,
        native: data,
        serverCode: 1003,
      });
      // The server's side: one connection more that was closed by the peer with that code, and one by us.
      // Figures come once a second, so the second close may be in later ones than the first.
      await until("the server to count both", async () => {
        return (await closedAs(reason)) > before && (await closedAs("unsupported_data")) > refusedBefore;
      });
      expect(await closedAs(reason)).toBe(before + 1);
      expect(await closedAs("unsupported_data")).toBe(refusedBefore + 1);
      if (pinging.has(name)) {
        expect((await server.metrics()).sum("tapecast_pings_received_total")).toBeGreaterThan(pingsBefore);
      }
    },
  );
});

/** How many the server saw closed so. A code of an application's own that a peer sends is `other`. */
async function closedAs(reason: string): Promise<number> {
  return (await server.metrics()).sum("tapecast_connections_closed_total", { reason });
}
