/**
 * Bun's own topics: `Bun.serve`, `subscribe` and `publish` (uWebSockets inside, which batches by itself).
 *   bun bun-peer.mjs REDIS_PORT CHANNEL_PREFIX TOPICS; prints `listening PORT`.
 */
/* global Bun */
import process from "node:process";

import { createReader, subscribeCommands } from "./redis-feed.mjs";

const [redisPort, prefix, topicCount] = process.argv.slice(2);

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  idleTimeout: 0,
  fetch(request, server) {
    const names = new URL(request.url).searchParams.get("topics")?.split(",") ?? [];
    const channels = names.map((name) => prefix.replace(/[^:]*$/u, name));
    return server.upgrade(request, { data: channels }) ? undefined : new Response("", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    backpressureLimit: 64 * 1024 * 1024,
    idleTimeout: 0,
    sendPings: false,
    open(socket) {
      for (const channel of socket.data) socket.subscribe(channel);
    },
    message() {},
  },
});

// A string goes out as a text frame; all payloads of the comparison are ASCII.
const read = createReader((channel, payload) => server.publish(channel, payload.latin1Slice()));
await Bun.connect({
  hostname: "127.0.0.1",
  port: Number(redisPort),
  socket: {
    open(socket) {
      socket.write(subscribeCommands(prefix, Number(topicCount)));
    },
    data(_socket, chunk) {
      read(chunk);
    },
  },
});
console.log(`listening ${server.port}`);
