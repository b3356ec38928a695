/**
 * The control: what a careful developer builds in an afternoon. node:cluster, `ws`, one ioredis subscriber for each
 * worker and its defaults, reconnecting included; HTTP publishes by PUBLISH. It speaks the words of the protocol that
 * the clients of this program need, without positions: plain pub/sub has none.
 *   node control-server.mjs TARGET PREFIX WORKERS PORT; prints `listening PORT`. TARGET is JSON, `ControlTarget` of store.ts.
 */
import cluster from "node:cluster";
import { createServer } from "node:http";
import process from "node:process";
import { Cluster, Redis } from "ioredis";
import { WebSocketServer } from "ws";

const [target, prefix, workerCount, port] = process.argv.slice(2);
const pingMs = 5000;

if (cluster.isPrimary) runPrimary();
else runWorker();

function runPrimary() {
  let isStopping = false;
  let hasSaid = false;
  for (let index = 0; index < Number(workerCount); index++) cluster.fork();
  cluster.on("listening", (_worker, address) => {
    if (!hasSaid) console.log(`listening ${address.port}`);
    hasSaid = true;
  });
  cluster.on("exit", (worker) => {
    if (!isStopping && !worker.exitedAfterDisconnect) cluster.fork();
  });
  process.on("SIGTERM", () => {
    isStopping = true;
    for (const worker of Object.values(cluster.workers)) worker.process.kill("SIGKILL");
    process.exit(0);
  });
  // One by one: the new one listens before the old one is told to go.
  process.on("SIGHUP", () => void replaceWorkers());
}

async function replaceWorkers() {
  for (const old of Object.values(cluster.workers)) {
    const next = cluster.fork();
    await new Promise((resolve) => next.once("listening", resolve));
    old.send("leave");
    old.disconnect();
  }
}

function addresses(ports) {
  return ports.map((each) => ({ host: "127.0.0.1", port: each }));
}

function connectToRedis() {
  const { port: redisPort, clusterPorts, sentinelPorts, sentinelName } = JSON.parse(target);
  if (clusterPorts !== undefined) return new Cluster(addresses(clusterPorts));
  if (sentinelPorts !== undefined)
    return new Redis({ sentinels: addresses(sentinelPorts), name: sentinelName });
  return new Redis({ host: "127.0.0.1", port: redisPort });
}

function runWorker() {
  const topics = new Map();
  const subscriber = connectToRedis();
  const publisher = connectToRedis();
  for (const redis of [subscriber, publisher]) redis.on("error", () => undefined);
  subscriber.on("message", (channel, message) => {
    const topic = channel.slice(prefix.length);
    const text = `{"topic":${JSON.stringify(topic)},"data":${message}}`;
    for (const socket of topics.get(topic) ?? []) socket.send(text);
  });

  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk.toString()));
    request.on("error", () => undefined);
    request.on("end", () => {
      const { topic, data } = JSON.parse(body);
      publisher.publish(prefix + topic, JSON.stringify(data)).then(
        () => response.end(JSON.stringify({ results: [{ topic }] })),
        () => {
          response.statusCode = 503;
          response.end("{}");
        },
      );
    });
  });
  const sockets = new WebSocketServer({
    server,
    perMessageDeflate: false,
    handleProtocols: () => "tapecast.v1",
  });
  sockets.on("connection", (socket) => {
    socket.isAlive = true;
    socket.on("error", () => socket.terminate());
    socket.on("pong", () => (socket.isAlive = true));
    socket.on("message", (/** @type {Buffer} */ bytes) => {
      const { id, params } = JSON.parse(bytes.toString("utf8"));
      for (const topic of params.topics) {
        const readers = topics.get(topic);
        if (readers === undefined) {
          topics.set(topic, new Set([socket]));
          subscriber.subscribe(prefix + topic).catch(() => undefined);
        } else readers.add(socket);
      }
      const states = Object.fromEntries(params.topics.map((topic) => [topic, {}]));
      socket.send(JSON.stringify({ id, result: { topics: states } }));
    });
    socket.on("close", () => {
      for (const readers of topics.values()) readers.delete(socket);
    });
    socket.send(JSON.stringify({ event: "welcome", heartbeatMs: pingMs }));
  });
  setInterval(() => {
    for (const socket of sockets.clients) {
      if (!socket.isAlive) socket.terminate();
      socket.isAlive = false;
      socket.ping();
    }
  }, pingMs);
  process.on("SIGHUP", () => undefined);
  process.on("message", (message) => {
    if (message !== "leave") return;
    for (const socket of sockets.clients) socket.close(1012);
    setTimeout(() => process.exit(0), 2000);
  });
  // A SUBSCRIBE between "connect" and "ready" leaves ioredis's subscriber deaf for good (tried with 5.11.1).
  subscriber.once("ready", () => server.listen({ port: Number(port), host: "127.0.0.1" }));
}
