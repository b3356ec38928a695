/**
 * A server of two workers that is about to be treated badly, with healthy neighbours on both workers who are sent
 * something all the time. After each row they must have missed nothing; in the end memory and gauges must be back.
 */
import { Agent } from "node:http";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

import { onBothWorkers } from "../e2e/both-workers.ts";
import { publish } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";

const hooks = fileURLToPath(new URL("fixtures/worker-hooks.mjs", import.meta.url));
const neighbourTopic = "trade.neighbour";
const feedEveryMs = 25;
/** What a worker may keep beyond 5 %: code that was loaded and compiled when it was first needed. */
const keptBytesMax = 3 * 2 ** 20;
/** Gauges that must be what they were. */
const gauges = [
  "tapecast_connections_open",
  "tapecast_topics",
  "tapecast_subscriptions",
  "tapecast_sockets_waiting",
  "tapecast_http_connections_open",
  "tapecast_http_requests_in_flight",
  "tapecast_http_answer_bytes",
  "tapecast_arriving_bytes",
  "tapecast_lagging_readers",
  "tapecast_pending_bytes",
] as const;

export interface AbusedOptions {
  readonly sets?: Readonly<Record<string, unknown>>;
  /** For a server that wants a key of its publishers. */
  readonly publishKey?: string;
  /** For a server that wants a token of its neighbours: what follows `/ws`. */
  readonly query?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class AbusedServer {
  readonly server: Server;
  readonly #options: AbusedOptions;
  readonly #neighbours: Neighbour[] = [];
  /** From an address of its own: limits by address are the attackers'. */
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1, localAddress: "127.0.0.9" });
  #published = 0;
  #feeding: Promise<void> = Promise.resolve();
  #isFeeding = true;
  #gauges = new Map<string, number>();
  #keptBytes = new Map<number, number>();

  private constructor(server: Server, options: AbusedOptions) {
    this.server = server;
    this.#options = options;
  }

  static async start(options: AbusedOptions = {}): Promise<AbusedServer> {
    const server = await Server.start({
      ...(options.sets === undefined ? {} : { sets: options.sets }),
      env: { NODE_OPTIONS: `--import ${hooks}`, ...options.env },
    });
    const abused = new AbusedServer(server, options);
    await abused.#moveIn();
    return abused;
  }

  /** The address as RawPeer wants it. */
  get where(): string {
    return this.server.http;
  }

  /** After each row: nobody died, and each neighbour was sent everything in order. */
  async expectNobodyHurt(): Promise<void> {
    const published = this.#published;
    await until("the neighbours to have everything", () =>
      this.#neighbours.every((neighbour) => neighbour.seq >= published),
    );
    expect(this.#neighbours.map(({ problems }) => problems)).toEqual(this.#neighbours.map(() => []));
    expect((await this.server.metrics()).sum("tapecast_worker_restarts_total"), "workers died").toBe(0);
  }

  /** After all rows: gauges and memory are back where they were. Ends the server. */
  async expectBackToStart(): Promise<void> {
    await this.expectNobodyHurt();
    await until("the gauges to be back", async () => {
      const now = await this.#readGauges();
      return gauges.every((name) => (now.get(name) ?? 0) <= (this.#gauges.get(name) ?? 0));
    }).catch(async () => {
      expect(Object.fromEntries(await this.#readGauges())).toEqual(Object.fromEntries(this.#gauges));
    });
    // Large buffers may outlive their last use by a moment: what is kept for good is still there at the end.
    let kept = await this.keptBytes();
    for (let round = 0; round < 20 && !this.#isMemoryBack(kept); round++) {
      await delay(1000);
      kept = await this.keptBytes();
    }
    expect(
      this.#isMemoryBack(kept),
      `${JSON.stringify([...kept])} of ${JSON.stringify([...this.#keptBytes])}`,
    ).toBe(true);
    this.#isFeeding = false;
    await this.#feeding;
    this.#agent.destroy();
    expect(await this.server.stop()).toEqual({ code: 0, signal: null });
  }

  /** Ends everything, whatever happened. */
  async end(): Promise<void> {
    this.#isFeeding = false;
    await this.server[Symbol.asyncDispose]();
    await this.#feeding.catch(() => undefined);
    this.#agent.destroy();
  }

  /** Waits until a counter has grown by `count` since `before`. Figures come once a second. */
  async untilCounted(name: string, labels: Readonly<Record<string, string>>, count: number): Promise<void> {
    await until(`${name} ${JSON.stringify(labels)} to reach ${count}`, async () => {
      return (await this.server.metrics()).sum(name, labels) >= count;
    });
  }

  /** Bytes that each worker keeps after its garbage is collected, by pid. */
  async keptBytes(): Promise<Map<number, number>> {
    const kept = new Map<number, number>();
    for (const pid of this.server.workerPids()) {
      const from = this.server.process.stderr.length;
      process.kill(pid, "SIGUSR2");
      const pattern = new RegExp(`^settled ${pid} (\\d+)$`, "mu");
      await until("a worker's memory", () => pattern.test(this.server.process.stderr.slice(from)));
      kept.set(pid, Number(pattern.exec(this.server.process.stderr.slice(from))?.[1]));
    }
    return kept;
  }

  /** Resident bytes of both workers together, as the system sees them. */
  residentBytes(): number {
    return sum(this.server.workerPids().map((pid) => residentBytesOf(pid)));
  }

  /** Processor time of both workers so far. */
  cpuMs(): number {
    return sum(this.server.workerPids().map((pid) => cpuMsOf(pid)));
  }

  /** Neighbours on both workers, the feed, and the figures to compare with. */
  async #moveIn(): Promise<void> {
    const open = (): Promise<Neighbour> => Neighbour.open(this.server, this.#options.query ?? "");
    this.#neighbours.push(...(await onBothWorkers(this.server, open, 4)));
    this.#feeding = this.#feed();
    await until("the feed to run", () => this.#neighbours.every(({ seq }) => seq > 20));
    // The figures come once a second.
    await delay(1500);
    this.#gauges = await this.#readGauges();
    this.#keptBytes = await this.keptBytes();
  }

  #isMemoryBack(kept: ReadonlyMap<number, number>): boolean {
    return [...kept].every(([pid, bytes]) => bytes < (this.#keptBytes.get(pid) ?? 0) * 1.05 + keptBytesMax);
  }

  async #feed(): Promise<void> {
    const { publishKey } = this.#options;
    const headers: Record<string, string> =
      publishKey === undefined ? {} : { authorization: `Bearer ${publishKey}` };
    while (this.#isFeeding) {
      const answer = await publish(this.server.http, neighbourTopic, `{"n":${this.#published + 1}}`, {
        agent: this.#agent,
        headers,
      }).catch((error: unknown) => String(error));
      if (!this.#isFeeding) return;
      if (typeof answer === "string" || answer.status !== 200) {
        throw new Error(`the feed broke: ${typeof answer === "string" ? answer : answer.text}`);
      }
      this.#published += 1;
      await delay(feedEveryMs);
    }
  }

  async #readGauges(): Promise<Map<string, number>> {
    const metrics = await this.server.metrics();
    return new Map(gauges.map((name) => [name, metrics.sum(name)]));
  }
}

/** A subscriber who does nothing wrong. */
class Neighbour {
  /** The last number that came. */
  seq = 0;
  /** Whatever should not have happened to it. */
  readonly problems: string[] = [];

  private constructor(peer: Peer) {
    void this.#read(peer);
  }

  static async open(server: Server, query: string): Promise<Neighbour> {
    const peer = await Peer.native(server.ws, query);
    await peer.subscribe(neighbourTopic);
    return new Neighbour(peer);
  }

  async #read(peer: Peer): Promise<void> {
    for (;;) {
      const message = await peer.json(3_600_000).catch((error: unknown) => String(error));
      if (typeof message === "string") {
        this.problems.push(message);
        return;
      }
      if (message.seq !== this.seq + 1)
        this.problems.push(`after ${this.seq} came ${JSON.stringify(message)}`);
      this.seq = message.seq ?? this.seq;
    }
  }
}

function residentBytesOf(pid: number): number {
  // proc(5), statm: size resident …, in pages.
  return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
}

function cpuMsOf(pid: number): number {
  // proc(5), stat: behind the name, utime and stime are the 12th and 13th field, in hundredths of a second.
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
