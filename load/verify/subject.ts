/**
 * One of the two servers of a run, Tapecast or the control, with everything that belongs to it: its process, the proxy
 * before it, its clients, its publishers and their books. Faults are done to subjects, the same to both.
 */
import { readFileSync } from "node:fs";
import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { Books } from "./books.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { Publisher, PublishFigures } from "./publisher.ts";
import { ResumingClient, type ClientListener, type VerifyClient } from "./resuming-client.ts";
import { SdkClient } from "./sdk-client.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { DoubtfulTimes } from "./store.ts";
import { ClientClock, Timeline } from "./timeline.ts";
import type { VerifiedTopic } from "./topic-book.ts";

/** A running server. */
export interface ServerProcess {
  readonly url: string;
  /** Of its primary. */
  readonly pid: number;
  /** For `/metrics`; null: it has none (the control). */
  readonly adminUrl: string | null;
  /** Asks it to end (SIGTERM) and starts it again at the same address. @throws Error when it does not end in time. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface SubjectPlan {
  readonly name: string;
  /** Before its channels in Redis. */
  readonly redisPrefix: string;
  readonly topics: readonly VerifiedTopic[];
  readonly clientCount: number;
  /** Every so many clients one is on the SDK; 0: none. */
  readonly sdkEvery: number;
  /** Every so many clients one connects through the proxy. */
  readonly proxyEvery: number;
  /** Messages a second, all topics together. */
  readonly ratePerSec: number;
  readonly fillBytes: number;
  readonly runId: string;
  /** See books.ts. */
  readonly epochsGoOn: boolean;
}

/** Clients connect so many at a time. */
const opensAtOnce = 100;
const openTimeoutMs = 60_000;

/** See the file head. */
export class Subject {
  readonly name: string;
  readonly redisPrefix: string;
  readonly server: ServerProcess;
  readonly proxy: CuttingProxy;
  readonly books: Books;
  readonly timeline: Timeline;
  readonly publishing = new PublishFigures();
  /** How connections ended, by reason. */
  readonly ends = new Map<string, number>();
  /** Clients that the server sent away for good. */
  readonly stopped: string[] = [];
  connectionsRefused = 0;
  readonly clients: VerifyClient[] = [];
  readonly #clocks: ClientClock[] = [];
  readonly #publishers: Publisher[];
  readonly #connected = new Set<number>();
  #publishing: Promise<unknown> = Promise.resolve();

  private constructor(
    plan: SubjectPlan,
    server: ServerProcess,
    proxy: CuttingProxy,
    random: SeededRandom,
    doubt: DoubtfulTimes | null,
  ) {
    this.name = plan.name;
    this.redisPrefix = plan.redisPrefix;
    this.server = server;
    this.proxy = proxy;
    this.books = new Books(plan.topics, plan.clientCount, plan.epochsGoOn);
    this.timeline = new Timeline(plan.clientCount);
    const names = plan.topics.map(({ name }) => name);
    const indexes = new Map(names.map((name, index) => [name, index]));
    for (let index = 0; index < plan.clientCount; index++) {
      const url = index % plan.proxyEvery === 0 ? proxy.url : server.url;
      const isSdk = plan.sdkEvery > 0 && index % plan.sdkEvery === 1;
      const Kind = isSdk ? SdkClient : ResumingClient;
      this.clients.push(new Kind(`${url.replace(/^http/u, "ws")}/ws`, names, this.#listener(index, indexes)));
    }
    this.#publishers = plan.topics.map(({ name }, topicIndex) => {
      const { runId, fillBytes } = plan;
      const intervalMs = (1000 * plan.topics.length) / plan.ratePerSec;
      return new Publisher(
        { url: server.url, topicIndex, topic: name, intervalMs, runId, fillBytes },
        this.books,
        this.publishing,
        random,
        doubt,
      );
    });
  }

  /** Connects all clients. @throws CliError when some cannot subscribe. */
  static async open(
    plan: SubjectPlan,
    server: ServerProcess,
    random: SeededRandom,
    doubt: DoubtfulTimes | null,
  ): Promise<Subject> {
    const subject = new Subject(plan, server, await CuttingProxy.start(server.url), random, doubt);
    for (let first = 0; first < subject.clients.length; first += opensAtOnce) {
      const starts = subject.clients.slice(first, first + opensAtOnce).map((client) => client.start());
      await orTimeout(Promise.all(starts), `${plan.name}: clients from ${first} on cannot subscribe`);
    }
    return subject;
  }

  /** Clients with a connection now. */
  get connectedCount(): number {
    return this.#connected.size;
  }

  /** Begins to publish. @param patienceMs for the last messages, after `stopPublishing`. */
  startPublishing(patienceMs: number): void {
    this.#publishing = Promise.all(this.#publishers.map((publisher) => publisher.run(patienceMs)));
  }

  /** Resolves when every message has been seen through. */
  async stopPublishing(): Promise<void> {
    for (const publisher of this.#publishers) publisher.stop();
    await this.#publishing;
  }

  /** Processes of its workers. */
  workerPids(): number[] {
    try {
      const { pid } = this.server;
      const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
      return text.trim().split(" ").filter(Boolean).map(Number);
    } catch {
      return [];
    }
  }

  /** Nobody wants anything of the server any more. */
  leave(): void {
    for (const publisher of this.#publishers) publisher.stop();
    for (const client of this.clients) client.close();
    this.proxy.stop();
  }

  async close(): Promise<void> {
    this.leave();
    await this.server.stop();
  }

  #listener(client: number, indexes: ReadonlyMap<string, number>): ClientListener {
    const clock = new ClientClock();
    this.#clocks.push(clock);
    const reader = (topic: string): ReturnType<Books["reader"]> =>
      this.books.reader(client, indexes.get(topic) ?? -1);
    return {
      position: (topic) => reader(topic).position,
      onSnapshot: (topic, snapshot) => {
        reader(topic).subscribed(snapshot);
        if (snapshot.number === null && snapshot.messages.length === 0) return;
        // What was missed counts as delivery, not as latency: it is late because the client was away.
        const nowMs = performance.now();
        this.timeline.recovered(clock, nowMs);
      },
      onPublication: (topic, seq, { n, t }) => {
        // What fills an output buffer (redis-faults.ts).
        if (n === 0) return;
        if (!Number.isInteger(n)) {
          this.books.unreadable(client);
          return;
        }
        reader(topic).publication(seq, n);
        this.timeline.arrived(clock, performance.now(), t);
      },
      onEpoch: (topic, epoch) => reader(topic).wentOn(epoch),
      onUnreadable: () => this.books.unreadable(client),
      onOpen: () => {
        this.#connected.add(client);
        clock.connectedMs = performance.now();
      },
      onEnd: (what) => {
        this.#connected.delete(client);
        this.ends.set(what, (this.ends.get(what) ?? 0) + 1);
        if (what === "connection refused") this.connectionsRefused++;
      },
      onStopped: (what) => this.stopped.push(`client ${client}: ${what}`),
    };
  }
}

async function orTimeout(promise: Promise<unknown>, problem: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new CliError(exitCode.unavailable, problem)), openTimeoutMs);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
