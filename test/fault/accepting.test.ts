/** Whoever connects while a worker stands still, dies or is replaced is answered, or gets an end; never silence. */
import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { get } from "../e2e/http.ts";
import { isAlive } from "../e2e/run.ts";
import { Server } from "../e2e/server.ts";
import { delay, until, within } from "../e2e/until.ts";

/** A client that has connected and asked. Resolves with how it goes on. */
interface Asking {
  readonly socket: Socket;
  readonly outcome: Promise<string>;
}

const request = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const answered = "HTTP/1.1 200 OK";

async function connected(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return socket;
}

/** The first line of its answer, or how it ended without one. */
function outcomeOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once("data", (chunk) => resolve(chunk.toString("latin1").split("\r\n")[0] ?? ""));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once("close", () => resolve("closed"));
  });
}

async function ask(port: number): Promise<Asking> {
  const socket = await connected(port);
  socket.write(request);
  return { socket, outcome: outcomeOf(socket) };
}

/** Until both workers listen again: who kills the last that listens gets refusals, which are not the matter here. */
async function untilReplaced(server: Server, pid: number): Promise<void> {
  await until("the replacement", () => !isAlive(pid) && server.workerPids().length === 2);
  await until("it to be ready", async () => (await get(`${server.admin}/readyz`)).status === 200);
}

describe("a worker that stands still", () => {
  // All workers take from one queue, so what it does not take the other does, also when that one has much the more
  // sockets already and would let it go first.
  it("keeps nobody waiting, and what it had taken is reset when it dies", { timeout: 60_000 }, async () => {
    await using server = await Server.start();
    for (const pid of server.workerPids()) {
      process.kill(pid, "SIGSTOP");
      const idle = await Promise.all(Array.from({ length: 200 }, () => connected(server.port)));
      for (let index = 0; index < 8; index++) {
        const { socket, outcome } = await ask(server.port);
        expect(await within("an answer", 1000, outcome)).toBe(answered);
        socket.destroy();
      }
      for (const socket of idle) socket.destroy();
      process.kill(pid, "SIGKILL");
      await untilReplaced(server, pid);
    }
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

describe("two workers", () => {
  it("have about as many connections each", { timeout: 60_000 }, async () => {
    await using server = await Server.start();
    const sockets: Socket[] = [];
    for (let index = 0; index < 200; index++) {
      sockets.push(await connected(server.port));
      await delay(2);
    }
    let waiting: number[] = [];
    await until("their figures", async () => {
      waiting = [...(await server.metrics()).byWorker("tapecast_sockets_waiting").values()];
      return waiting.reduce((sum, each) => sum + each, 0) === 200;
    });
    // 100 each, a tenth and a word that is 50 ms old.
    expect(Math.min(...waiting)).toBeGreaterThan(70);
    for (const socket of sockets) socket.destroy();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

describe("a worker that dies", () => {
  it("leaves no client without an end in a stream of connections", { timeout: 60_000 }, async () => {
    await using server = await Server.start();
    const asking: Promise<Asking | null>[] = [];
    for (let round = 0; round < 3; round++) {
      const [victim = 0] = server.workerPids();
      for (let index = 0; index < 40; index++) {
        asking.push(ask(server.port).catch(() => null));
        if (index === 20) process.kill(victim, "SIGKILL");
        await delay(1);
      }
      await untilReplaced(server, victim);
    }
    const clients = (await Promise.all(asking)).filter((each) => each !== null);
    const all = Promise.all(clients.map(({ outcome }) => outcome));
    const outcomes = await within("everybody to be answered or reset", 10_000, all);
    expect(outcomes.filter((each) => each === answered).length).toBeGreaterThan(60);
    for (const { socket } of clients) socket.destroy();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});

describe("a rolling restart", () => {
  // Who had connected to a worker, and not finished asking when its drain began, was reset.
  it("answers those who were in the middle of asking", { timeout: 60_000 }, async () => {
    await using server = await Server.start();
    const old = server.workerPids();
    const halves = await Promise.all(Array.from({ length: 4 }, () => connected(server.port)));
    for (const socket of halves) socket.write(request.slice(0, 10));
    server.process.signal("SIGHUP");
    const outcomes = halves.map(async (socket) => {
      const outcome = outcomeOf(socket);
      // Its worker has closed its listeners by then, or does while the rest is on its way.
      await until("a drain", () => server.process.stdout.includes("the old one drains"));
      await delay(100);
      socket.write(request.slice(10));
      return outcome;
    });
    expect(await Promise.all(outcomes)).toEqual([answered, answered, answered, answered]);
    await until("all to be replaced", () => server.workerPids().every((pid) => !old.includes(pid)));
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });
});
