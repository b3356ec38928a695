/** The clients of one swarm process: they subscribe, keep books of what arrives, come back when they may. */
import { nowUs } from "../clock.ts";
import { Latency } from "./latency.ts";
import { LeanClient, wireBytes, type LeanTarget } from "./lean-client.ts";
import { emptyPublication, scanPublication } from "./publication-scan.ts";
import { SubscriberBooks } from "./subscriber-books.ts";
import type { Share, SwarmPlan, SwarmStats } from "./swarm-plan.ts";

interface Position {
  epoch: string;
  seq: number;
}

interface Member {
  readonly index: number;
  client: LeanClient | null;
  startedUs: number;
  isSubscribed: boolean;
  isStalled: boolean;
  /** By topic index: where it stands, for `since`. */
  readonly positions: Map<number, Position>;
}

/** The part of a subscribe result that matters here. */
interface TopicResult {
  readonly epoch?: string;
  readonly seq?: number;
  readonly data?: { readonly n?: number };
  readonly messages?: readonly { readonly seq: number; readonly data: { readonly n: number } }[];
}

const subscribeTimeoutMs = 30_000;
/** A connect without an answer is given up and counted, as a client of people does. */
const answerTimeoutMs = 15_000;
/** Between two attempts of a client to come back. */
const retryMs = 500;
const problemsMax = 10;
const lineFeed = 0x0a;

export class SwarmCrowd {
  readonly #plan: SwarmPlan;
  readonly #target: LeanTarget;
  readonly #books: SubscriberBooks;
  readonly #members: Member[];
  readonly #indexOf: ReadonlyMap<string, number>;
  readonly #latency = new Latency();
  readonly #opening = new Latency();
  readonly #scanned = emptyPublication();
  readonly problems: string[] = [];
  #open = 0;
  #publications = 0;
  #frames = 0;
  #toldLost = 0;
  #reconnects = 0;
  #unanswered = 0;
  #taken = { publications: 0, frames: 0, toldLost: 0, reconnects: 0, read: 0, written: 0 };
  #isClosing = false;
  #onSubscribed: () => void = () => undefined;

  constructor(plan: SwarmPlan) {
    const url = new URL(plan.url);
    this.#plan = plan;
    this.#target = {
      host: url.hostname,
      port: Number(url.port === "" ? 80 : url.port),
      path: `/ws${plan.query === "" ? "" : `?${plan.query}`}`,
    };
    this.#books = new SubscriberBooks(plan.topics, plan.topicsOf.length, plan.firstClient);
    this.#indexOf = new Map(plan.topics.map(({ name }, index) => [name, index]));
    this.#members = plan.topicsOf.map((_, index) => ({
      index,
      client: null,
      startedUs: 0,
      isSubscribed: false,
      isStalled: false,
      positions: new Map(),
    }));
  }

  /** How many are not subscribed at the moment. */
  get away(): number {
    return this.#members.length - this.#open;
  }

  get books(): SubscriberBooks {
    return this.#books;
  }

  /** Connects and subscribes all. Resolves with how many are subscribed: all, unless the time is over. */
  async open(): Promise<number> {
    const deadlineMs = performance.now() + subscribeTimeoutMs;
    let started = 0;
    return await new Promise((resolve) => {
      const step = (): void => {
        while (started < this.#members.length && started - this.#open < this.#plan.atOnce) {
          const member = this.#members[started++];
          if (member !== undefined) this.#connect(member);
        }
        const isOver =
          performance.now() > deadlineMs || (!this.#plan.mayReconnect && this.problems.length > 0);
        if (this.#open < this.#members.length && !isOver) return;
        clearInterval(watch);
        this.#onSubscribed = () => undefined;
        resolve(this.#open);
      };
      const watch = setInterval(step, 100);
      this.#onSubscribed = step;
      step();
    });
  }

  stall(share: Share): void {
    for (const member of this.#chosen(share)) {
      member.isStalled = true;
      member.client?.stall();
    }
  }

  /** Those that were stalled read on; their latencies go on not counting: they read what is old. */
  resume(): void {
    for (const { isStalled, client } of this.#members) if (isStalled) client?.resume();
  }

  cut(share: Share): number {
    const chosen = this.#chosen(share).filter(({ isSubscribed }) => isSubscribed);
    for (const { client } of chosen) client?.cut();
    return chosen.length;
  }

  /** Over how long cut ones spread their return. */
  spreadMs = 0;

  stats(): SwarmStats {
    const was = this.#taken;
    this.#taken = {
      publications: this.#publications,
      frames: this.#frames,
      toldLost: this.#toldLost,
      reconnects: this.#reconnects,
      ...wireBytes,
    };
    return {
      open: this.#open,
      publications: this.#publications - was.publications,
      frames: this.#frames - was.frames,
      bytesRead: wireBytes.read - was.read,
      bytesWritten: wireBytes.written - was.written,
      toldLost: this.#toldLost - was.toldLost,
      reconnects: this.#reconnects - was.reconnects,
      unansweredSoFar: this.#unanswered,
      latency: this.#latency.take(),
      opening: this.#opening.take(),
    };
  }

  close(): void {
    this.#isClosing = true;
    for (const { client } of this.#members) client?.close();
  }

  #chosen({ every }: Share): Member[] {
    return this.#members.filter(({ index }) => (this.#plan.firstClient + index) % every === 0);
  }

  #connect(member: Member): void {
    member.startedUs = nowUs();
    const client = new LeanClient(this.#target, {
      onOpen: () => client.send(this.#subscribeCommand(member)),
      onMessage: (payload) => this.#take(member, payload),
      onEnd: (problem) => this.#ended(member, problem),
    });
    member.client = client;
    if (this.#plan.mayReconnect) this.#watch(member, client);
  }

  /** Gives up a connect that gets no answer. */
  #watch(member: Member, client: LeanClient): void {
    setTimeout(() => {
      if (member.client !== client || member.isSubscribed || member.isStalled) return;
      this.#unanswered++;
      client.cut();
    }, answerTimeoutMs);
  }

  #subscribeCommand({ index, positions }: Member): string {
    const topics = this.#topicsOf(index).map((topic) => this.#plan.topics[topic]?.name ?? "");
    const since = Object.fromEntries(
      [...positions].map(([topic, position]) => [this.#plan.topics[topic]?.name ?? "", position]),
    );
    return JSON.stringify({
      id: 1,
      method: "subscribe",
      params: { topics, ...(positions.size === 0 ? {} : { since }) },
    });
  }

  #ended(member: Member, problem: string): void {
    if (member.isSubscribed) this.#open--;
    member.isSubscribed = false;
    member.client = null;
    if (this.#isClosing) return;
    if (!this.#plan.mayReconnect) {
      this.#problem(member, problem);
      return;
    }
    this.#reconnects++;
    const waitMs = Math.random() * this.spreadMs + (this.spreadMs === 0 ? retryMs : 0);
    setTimeout(() => {
      if (!this.#isClosing) this.#connect(member);
    }, waitMs);
  }

  #take(member: Member, payload: Uint8Array): void {
    this.#frames++;
    const receivedUs = nowUs();
    let start = 0;
    while (start < payload.length) {
      const lineEnd = this.#isBatch ? payload.indexOf(lineFeed, start) : -1;
      const end = lineEnd === -1 ? payload.length : lineEnd;
      if (scanPublication(payload, start, end, this.#scanned)) this.#publication(member, receivedUs);
      else this.#other(member, Buffer.from(payload.subarray(start, end)).toString());
      start = end + 1;
    }
  }

  get #isBatch(): boolean {
    return this.#plan.query.includes("batch=1");
  }

  #publication(member: Member, receivedUs: number): void {
    const { topic, seq, number, sentUs } = this.#scanned;
    this.#publications++;
    if (!member.isStalled) this.#latency.record(receivedUs - sentUs);
    const position = member.positions.get(topic);
    if (position !== undefined) position.seq = seq;
    this.#books.arrive(member.index, topic, number, seq);
  }

  /** Replies and events. */
  #other(member: Member, text: string): void {
    const message: unknown = JSON.parse(text);
    if (typeof message !== "object" || message === null) return;
    if ("id" in message) {
      const result = "result" in message ? message.result : null;
      if (isSubscribeResult(result)) this.#subscribed(member, result.topics);
      else this.#problem(member, `the answer to its subscribe was ${text.slice(0, 300)}`);
    } else if (isLost(message)) {
      const topic = this.#indexOf.get(message.topic);
      if (topic === undefined) return;
      this.#toldLost += message.count;
      this.#books.toldLost(member.index, topic, message.count);
    }
  }

  #subscribed(member: Member, topics: Readonly<Record<string, TopicResult>>): void {
    for (const topic of this.#topicsOf(member.index)) {
      const name = this.#plan.topics[topic]?.name ?? "";
      const { epoch, seq = 0, data, messages } = topics[name] ?? {};
      if (messages === undefined) this.#books.subscribed(member.index, topic, data?.n ?? 0, seq);
      for (const message of messages ?? []) {
        this.#publications++;
        this.#books.arrive(member.index, topic, message.data.n, message.seq);
      }
      if (epoch !== undefined) member.positions.set(topic, { epoch, seq });
    }
    member.isSubscribed = true;
    this.#open++;
    this.#opening.record(nowUs() - member.startedUs);
    this.#onSubscribed();
  }

  #topicsOf(index: number): readonly number[] {
    return this.#plan.topicsOf[index] ?? [];
  }

  #problem({ index }: Member, problem: string): void {
    if (this.problems.length >= problemsMax) return;
    this.problems.push(`subscriber ${this.#plan.firstClient + index}: ${problem}`);
  }
}

function isSubscribeResult(
  result: unknown,
): result is { readonly topics: Readonly<Record<string, TopicResult>> } {
  return typeof result === "object" && result !== null && "topics" in result && !("errors" in result);
}

function isLost(message: object): message is { readonly topic: string; readonly count: number } {
  return "event" in message && message.event === "lost" && "topic" in message && "count" in message;
}
