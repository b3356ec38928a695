/**
 * One client that behaves badly, of each kind. Each goes as far as the server lets it and no further: one that is
 * closed comes back at once. What a kind does costs its own process little, or its hunger for the processor would be
 * taken for the server's.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { constants, deflateRawSync } from "node:zlib";

import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";

/** Where it is bad, and what its victims read. */
export interface BadClientTarget {
  readonly host: string;
  readonly port: number;
  readonly topics: readonly string[];
}

export interface BadClientKind {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** From its start until it hurts as much as it ever will. */
  readonly settleMs: number;
  /** Goes on until the process ends. */
  start(target: BadClientTarget): void;
}

/** `limits.topicsPerConnectionMax` by default. */
const topicCount = 1024;
/** Below the rates that close a connection: 20 control frames and 100 messages a second. */
const pingsPerSec = 18;
const commandsPerSec = 90;
/** Time to fill what two kernels hold for a reader that takes nothing. */
const fillMs = 3000;
const settleMs = 400;
/** `limits.echoMessageBytesMax` by default. */
const bombBytes = 16 * 1024 * 1024;
/** Longer than anything but a server that does not answer. */
const answerTimeoutMs = 5000;
/** An address of its own where the server is on this machine: limits by address are for it alone. */
const ownAddress = "127.0.0.2";

export const badClientKinds: readonly BadClientKind[] = [
  {
    name: "frozen",
    title: "subscribes to all topics and reads nothing",
    settleMs: fillMs,
    start: (target) => again(target, "/ws", {}, (socket) => subscribeTo(socket, target.topics)),
  },
  {
    name: "one-byte",
    title: "reads one byte a second of all topics",
    settleMs: fillMs,
    start: (target) =>
      again(target, "/ws", {}, (socket) => {
        subscribeTo(socket, target.topics);
        const timer = setInterval(() => socket.read(1), 1000);
        socket.once("close", () => clearInterval(timer));
      }),
  },
  {
    name: "half-open",
    title: "subscribes to all topics, reads for a second and vanishes without a FIN",
    settleMs: fillMs,
    // To the server a peer without a network and one that takes nothing any more are the same: no answer, no room.
    start: (target) =>
      again(target, "/ws", {}, (socket) => {
        subscribeTo(socket, target.topics);
        socket.resume();
        setTimeout(() => socket.pause(), 1000);
      }),
  },
  {
    name: "commands",
    title: "sends pings and commands as fast as the limits let it",
    settleMs,
    start: (target) => again(target, "/ws", {}, (socket) => sendSteadily(socket, { id: 1, method: "ping" })),
  },
  {
    name: "histories",
    title: "asks for the whole history of a topic as fast as the limits let it",
    settleMs,
    start: (target) =>
      again(target, "/ws", {}, (socket) =>
        sendSteadily(socket, { id: 1, method: "history", params: { topic: target.topics[0] } }),
      ),
  },
  {
    name: "subscriptions",
    title: `subscribes to ${topicCount} topics and leaves them again, over and over`,
    settleMs,
    start: (target) =>
      again(target, "/ws", {}, (socket) => {
        const topics = Array.from({ length: topicCount }, (_, index) => `quote.bad-${index}`);
        let id = 0;
        const next = (): void => {
          id++;
          const method = id % 2 === 1 ? "subscribe" : "unsubscribe";
          sendFrame(socket, opcode.text, JSON.stringify({ id, method, params: { topics } }));
        };
        answered(socket, () => `{"id":${id},`, next);
        next();
      }),
  },
  {
    name: "bombs",
    title: `sends messages to /echo that inflate a thousandfold, to ${bombBytes / 1024 / 1024} MiB`,
    settleMs,
    start: (target) => {
      const bomb = deflateRawSync(Buffer.alloc(bombBytes, " "), { finishFlush: constants.Z_SYNC_FLUSH });
      again(target, "/echo", { "Sec-WebSocket-Extensions": "permessage-deflate" }, (socket) => {
        const frame = encodeMaskedFrame(opcode.text, bomb.subarray(0, -4), 0);
        // RFC 7692 §6: RSV1 of the first frame says that the message is compressed.
        frame[0] = (frame[0] ?? 0) | 0x40;
        socket.write(frame);
        // Each echo is the sign for the next.
        let quiet: ReturnType<typeof setTimeout> | undefined;
        socket.on("data", () => {
          clearTimeout(quiet);
          quiet = setTimeout(() => socket.write(frame), 1);
        });
        socket.once("close", () => clearTimeout(quiet));
        socket.resume();
      });
    },
  },
  {
    name: "reconnects",
    title: "connects, subscribes, resets, over and over",
    settleMs,
    start: (target) =>
      again(target, "/ws", {}, (socket) => {
        subscribeTo(socket, target.topics);
        answered(
          socket,
          () => `{"id":1,`,
          () => socket.resetAndDestroy(),
        );
      }),
  },
];

/** Upgrades, lets `behave` have the paused socket, and begins anew when that has ended, whoever ended it. */
function again(
  target: BadClientTarget,
  path: string,
  lines: Readonly<Record<string, string>>,
  behave: (socket: Socket) => void,
): void {
  const { host, port } = target;
  const head = [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    "Sec-WebSocket-Version: 13",
    ...Object.entries(lines).map(([name, value]) => `${name}: ${value}`),
  ];
  const isHere = host === "127.0.0.1" || host === "localhost";
  const socket = connect({ host, port, noDelay: true, ...(isHere ? { localAddress: ownAddress } : {}) });
  const giveUp = setTimeout(() => socket.destroy(), answerTimeoutMs);
  let answer = "";
  const onData = (chunk: Buffer): void => {
    answer += chunk.toString("latin1");
    if (!answer.includes("\r\n\r\n")) return;
    clearTimeout(giveUp);
    socket.off("data", onData);
    socket.pause();
    if (!answer.startsWith("HTTP/1.1 101 ")) socket.destroy();
    else behave(socket);
  };
  socket.on("data", onData);
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  socket.on("error", () => undefined);
  socket.once("close", () => {
    clearTimeout(giveUp);
    // A refusal must not become a loop at full speed.
    setTimeout(() => again(target, path, lines, behave), answer.startsWith("HTTP/1.1 101 ") ? 1 : 50);
  });
}

function subscribeTo(socket: Socket, topics: readonly string[]): void {
  sendFrame(socket, opcode.text, JSON.stringify({ id: 1, method: "subscribe", params: { topics } }));
}

function sendFrame(socket: Socket, frameOpcode: number, payload: string): void {
  if (socket.writable) socket.write(encodeMaskedFrame(frameOpcode, Buffer.from(payload), 0x01020304));
}

/** Reads, and calls `next` each time that the answer to the last command has come. */
function answered(socket: Socket, begin: () => string, next: () => void): void {
  let tail = "";
  socket.on("data", (chunk: Buffer) => {
    // What looks like an answer may be cut in two.
    tail = (tail + chunk.toString("latin1")).slice(-chunk.length - 40);
    if (!tail.includes(begin())) return;
    tail = "";
    next();
  });
  socket.resume();
}

/** Reads everything. */
function sendSteadily(socket: Socket, command: object): void {
  socket.resume();
  const text = JSON.stringify(command);
  every(socket, 1000 / pingsPerSec, () => sendFrame(socket, opcode.ping, "x".repeat(125)));
  every(socket, 1000 / commandsPerSec, () => sendFrame(socket, opcode.text, text));
}

function every(socket: Socket, ms: number, send: () => void): void {
  const timer = setInterval(send, ms);
  socket.once("close", () => clearInterval(timer));
}
