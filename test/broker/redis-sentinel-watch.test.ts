/**
 * The sentinels name a new master while the former one lives and answers: for ten seconds all that it took was lost
 * (300 messages a failover at 30 a second, `npm run verify -- --broker sentinel`). The sentinel here is a few lines.
 */
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { BrokerTopic } from "../../src/broker/broker.ts";
import { startRedisServer, type RedisServer } from "../setup/redis-server.ts";
import { bytes, openAndWait } from "./recorder.ts";
import { RedisWorld } from "./redis-world.ts";

const chat: BrokerTopic = { name: "chat.a", delivery: "every", history: { size: 100, ttlMs: 60_000 } };

/** Knows one master, `tape`, and tells who wants to hear that there is another. */
class FakeSentinel {
  #masterPort: number;
  readonly #server: Server;
  readonly #listeners = new Set<Socket>();
  readonly #sockets = new Set<Socket>();

  constructor(masterPort: number) {
    this.#masterPort = masterPort;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString().toLowerCase();
        // A command is an array of strings without line ends.
        for (;;) {
          const command = /^\*(\d+)\r\n/u.exec(text);
          const lines = text.split("\r\n");
          const lineCount = 1 + 2 * Number(command?.[1]);
          if (command === null || lines.length <= lineCount) return;
          this.#answer(socket, lines.slice(0, lineCount).join(" "));
          text = lines.slice(lineCount).join("\r\n");
        }
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    return `redis://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  switchTo(port: number, name = "tape"): void {
    const message = `${name} 127.0.0.1 ${this.#masterPort} 127.0.0.1 ${port}`;
    if (name === "tape") this.#masterPort = port;
    const text = ["message", "+switch-master", message]
      .map((part) => `$${part.length}\r\n${part}\r\n`)
      .join("");
    for (const socket of this.#listeners) socket.write(`*3\r\n${text}`);
  }

  /** Every connection to it ends; it takes new ones. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    this.#listeners.clear();
  }

  stop(): void {
    this.#server.close();
    this.cut();
  }

  #answer(socket: Socket, command: string): void {
    if (command.includes("get-master-addr-by-name")) {
      const port = String(this.#masterPort);
      socket.write(`*2\r\n$9\r\n127.0.0.1\r\n$${port.length}\r\n${port}\r\n`);
    } else if (command.includes("subscribe")) {
      socket.write("*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
      this.#listeners.add(socket);
    } else socket.write("+OK\r\n");
  }
}

let former: RedisServer;
let next: RedisServer;
let sentinel: FakeSentinel;
let world: RedisWorld;
beforeEach(async () => {
  [former, next] = await Promise.all([startRedisServer(), startRedisServer()]);
  sentinel = new FakeSentinel(former.port);
  world = new RedisWorld(former.url);
});
afterEach(async () => {
  await world.stop();
  sentinel.stop();
  await Promise.all([former.stop(), next.stop()]);
});

/** How many connections of this name a Redis has. */
async function connectionsOf(server: RedisServer, name: string): Promise<number> {
  const other = new RedisWorld(server.url);
  const list = String(await other.client().client("LIST"));
  await other.stop();
  return list.split("\n").filter((line) => line.includes(` name=${name} `)).length;
}

it(
  "leaves the former master at once, commands and subscriptions, though it lives and says that it is one",
  { timeout: 60_000 },
  async () => {
    const worker = await world.start({
      mode: "sentinel",
      urls: [await sentinel.start()],
      sentinelName: "tape",
    });
    await openAndWait(worker, chat);
    await worker.broker.publish(chat, bytes("1"), {});
    await worker.recorder.until(() => worker.recorder.texts(chat.name).length === 1);
    await eventually(() => sentinel.listenerCount === 1);

    sentinel.switchTo(next.port, "another");
    sentinel.switchTo(former.port);
    expect(worker.broker.counters.reconnects, "others' masters and the one it has are no reason").toBe(0);

    sentinel.switchTo(next.port);
    await eventually(() => worker.broker.counters.reconnects === 1);
    // Nobody replicates here: the log of the next one begins, and its reader is told.
    await worker.recorder.until(() => worker.recorder.gaps(chat.name).length === 1);
    expect((await worker.broker.publish(chat, bytes("2"), {}))?.seq).toBe(1);
    await worker.recorder.until(() => worker.recorder.texts(chat.name).at(-1) === "2");
    for (const name of ["tapecast-commands", "tapecast-subscriber"]) {
      expect([name, await connectionsOf(former, name)]).toEqual([name, 0]);
      expect([name, await connectionsOf(next, name)]).toEqual([name, 1]);
    }
  },
);

it("comes back to a sentinel that was away, and hears it again", { timeout: 60_000 }, async () => {
  const url = await sentinel.start();
  const worker = await world.start({ mode: "sentinel", urls: [url], sentinelName: "tape" });
  await eventually(() => sentinel.listenerCount === 1);
  sentinel.cut();
  await eventually(() => sentinel.listenerCount === 1);
  sentinel.switchTo(next.port);
  await eventually(() => worker.broker.counters.reconnects === 1);
  expect(await connectionsOf(next, "tapecast-commands")).toBe(1);
});

/** What no event of the broker tells. */
async function eventually(isSo: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 15_000;
  while (!isSo()) {
    if (performance.now() > deadlineMs)
      throw new Error(`waited in vain; ${world.log.lines.slice(-20).join("; ")}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
