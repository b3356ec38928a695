/**
 * Random publishes, gaps, subscribes, stalls, drains, rate changes and departures against a naive twin: a list per reader and
 * topic of what was published while it was subscribed. What each reader got is compared with what its topic promises.
 * HUB_MODEL_STEPS and HUB_MODEL_SEED choose another run.
 */
import { describe, expect, it } from "vitest";
import { rateClassesMs } from "../../src/hub/rate-class.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { Variant } from "../../src/hub/entry.ts";
import type { Reader } from "../../src/hub/reader.ts";
import type { HubTopic } from "../../src/hub/topic-log.ts";
import { FakeSink } from "./fake-sink.ts";

/** mulberry32: a small generator whose seed names the run. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  };
}

const history = { size: 10, ttlMs: 1e9 };
const topics: HubTopic[] = [
  ...["q.1", "q.2", "q.3"].map((name) => ({
    name,
    delivery: "latest" as const,
    samplePerSecMax: 0,
    history,
    sharesCompression: true,
  })),
  ...["t.1", "t.2"].map((name) => ({
    name,
    delivery: "every" as const,
    samplePerSecMax: 0,
    history,
    sharesCompression: false,
  })),
  ...["l.1", "l.2"].map((name) => ({
    name,
    delivery: "every" as const,
    samplePerSecMax: 0,
    history: null,
    sharesCompression: true,
  })),
  ...["d.1", "d.2"].map((name) => ({
    name,
    delivery: "sample" as const,
    samplePerSecMax: 20,
    history,
    sharesCompression: false,
  })),
];

const sharing = new Set(topics.filter((topic) => topic.sharesCompression).map(({ name }) => name));
const variants: readonly Variant[] = ["native", "batch", "native+deflate", "batch+deflate", "batch+deflate"];

const crowdTopics = new Set(topics.filter(({ name }) => ["q.1", "t.1", "l.1", "d.1"].includes(name)));

/** One stay of a reader on a topic. */
interface Stay {
  readonly topic: HubTopic;
  /** Numbers published during the stay. */
  readonly published: number[];
  readonly own: Set<number>;
  readonly received: number[];
  lost: number;
  isOver: boolean;
}

interface Client {
  readonly reader: Reader;
  readonly sink: FakeSink;
  readonly variant: Variant;
  readonly stays: Map<string, Stay>;
  readonly ended: Stay[];
  read: number;
  isGone: boolean;
  /** One of many with the same topics, so that audiences are shared. */
  readonly isCrowd: boolean;
}

class World {
  readonly random: () => number;
  readonly clients: Client[] = [];
  readonly published = new Map<string, number>();
  readonly checked = {
    stays: 0,
    deliveries: 0,
    lost: 0,
    gaps: 0,
    cutTurns: 0,
    shared: 0,
    compressed: 0,
    emptied: 0,
  };
  nowMs = 0;
  readonly hub: Hub;
  readonly ringMessagesMax = 16;
  readonly #opening: HubTopic[] = [];
  #nextId = 0;

  constructor(seed: number) {
    this.random = generator(seed);
    this.hub = new Hub(
      {
        ringMessagesMax: this.ringMessagesMax,
        // Rings that lose what they kept at any moment, in every second run.
        ringBytesMax: seed % 2 === 0 ? 1500 : Number.POSITIVE_INFINITY,
        onRingEmptied: () => {
          this.checked.emptied += 1;
        },
        lingerMs: 500,
        openTimeoutMs: 10_000,
        catchUpBytesMax: 400,
        random: this.random,
        wake: () => undefined,
      },
      { open: (topic) => this.#opening.push(topic), close: () => undefined },
    );
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.random() * items.length)]!;
  }

  step(): void {
    const dice = this.random();
    if (dice < 0.45) this.publish();
    else if (dice < 0.6) this.turn(this.random() < 0.7 ? 0 : this.random() * 300);
    else if (dice < 0.72) this.change(this.alive());
    else if (dice < 0.82) this.unsubscribe(this.alive());
    else if (dice < 0.9) this.drain(this.alive());
    else if (dice < 0.95) this.add();
    else if (dice < 0.96) this.leave(this.alive());
    else if (dice < 0.962) this.gap();
    else {
      this.hub.windowMs = this.pick([0, 0, 5, 20]);
      this.hub.batchWindowMs = 3 * this.hub.windowMs;
    }
  }

  alive(): Client | undefined {
    return this.clients.length === 0 ? undefined : this.pick(this.clients);
  }

  add(): void {
    if (this.clients.length >= 12) return;
    const variant = this.pick(variants);
    const sink = new FakeSink(variant.endsWith("+deflate"));
    const stallRate = this.pick([0, 0, 0.02, 0.3]);
    sink.takes = () => this.random() >= stallRate;
    const reader = this.hub.addReader(`r${this.#nextId++}`, sink, variant);
    this.clients.push({
      reader,
      sink,
      variant,
      stays: new Map(),
      ended: [],
      read: 0,
      isGone: false,
      isCrowd: this.random() < 0.7,
    });
  }

  publish(topic = this.pick(topics)): void {
    const burst = this.random() < 0.05 ? 40 : 1;
    for (let index = 0; index < burst; index += 1) {
      const number = (this.published.get(topic.name) ?? 0) + 1;
      this.published.set(topic.name, number);
      const sender = this.random() < 0.3 ? this.alive() : undefined;
      for (const client of this.clients) {
        const stay = client.stays.get(topic.name);
        stay?.published.push(number);
        if (client === sender) stay?.own.add(number);
      }
      const seq = topic.history === null ? 0 : number;
      this.hub.publish(
        topic.name,
        seq,
        // Some are long enough to be compressed alone.
        Buffer.from(number % 10 === 0 ? `{"n":${number},"text":"${"tape".repeat(200)}"}` : `{"n":${number}}`),
        sender?.reader.id ?? null,
        this.nowMs,
      );
    }
  }

  /** The broker loses a few publications and says so before the next one. */
  gap(): void {
    const topic = this.pick(topics.filter(({ history: kept }) => kept !== null));
    const lostCount = 1 + Math.floor(this.random() * 3);
    let number = this.published.get(topic.name) ?? 0;
    for (let count = 0; count < lostCount; count += 1) {
      number += 1;
      for (const client of this.clients) client.stays.get(topic.name)?.published.push(number);
    }
    this.published.set(topic.name, number);
    this.hub.gap(topic.name, { epoch: "1", seq: number }, lostCount, this.nowMs);
    this.publish(topic);
  }

  /** Subscribes to, or changes the rate of, a few topics at once. */
  change(client: Client | undefined): void {
    if (client === undefined || client.isGone || !this.hub.settle(client.reader, this.nowMs)) return;
    this.collect(client);
    const chosen = client.isCrowd ? crowdTopics : new Set([this.pick(topics), this.pick(topics)]);
    const request = this.hub.open([...chosen], this.nowMs, (logs) => {
      const wishes = [];
      for (const log of logs) {
        expect(log).not.toBeNull();
        const classMs = log!.topic.delivery === "latest" && !client.isCrowd ? this.pick(rateClassesMs) : 0;
        wishes.push({ log: log!, classMs });
        const { topic } = log!;
        if (topic.history !== null) expect(log!.seq).toBe(this.published.get(topic.name) ?? 0);
        if (client.stays.has(topic.name)) {
          // Settled: everything until now has been received.
          this.compare(client.stays.get(topic.name)!, true);
        } else {
          client.stays.set(topic.name, {
            topic, published: [], own: new Set(), received: [], lost: 0, isOver: false,
          }); // prettier-ignore
        }
      }
      this.hub.change(client.reader, wishes, [], this.nowMs);
    });
    // The broker answers after the call, as it promises.
    for (const topic of this.#opening.splice(0)) {
      const seq = this.published.get(topic.name) ?? 0;
      this.hub.opened(topic.name, topic.history === null ? null : { epoch: "1", seq }, [], this.nowMs);
    }
    request.cancel();
  }

  unsubscribe(client: Client | undefined): void {
    if (
      client === undefined ||
      client.isCrowd ||
      client.stays.size === 0 ||
      !this.hub.settle(client.reader, this.nowMs)
    )
      return;
    this.collect(client);
    const name = this.pick([...client.stays.keys()]);
    this.hub.change(client.reader, [], [this.hub.find(name)!], this.nowMs);
    const stay = client.stays.get(name)!;
    client.stays.delete(name);
    client.ended.push(stay);
    stay.isOver = true;
    this.compare(stay, true);
  }

  drain(client: Client | undefined): void {
    if (client === undefined || !client.sink.isFull) return;
    client.sink.drain();
    this.hub.drained(client.reader, this.nowMs);
  }

  leave(client: Client | undefined): void {
    if (client === undefined) return;
    this.collect(client);
    client.isGone = true;
    client.sink.isOpen = false;
    this.hub.remove(client.reader, this.nowMs);
    this.clients.splice(this.clients.indexOf(client), 1);
    for (const stay of client.stays.values()) this.compare(stay, false);
  }

  turn(elapsedMs: number): void {
    this.nowMs += elapsedMs;
    // Small budgets leave sweeps unfinished, with everything else going on in between.
    if (this.hub.turn(this.nowMs, this.pick([0.01, 0.02, 0.05, 5])) === this.nowMs)
      this.checked.cutTurns += 1;
    if (this.hub.counters.audiences <= this.clients.length - 3) this.checked.shared += 1;
    for (const client of this.clients.slice()) {
      if (!client.sink.isClosedForGap) continue;
      this.checked.gaps += 1;
      this.leave(client);
    }
  }

  /** Reads what the sink got into the stays. */
  collect(client: Client): void {
    const { messages, compressed } = client.sink;
    for (const message of compressed.splice(0)) {
      this.checked.compressed += 1;
      const lines = message.split("\n").map((line) => JSON.parse(line) as { topic: string });
      if (lines.length > 1) expect(lines.every(({ topic }) => sharing.has(topic))).toBe(true);
    }
    for (; client.read < messages.length; client.read += 1) {
      for (const line of messages[client.read]!.split("\n")) {
        const message = JSON.parse(line) as { topic: string; event?: string; count: number; data: { n: number }; seq?: number }; // prettier-ignore
        const stay = client.stays.get(message.topic);
        if (stay === undefined) throw new Error(`${message.topic} after it was unsubscribed: ${line}`);
        if (message.event === "lost") {
          stay.lost += message.count;
          this.checked.lost += message.count;
          continue;
        }
        if (stay.topic.history !== null) expect(message.seq).toBe(message.data.n);
        stay.received.push(message.data.n);
        this.checked.deliveries += 1;
      }
    }
  }

  /** Holds a stay against its topic's promise. `isWhole`: everything must have arrived but what lost will tell. */
  compare(stay: Stay, isWhole: boolean): void {
    this.checked.stays += 1;
    const { published, received, topic } = stay;
    for (let index = 1; index < received.length; index += 1) {
      expect(received[index]!, `${topic.name} is reordered or twice`).toBeGreaterThan(received[index - 1]!);
    }
    if (received.length > 0) expect(received[0]!).toBeGreaterThanOrEqual(published[0]!);
    if (topic.delivery === "every" && topic.history !== null) {
      expect(received).toEqual(published.slice(0, received.length));
      if (isWhole) expect(received.length).toBe(published.length);
    }
    if (!isWhole) return;
    if (topic.delivery === "latest") expect(received.at(-1)).toBe(published.at(-1));
    if (topic.delivery === "every" && topic.history === null) {
      expect(received.length + stay.lost, `${topic.name}: received and lost`).toBe(published.length);
    }
    if (topic.delivery === "sample") {
      expect(received.length + stay.lost).toBeLessThanOrEqual(published.length);
    }
  }

  /** Lets everything drain and every timer run; then all counts must be exact. */
  finish(): void {
    for (let round = 0; round < 40; round += 1) {
      for (const client of this.clients.slice()) {
        client.sink.takes = () => true;
        this.drain(client);
      }
      this.turn(500);
    }
    for (const client of this.clients) {
      this.collect(client);
      expect(client.reader.laggingCount).toBe(0);
      for (const stay of client.stays.values()) {
        this.compare(stay, true);
        if (stay.topic.delivery === "sample") {
          expect(stay.received.length + stay.lost, `${stay.topic.name}: received and lost`).toBe(
            stay.published.length,
          );
          const missingOwn = [...stay.own].filter((number) => !stay.received.includes(number));
          expect(missingOwn.length, "own messages that were not returned").toBeLessThanOrEqual(
            Math.max(0, stay.own.size - this.ringMessagesMax),
          );
        }
      }
    }
    for (const client of this.clients.slice()) this.leave(client);
    this.turn(1000);
    this.turn(1000);
    const { counters } = this.hub;
    expect([counters.topics, counters.subscriptions, counters.audiences, counters.laggingReaders]).toEqual([
      0, 0, 0, 0,
    ]);
  }
}

const stepsPerSeed = Number(process.env["HUB_MODEL_STEPS"] ?? 6_000);
const seeds =
  process.env["HUB_MODEL_SEED"] === undefined
    ? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    : [Number(process.env["HUB_MODEL_SEED"])];

describe("the hub against a naive twin", () => {
  it.each(seeds)(
    "keeps every topic's promise (seed %i)",
    (seed) => {
      const world = new World(seed);
      for (let step = 0; step < stepsPerSeed; step += 1) world.step();
      world.finish();
      // A model that exercises nothing proves nothing.
      expect(world.checked.deliveries).toBeGreaterThan(stepsPerSeed / 2);
      expect(world.checked.lost).toBeGreaterThan(0);
      expect(world.checked.stays).toBeGreaterThan(stepsPerSeed / 20);
      expect(world.checked.gaps).toBeGreaterThan(0);
      if (seed % 2 === 0) expect(world.checked.emptied).toBeGreaterThan(0);
      expect(world.checked.cutTurns).toBeGreaterThan(stepsPerSeed / 100);
      expect(world.checked.shared).toBeGreaterThan(stepsPerSeed / 100);
      expect(world.checked.compressed).toBeGreaterThan(stepsPerSeed / 100);
    },
    600_000,
  );
});
