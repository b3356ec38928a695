/**
 * The memory broker's half in a worker. The logs live in the primary (memory-broker-host.ts); between the two is an
 * ordered, reliable port, and still the feed of each topic is the same as over Redis.
 */
import { asBuffer } from "../base/byte-string.ts";
import { BrokerError, invariant } from "../base/errors.ts";
import { Arrival, type ArrivalReceiver } from "./arrival.ts";
import {
  publishChanceMs,
  publishTimeoutMs,
  type Broker,
  type BrokerListener,
  type BrokerStatus,
  type BrokerTopic,
  type HistoryPage,
  type Position,
  type PublishOptions,
} from "./broker.ts";
import {
  BusOutbox,
  isBatch,
  type BusPort,
  type PrimaryBusMessage,
  type WorkerBusMessage,
} from "./bus-messages.ts";
import { countPublish, newBrokerCounters } from "./counters.ts";
import { HistoryReads } from "./history-reads.ts";
import { partForFeed, type LogPart, type LogRead } from "./log-read.ts";
import { OpenTopic } from "./open-topic.ts";
import { Readiness } from "./readiness.ts";
import { TopicFeed } from "./topic-feed.ts";

/** Who is late is looked for so often, and is told so much later than it could be. */
const timeoutCheckMs = 100;
const answerTimeoutMs = publishTimeoutMs - timeoutCheckMs;
/** Requests that wait for the primary at once. Beyond them a request fails at once. */
const pendingCountMax = 10_000;

type LivePublication = Extract<PrimaryBusMessage, { kind: "publication" }>;
type Answer = Extract<PrimaryBusMessage, { kind: "published" | "page" }>;

interface Pending {
  readonly deadlineMs: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: BrokerError) => void;
}

/** The broker of `broker.kind: memory`, in a worker. */
export class MemoryBroker implements Broker {
  readonly counters = newBrokerCounters();
  readonly #port: BusPort;
  readonly #outbox: BusOutbox<WorkerBusMessage>;
  readonly #topics = new Map<string, OpenTopic>();
  /** By topic, the request whose confirmation counts: a topic may be closed and opened again before the first comes. */
  readonly #openIds = new Map<string, number>();
  /** Oldest first. */
  readonly #pending = new Map<number, Pending>();
  readonly #historyReads = new HistoryReads((topic, part) => this.#read(topic, part));
  readonly #readiness = new Readiness();
  #listener: BrokerListener | null = null;
  #lastId = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(port: BusPort) {
    this.#port = port;
    this.#outbox = new BusOutbox(port);
  }

  start(listener: BrokerListener): Promise<void> {
    this.#readiness.start(listener);
    this.#listener = listener;
    this.#port.onMessage((message) => this.#onMessage(message));
    this.#port.onClose(() => this.#end("the primary process is gone"));
    this.#timer = setInterval(() => this.#rejectLate(), timeoutCheckMs);
    return new Promise((resolve) => {
      setImmediate(() => {
        if (this.#timer !== null) this.#readiness.set(null);
        resolve();
      });
    });
  }

  status(): BrokerStatus {
    return this.#readiness.status;
  }

  /** There is no way but the one between two processes of ours. */
  lagMs(): number | null {
    return null;
  }

  open(topic: BrokerTopic, receiver: ArrivalReceiver): void {
    const { name } = topic;
    invariant(this.#listener !== null, "a broker is started before topics are opened");
    invariant(!this.#topics.has(name), "a topic is opened once at a time");
    const feed = new TopicFeed(topic, this.#listener, receiver, this.counters);
    this.#topics.set(name, new OpenTopic(feed, (request) => this.#read(topic, partForFeed(topic, request))));
    this.counters.topicsOpen = this.#topics.size;
    this.#lastId++;
    this.#openIds.set(name, this.#lastId);
    this.#outbox.push({ kind: "open", id: this.#lastId, topic: name });
  }

  close(name: string): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    topic.close();
    this.#topics.delete(name);
    this.#openIds.delete(name);
    this.counters.topicsOpen = this.#topics.size;
    this.#outbox.push({ kind: "close", topic: name });
  }

  publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    return countPublish(this.counters, this.#publish(topic, data, options));
  }

  history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage> {
    return this.#historyReads.page(topic, since, limit);
  }

  async refresh(name: string): Promise<void> {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw new BrokerError("the topic is not open", false);
    await topic.refresh();
  }

  stop(): Promise<void> {
    this.#end(null);
    return Promise.resolve();
  }

  async #publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    const { idempotencyKey = null, origin = null, arrivedMs } = options;
    const answer = await this.#ask(
      (id) => ({ kind: "publish", id, topic, data, idempotencyKey, origin }),
      arrivedMs,
    );
    invariant(answer.kind === "published", "a publish is answered by its position");
    return answer.position;
  }

  async #read(topic: BrokerTopic, part: LogPart): Promise<LogRead> {
    const answer = await this.#ask((id) => ({ kind: "read", id, topic, ...part }));
    invariant(answer.kind === "page", "a read is answered by a page");
    return answer.read;
  }

  #ask(message: (id: number) => WorkerBusMessage, arrivedMs = performance.now()): Promise<Answer> {
    const { ready, reason } = this.#readiness.status;
    if (!ready) return Promise.reject(new BrokerError(reason ?? "not connected", true));
    if (this.#pending.size >= pendingCountMax) {
      return Promise.reject(new BrokerError("too many requests wait for the primary process", true));
    }
    this.#lastId++;
    const id = this.#lastId;
    const deadlineMs = Math.max(arrivedMs + answerTimeoutMs, performance.now() + publishChanceMs);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { deadlineMs, resolve, reject });
      this.#outbox.push(message(id));
    });
  }

  #onMessage(message: unknown): void {
    if (!isBatch<PrimaryBusMessage>(message)) return;
    const nowMs = performance.now();
    for (const each of message) {
      if (each.kind === "publication") {
        this.#onPublication(each, nowMs);
      } else if (each.kind === "opened") {
        const topic = this.#topics.get(each.topic);
        if (topic !== undefined && this.#openIds.get(each.topic) === each.id) topic.subscribed();
      } else {
        this.#pending.get(each.id)?.resolve(each);
        this.#pending.delete(each.id);
      }
    }
  }

  #onPublication({ topic: name, epoch, seq, data, origin }: LivePublication, nowMs: number): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    this.counters.publicationsReceived++;
    const arrival = new Arrival(asBuffer(data), nowMs);
    arrival.seq = seq;
    arrival.origin = origin;
    topic.feed.live(epoch, arrival, true);
    topic.pump();
  }

  #rejectLate(): void {
    const nowMs = performance.now();
    for (const [id, { deadlineMs, reject }] of this.#pending) {
      if (deadlineMs > nowMs) continue;
      this.#pending.delete(id);
      reject(new BrokerError("the primary process did not answer in time", true));
    }
  }

  /** @param reason null: we were told to stop, and call nobody. */
  #end(reason: string | null): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#outbox.close();
    if (reason === null) this.#readiness.stop();
    else this.#readiness.set(reason);
    for (const topic of this.#topics.values()) topic.close();
    for (const { reject } of this.#pending.values()) reject(new BrokerError(reason ?? "stopped", true));
    this.#pending.clear();
  }
}
