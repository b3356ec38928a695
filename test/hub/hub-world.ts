/** A hub with a broker that answers when the test says so, and time that the test moves. */
import { expect } from "vitest";

import type { Variant } from "../../src/hub/entry.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { HubOptions } from "../../src/hub/hub-options.ts";
import type { Reader } from "../../src/hub/reader.ts";
import type { HubTopic, TopicLog } from "../../src/hub/topic-log.ts";
import { FakeSink } from "./fake-sink.ts";

const history = { size: 300, ttlMs: 300_000 };

export const quote = (name: string): HubTopic => ({
  name,
  delivery: "latest",
  samplePerSecMax: 0,
  history: { size: 1, ttlMs: 86_400_000 },
  sharesCompression: true,
});
export const chat = (name: string): HubTopic => ({
  name,
  delivery: "every",
  samplePerSecMax: 0,
  history,
  sharesCompression: false,
});
/** `every` without history. */
export const wire = (name: string): HubTopic => ({
  name,
  delivery: "every",
  samplePerSecMax: 0,
  history: null,
  sharesCompression: true,
});
export const danmaku = (name: string, samplePerSecMax = 60): HubTopic => ({
  name,
  delivery: "sample",
  samplePerSecMax,
  history,
  sharesCompression: false,
});

/** A fixed sequence in [0, 1): the golden ratio's multiples, evenly spread. */
export function evenRandom(): () => number {
  let state = 0.5;
  return () => {
    state = (state + 0.618_033_988_749_895) % 1;
    return state;
  };
}

export interface Client {
  readonly reader: Reader;
  readonly sink: FakeSink;
}

export class HubWorld {
  nowMs = 1000;
  readonly hub: Hub;
  /** Topics that the hub wants open and that nobody has opened yet. */
  readonly opening: HubTopic[] = [];
  readonly closed: string[] = [];
  ringsEmptied = 0;
  /** Times for which the hub asked for a turn. */
  readonly wakes: number[] = [];
  readonly #seqs = new Map<string, number>();
  #nextId = 0;

  constructor(options: Partial<HubOptions> = {}) {
    this.hub = new Hub(
      {
        ringMessagesMax: 16,
        ringBytesMax: Number.POSITIVE_INFINITY,
        onRingEmptied: () => {
          this.ringsEmptied += 1;
        },
        lingerMs: 5000,
        openTimeoutMs: 3000,
        catchUpBytesMax: 262_144,
        random: evenRandom(),
        wake: (dueMs) => void this.wakes.push(dueMs),
        ...options,
      },
      {
        open: (topic) => void this.opening.push(topic),
        close: (topic) => void this.closed.push(topic),
      },
    );
  }

  client(variant: Variant = "native"): Client {
    const sink = new FakeSink(variant.endsWith("+deflate"));
    return { sink, reader: this.hub.addReader(`connection-${this.#nextId++}`, sink, variant) };
  }

  /** The broker answers for everything that is being opened. */
  answer(epoch = "1"): void {
    for (const topic of this.opening.splice(0)) {
      const position = topic.history === null ? null : { epoch, seq: this.#seqs.get(topic.name) ?? 0 };
      this.hub.opened(topic.name, position, [], this.nowMs);
    }
  }

  /** Subscribes as a session does: open, settle, change. The broker answers at once. */
  subscribe(client: Client, topics: readonly HubTopic[], classMs = 0): void {
    let isDone = false;
    this.hub.open(topics, this.nowMs, (logs) => {
      isDone = true;
      expect(this.hub.settle(client.reader, this.nowMs)).toBe(true);
      const wishes = logs.map((log) => ({ log: log!, classMs }));
      this.hub.change(client.reader, wishes, [], this.nowMs);
    });
    this.answer();
    expect(isDone).toBe(true);
  }

  unsubscribe(client: Client, ...names: string[]): void {
    expect(this.hub.settle(client.reader, this.nowMs)).toBe(true);
    this.hub.change(
      client.reader,
      [],
      names.map((name) => this.log(name)),
      this.nowMs,
    );
  }

  log(name: string): TopicLog {
    const log = this.hub.find(name);
    if (log === null) throw new Error(`${name} is not open`);
    return log;
  }

  /** Publishes `{"n":<seq>}`, or `data`. Returns the seq. */
  publish(name: string, origin: Client | null = null, data?: string): number {
    const seq = (this.#seqs.get(name) ?? 0) + 1;
    this.#seqs.set(name, seq);
    const hasSeq = this.hub.find(name)?.topic.history !== null;
    const bytes = Buffer.from(data ?? `{"n":${seq}}`);
    this.hub.publish(name, hasSeq ? seq : 0, bytes, origin?.reader.id ?? null, this.nowMs);
    return seq;
  }

  /** Publishes `data` without a position, as a plain PUBLISH does. */
  publishRaw(name: string, data: string): void {
    this.hub.publish(name, 0, Buffer.from(data), null, this.nowMs);
  }

  /** Moves time and gives the hub its turns until nothing is due. */
  go(elapsedMs = 0): void {
    this.nowMs += elapsedMs;
    for (let round = 0; this.hub.turn(this.nowMs, 5) <= this.nowMs; round += 1) {
      if (round > 10_000) throw new Error("the hub always wants another turn");
    }
  }

  /** The client's socket takes all, and the hub hears of it. */
  drain(client: Client): void {
    client.sink.takes = () => true;
    client.sink.drain();
    this.hub.drained(client.reader, this.nowMs);
  }

  /** The client's connection ends. */
  leave(client: Client): void {
    client.sink.isOpen = false;
    this.hub.remove(client.reader, this.nowMs);
  }
}

/** The `n` of each publication that a sink got, line by line. */
export function numbersOf(sink: FakeSink): number[] {
  return sink.messages
    .flatMap((message) => message.split("\n"))
    .map((line) => JSON.parse(line) as { data?: { n: number } })
    .filter((message) => message.data !== undefined)
    .map((message) => message.data!.n);
}

/** The counts of the `lost` events that a sink got. */
export function lostOf(sink: FakeSink): number[] {
  return sink.received.filter(({ event }) => event === "lost").map(({ count }) => count!);
}
