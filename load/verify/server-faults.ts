/** Faults of the servers' own processes and of their clients. */
import { connect, type Socket } from "node:net";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { patienceMs, serverFault, signal, sleep, until, type Fault } from "./fault.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** See the file head. */
export const serverFaults: readonly Fault[] = [
  serverFault("worker-kill", "a worker killed (SIGKILL)", async ({ random }, subject) => {
    const [pid] = random.some(subject.workerPids(), 1);
    if (pid !== undefined) signal(pid, "SIGKILL");
  }),
  serverFault(
    "worker-freeze",
    "a worker stands still (SIGSTOP) until it is replaced",
    async ({ random }, subject) => {
      const [pid] = random.some(subject.workerPids(), 1);
      if (pid === undefined) return;
      signal(pid, "SIGSTOP");
      const isReplaced = await until(() => !subject.workerPids().includes(pid), 15_000);
      // Nobody watches over the control's workers: theirs goes on as it was.
      if (!isReplaced) signal(pid, "SIGCONT");
    },
  ),
  serverFault("worker-error", "an error in a worker that nobody catches", async ({ random }, subject) => {
    const before = subject.workerPids();
    const [pid] = random.some(before, 1);
    if (pid === undefined) return;
    // throw-on-signal.mjs throws.
    signal(pid, "SIGUSR2");
    const isReplaced = await until(() => {
      const now = subject.workerPids();
      return !now.includes(pid) && now.length >= before.length;
    }, patienceMs);
    if (!isReplaced) throw new Error(`${subject.name}: the worker was not replaced`);
  }),
  serverFault(
    "server-restart",
    "the server drained and ended (SIGTERM), and started again",
    async (_world, subject) => {
      await subject.server.restart();
    },
    // What the memory broker has ends with its server.
    ["redis", "cluster", "sentinel"],
  ),
  serverFault("rolling-restart", "every worker replaced, one by one (SIGHUP)", async (_world, subject) => {
    const old = subject.workerPids();
    signal(subject.server.pid, "SIGHUP");
    const isDone = await until(() => {
      const now = subject.workerPids();
      // One that was about to be started again when the signal came is there now, too.
      return now.length >= old.length && now.every((pid) => !old.includes(pid));
    }, patienceMs);
    if (!isDone) throw new Error(`${subject.name}: workers were not replaced within ${patienceMs / 1000} s`);
  }),
  serverFault(
    "client-cut",
    "connections cut at a random byte, in both directions",
    async (world, subject) => {
      const { random, cutCount } = world;
      const links = subject.proxy.some(cutCount, random);
      for (const link of links) link.cutAfter(random.int(1, 700), random.next() < 0.7 ? "client" : "server");
      await until(() => links.every(({ isOver }) => isOver), 3000);
      // A client says little: those that wait for its next byte are cut now.
      for (const link of links) if (!link.isOver) link.cut();
    },
  ),
  serverFault(
    "client-mute",
    "connections that carry nothing any more and do not end",
    async ({ random }, subject) => {
      const links = subject.proxy.some(10, random);
      for (const link of links) link.mute();
      const areFreed = await until(() => links.every(({ isOver }) => isOver), patienceMs);
      if (!areFreed) throw new Error(`${subject.name}: half-open connections were not freed`);
    },
  ),
  serverFault("client-freeze", "clients that read nothing for 2 to 9 s", async ({ random }, subject) => {
    const ms = random.int(2000, 9000);
    for (const client of random.some(subject.clients, Math.ceil(subject.clients.length / 10)))
      client.freeze(ms);
    await sleep(ms);
  }),
  serverFault("client-herd", "nine clients of ten cut at once", async ({ random }, subject) => {
    const count = Math.floor(subject.clients.length * 0.9);
    for (const client of random.some(subject.clients, count)) client.cut();
    await sleep(200);
    await until(() => subject.connectedCount === subject.clients.length, patienceMs);
  }),
  serverFault(
    "front-door-resets",
    "100 connections that are reset in the middle of a handshake",
    async ({ random }, subject) => {
      await resetMany(subject.server.url, random, (socket, head) => {
        socket.write(head.slice(0, random.int(1, head.length - 1)));
      });
    },
  ),
  serverFault(
    "subscribe-resets",
    "100 connections that subscribe to all topics and are reset",
    async ({ random }, subject) => {
      const topics = subject.books.topics.map(({ name }) => name);
      const command = JSON.stringify({ id: 1, method: "subscribe", params: { topics } });
      const frame = encodeMaskedFrame(opcode.text, Buffer.from(command), random.int(0, 2 ** 32 - 1));
      await resetMany(subject.server.url, random, (socket, head) => {
        socket.write(head);
        socket.write(frame);
      });
    },
  ),
];

const upgradeHead =
  "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/** 100 connections that say what `say` says and are reset within 40 ms: before the answer, in the middle of it, or after it. */
async function resetMany(
  url: string,
  random: SeededRandom,
  say: (socket: Socket, head: string) => void,
): Promise<void> {
  const { port } = new URL(url);
  for (let index = 0; index < 100; index++) {
    const socket = connect(Number(port), "127.0.0.1");
    // It is to end badly.
    socket.on("error", () => undefined);
    say(socket, upgradeHead);
    const ms = random.int(0, 40);
    socket.once("connect", () => setTimeout(() => socket.resetAndDestroy(), ms));
  }
  await sleep(200);
}
