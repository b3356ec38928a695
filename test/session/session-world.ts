/** Sessions over a fake connection, a real hub and a broker in memory that answers when the test says so. */
import type { Identity } from "../../src/auth/identity.ts";
import { anonymousIdentity, grantedIdentity } from "../../src/auth/identity.ts";
import type { Clock } from "../../src/base/clock.ts";
import { BrokerError, RequestError } from "../../src/base/errors.ts";
import { TokenBucket } from "../../src/base/token-bucket.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import type {
  BrokerTopic,
  HistoryPage,
  Position,
  Publication,
  PublishOptions,
} from "../../src/broker/broker.ts";
import { encodeTextFrame } from "../../src/codec/frame-encoder.ts";
import { Hub } from "../../src/hub/hub.ts";
import { WaitingTotal } from "../../src/session/command-queue.ts";
import { NativeSession } from "../../src/session/native-session.ts";
import type { NativeSessionOptions } from "../../src/session/native-session.ts";
import { RawSession } from "../../src/session/raw-session.ts";
import type { RawSessionOptions } from "../../src/session/raw-session.ts";
import { SessionCounters } from "../../src/session/session-services.ts";
import type {
  SessionConnection,
  SessionLimits,
  SessionServices,
} from "../../src/session/session-services.ts";
import { TopicAccess } from "../../src/session/topic-access.ts";
import type { SessionRule } from "../../src/session/topic-access.ts";
import { UserLimits } from "../../src/session/user-limits.ts";
import { textMessages } from "../hub/fake-sink.ts";

export const epoch = "1795338789954376";

const rules: readonly SessionRule[] = [
  { match: "quote.**", delivery: "latest", samplePerSecMax: null, history: { size: 1, ttlMs: 86_400_000 }, clientPublish: false, subscribe: null, publish: null },
  { match: "chat.**", delivery: "every", samplePerSecMax: null, history: { size: 300, ttlMs: 300_000 }, clientPublish: true, subscribe: null, publish: null },
  { match: "wire.**", delivery: "every", samplePerSecMax: null, history: null, clientPublish: true, subscribe: null, publish: null },
  { match: "tick.**", delivery: "latest", samplePerSecMax: null, history: null, clientPublish: false, subscribe: null, publish: null },
  { match: "danmaku.**", delivery: "sample", samplePerSecMax: 60, history: { size: 50, ttlMs: 300_000 }, clientPublish: true, subscribe: null, publish: null },
  { match: "user.{sub}.**", delivery: "every", samplePerSecMax: null, history: null, clientPublish: true, subscribe: null, publish: null },
  { match: "team.{sub}", delivery: "every", samplePerSecMax: null, history: null, clientPublish: false, subscribe: "granted", publish: null },
  { match: "open.*", delivery: "latest", samplePerSecMax: null, history: null, clientPublish: true, subscribe: "anyone", publish: "token" },
  { match: "members.*", delivery: "every", samplePerSecMax: null, history: { size: 300, ttlMs: 300_000 }, clientPublish: true, subscribe: "token", publish: "granted" },
  { match: "paid.*", delivery: "every", samplePerSecMax: null, history: null, clientPublish: true, subscribe: "granted", publish: "nobody" },
  { match: "inner.*", delivery: "every", samplePerSecMax: null, history: null, clientPublish: false, subscribe: "nobody", publish: null },
]; // prettier-ignore

export const topics = new TopicAccess(rules, false);

/** Lets promises go on. */
export function tick(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A promise that the test resolves. */
export function gate(): { readonly promise: Promise<void>; readonly open: () => void } {
  let resolveIt: (() => void) | null = null;
  const promise = new Promise<void>((resolve) => {
    resolveIt = resolve;
  });
  return { promise, open: () => resolveIt?.() };
}

export class FakeConnection implements SessionConnection {
  readonly id: string;
  readonly remoteAddress = "";
  /** Text messages in the order of writing. */
  readonly messages: string[] = [];
  maySendCompressed = false;
  /** Written to while something was pending. */
  queuedWrites = 0;
  closedWith: { readonly code: number; readonly reason: string } | null = null;
  isFull = false;
  /** Decides whether the kernel takes a write. */
  takes: () => boolean = () => true;
  onClosed: () => void = () => undefined;
  /** Whether long work stops, and what waits then. The test lets it go on. */
  isSpent = false;
  readonly waiting: (() => void)[] = [];
  /** Work of others for it. */
  chargedMs = 0;
  #isReported = false;

  constructor(id: string) {
    this.id = id;
  }

  get isWritable(): boolean {
    return this.closedWith === null && !this.#isReported && !this.isFull;
  }

  write(bytes: Uint8Array): boolean {
    if (this.closedWith !== null || this.#isReported) return false;
    if (this.isFull) this.queuedWrites += 1;
    this.messages.push(...textMessages(bytes));
    if (!this.isFull && this.takes()) return true;
    this.isFull = true;
    return false;
  }

  send(_isText: boolean, payload: Uint8Array): boolean {
    return this.write(encodeTextFrame(Buffer.from(payload).toString("utf8")));
  }

  sendText(text: string): boolean {
    return this.write(encodeTextFrame(text));
  }

  inTurn(run: () => void): void {
    if (this.closedWith !== null || this.#isReported) return;
    if (this.isSpent || this.waiting.length > 0) this.waiting.push(run);
    else run();
  }

  charge(workMs: number): void {
    this.chargedMs += workMs;
  }

  /** A turn in which there is time for one of what waits. */
  turn(): void {
    if (this.closedWith !== null || this.#isReported) return;
    this.waiting.shift()?.();
  }

  close(code: number, reason: string): void {
    if (this.closedWith !== null || this.#isReported) return;
    this.closedWith = { code, reason };
    this.#report();
  }

  /** The peer or the network ends it. */
  end(): void {
    this.#report();
  }

  #report(): void {
    if (this.#isReported) return;
    this.#isReported = true;
    this.waiting.length = 0;
    queueMicrotask(() => this.onClosed());
  }

  /** Takes out what was sent so far. */
  take(): string[] {
    return this.messages.splice(0);
  }
}

/** A log per topic. Its part towards the hub is what the worker joins. */
export class FakeBroker {
  readonly logs = new Map<string, { epoch: string; seq: number; entries: Publication[] }>();
  readonly open = new Map<string, BrokerTopic>();
  readonly opening: BrokerTopic[] = [];
  readonly calls: string[] = [];
  /** False: topics stay unopened until `answer`. */
  opensAtOnce = true;
  failure: Error | null = null;
  /** Awaited by `publish`, `history` and `refresh`. */
  gate: Promise<void> = Promise.resolve();
  /** Called when a history page was read and before it is handed on. */
  onPage: () => void = () => undefined;
  /** Stored by others; this worker hears of it at `refresh`. */
  readonly unheard: { name: string; publication: Publication }[] = [];
  /** Called when `refresh` has read the log. */
  onRefresh: () => void = () => undefined;
  deliver: (name: string, publication: Publication) => void = () => undefined;
  tellOpened: (topic: BrokerTopic) => void = () => undefined;

  log(name: string): { epoch: string; seq: number; entries: Publication[] } {
    let log = this.logs.get(name);
    if (log === undefined) {
      log = { epoch, seq: 0, entries: [] };
      this.logs.set(name, log);
    }
    return log;
  }

  /** Stores a publication without telling anybody. */
  store(topic: BrokerTopic, data: string | Uint8Array, origin: string | null = null): Publication {
    const log = this.log(topic.name);
    if (topic.history !== null) log.seq += 1;
    const seq = topic.history === null ? 0 : log.seq;
    const publication = { seq, data: Buffer.from(data), origin };
    if (topic.history !== null) log.entries.push(publication);
    if (topic.history !== null && log.entries.length > topic.history.size) log.entries.shift();
    return publication;
  }

  publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    this.calls.push(`publish ${topic.name}`);
    return this.#guarded(() => {
      const publication = this.store(topic, data, options.origin ?? null);
      this.deliver(topic.name, publication);
      return topic.history === null ? null : { epoch: this.log(topic.name).epoch, seq: publication.seq };
    });
  }

  history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage> {
    this.calls.push(`history ${topic.name} since ${since?.seq ?? "-"} limit ${limit}`);
    return this.#guarded(() => {
      const log = this.log(topic.name);
      const position = { epoch: log.epoch, seq: log.seq };
      if (since === null) return { position, entries: log.entries.slice(-limit), complete: true };
      const entries = log.entries.filter(({ seq }) => seq > since.seq).slice(0, limit);
      const isWhole = entries.every(({ seq }, index) => seq === since.seq + 1 + index);
      const complete =
        since.epoch === log.epoch && isWhole && since.seq >= 0 && since.seq + entries.length <= log.seq;
      this.onPage();
      return { position, entries, complete: complete && (entries.length > 0 || since.seq === log.seq) };
    });
  }

  refresh(name: string): Promise<void> {
    this.calls.push(`refresh ${name}`);
    return this.#guarded(() => {
      for (const each of this.unheard.splice(0)) this.deliver(each.name, each.publication);
      this.onRefresh();
    });
  }

  async #guarded<Result>(action: () => Result): Promise<Result> {
    const { failure } = this;
    await this.gate;
    if (failure !== null) throw failure;
    return action();
  }
}

export interface Client {
  readonly connection: FakeConnection;
  readonly session: NativeSession;
}

export class SessionWorld {
  nowMs = 1000;
  wallMs = Date.UTC(2026, 0, 1);
  readonly clock: Clock = { nowMs: () => this.nowMs, wallMs: () => this.wallMs };
  readonly wheel = new TimerWheel(this.clock, 10);
  readonly broker = new FakeBroker();
  readonly hub: Hub;
  readonly counters = new SessionCounters();
  readonly unexpected: unknown[] = [];
  anonymous: Identity | null = anonymousIdentity;
  /** What tokens are worth; others are refused. */
  readonly tokens = new Map<string, Identity | Error>();
  /** Awaited by every verification. */
  verifyGate: Promise<void> = Promise.resolve();
  limits: SessionLimits = {
    topicsPerConnectionMax: 1024,
    messageBytesMax: 65_536,
    clientPublishesPerSecMax: 5,
    clientPublishesPerUserPerSecMax: null,
    topicsPerWorkerMax: null,
    commandsPerWorkerPerSecMax: null,
    pendingBytesMax: 1_048_576,
    waitingCommandBytesMax: 1_048_576,
  };
  waiting = new WaitingTotal(67_108_864);
  users = new UserLimits(null, null);
  commandBudget = new TokenBucket(null, 1000);
  #nextId = 0;

  constructor(ringMessagesMax = 16) {
    const { broker } = this;
    this.hub = new Hub(
      { ringMessagesMax, ringBytesMax: Number.POSITIVE_INFINITY, onRingEmptied: () => undefined, lingerMs: 5000, openTimeoutMs: 5000, catchUpBytesMax: 262_144, random: () => 0.5, wake: () => undefined },
      {
        open: (topic) => {
          broker.open.set(topic.name, topic);
          broker.opening.push(topic);
          if (broker.opensAtOnce) queueMicrotask(() => this.answer());
        },
        close: (name) => broker.open.delete(name),
      },
    ); // prettier-ignore
    broker.deliver = (name, { seq, data, origin }) => {
      if (broker.open.has(name)) this.hub.publish(name, seq, data, origin, this.nowMs);
    };
  }

  /** The broker opens what was asked for. */
  answer(): void {
    for (const topic of this.broker.opening.splice(0)) {
      const log = this.broker.log(topic.name);
      const position = topic.history === null ? null : { epoch: log.epoch, seq: log.seq };
      const entries = topic.history === null ? [] : log.entries.slice(-1);
      this.hub.opened(topic.name, position, entries, this.nowMs);
    }
  }

  services(): SessionServices {
    const { hub, broker, clock, wheel, counters } = this;
    return {
      hub,
      broker,
      topics,
      clock,
      wheel,
      counters,
      users: this.users,
      commandBudget: this.commandBudget,
      waiting: this.waiting,
      limits: this.limits,
      heartbeatMs: 25_000,
      onUnexpected: (error) => void this.unexpected.push(error),
      auth: {
        anonymous: this.anonymous,
        verify: async (token) => {
          await this.verifyGate;
          const found =
            this.tokens.get(token) ?? new RequestError("unauthorized", "the token is not accepted");
          if (found instanceof Error) throw found;
          return found;
        },
      },
    };
  }

  connection(): FakeConnection {
    return new FakeConnection(`connection-${this.#nextId++}`);
  }

  connect(options: Partial<NativeSessionOptions> = {}, connection = this.connection()): Client {
    const session = new NativeSession(connection, this.services(), {
      topics: [],
      token: null,
      intervalMs: null,
      batch: false,
      ...options,
    });
    connection.onClosed = () => session.closed();
    session.start();
    return { connection, session };
  }

  /** A connection that has got its welcome. */
  async client(options: Partial<NativeSessionOptions> = {}): Promise<Client> {
    const client = this.connect(options);
    await tick();
    client.connection.take();
    return client;
  }

  raw(
    topic: string,
    options: Partial<RawSessionOptions> = {},
  ): { connection: FakeConnection; session: RawSession } {
    const connection = this.connection();
    const session = new RawSession(connection, this.services(), {
      topic: topics.topic(topic),
      token: null,
      intervalMs: null,
      ...options,
    });
    connection.onClosed = () => session.closed();
    session.start();
    return { connection, session };
  }

  /** Sends a command and lets everything that follows happen. Returns what was sent back. */
  async ask(client: Client, command: string | object): Promise<string[]> {
    this.send(client, command);
    await tick();
    await tick();
    return client.connection.take();
  }

  send(client: Client, command: string | object): void {
    client.session.receive(Buffer.from(typeof command === "string" ? command : JSON.stringify(command)));
  }

  /** Somebody publishes, and this worker hears of it. */
  publish(name: string, data: string, origin: string | null = null): void {
    this.broker.deliver(name, this.broker.store(topics.topic(name), data, origin));
  }

  /** Moves all clocks; wheel and hub do what is due. */
  go(elapsedMs = 0): void {
    this.nowMs += elapsedMs;
    this.wallMs += elapsedMs;
    this.wheel.advance(this.nowMs);
    while (this.hub.turn(this.nowMs, 5) <= this.nowMs) continue;
  }

  drain({ connection, session }: { connection: FakeConnection; session: { drained(): void } }): void {
    connection.takes = () => true;
    connection.isFull = false;
    session.drained();
  }
}

export const brokerAway = new BrokerError("connect ECONNREFUSED", true);

/** An identity as a token gives it. */
export function granted(
  subscribe: readonly string[],
  more: { sub?: string | null; publish?: readonly string[]; expiresWallMs?: number } = {},
): Identity {
  return grantedIdentity(
    more.sub ?? null,
    subscribe,
    more.publish ?? [],
    more.expiresWallMs ?? Number.MAX_SAFE_INTEGER,
  );
}
