/**
 * ws as people use it: a Set of sockets for each topic, and `send` for each of them.
 *   node ws-peer.mjs REDIS_PORT CHANNEL_PREFIX TOPICS; prints `listening PORT`.
 */
import { connect } from "node:net";
import process from "node:process";
import { WebSocketServer } from "ws";

import { createReader, subscribeCommands } from "./redis-feed.mjs";

const [redisPort, prefix, topicCount] = process.argv.slice(2);
const topics = new Map();

const redis = connect({ port: Number(redisPort), host: "127.0.0.1", noDelay: true });
redis.write(subscribeCommands(prefix, Number(topicCount)));
redis.on(
  "data",
  createReader((channel, payload) => {
    const sockets = topics.get(channel);
    if (sockets === undefined) return;
    for (const socket of sockets) socket.send(payload, { binary: false });
  }),
);

const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false, backlog: 4096 });
server.on("connection", (socket, request) => {
  const names = new URL(request.url, "http://localhost").searchParams.get("topics")?.split(",") ?? [];
  const channels = names.map((name) => prefix.replace(/[^:]*$/u, name));
  for (const channel of channels) {
    const sockets = topics.get(channel);
    if (sockets === undefined) topics.set(channel, new Set([socket]));
    else sockets.add(socket);
  }
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    for (const channel of channels) topics.get(channel)?.delete(socket);
  });
});
server.on("listening", () => console.log(`listening ${server.address().port}`));
