/** Publish and flush for audiences of several shapes, without sockets; and the way of a message from Redis to the hub. */
import type { Arrival } from "../../src/broker/arrival.ts";
import type { BenchCase } from "./bench-case.ts";
import type { BenchHub, BenchSink, BenchTopic, BuiltModules } from "./built-modules.ts";
import { quoteJson } from "./quotes.ts";

interface Shape {
  readonly name: string;
  readonly delivery: "latest" | "every";
  readonly variant: "native" | "batch";
  readonly topics: number;
  readonly readers: number;
  /** The topics of a reader, by numbers. */
  readonly topicsOf: (reader: number) => readonly number[];
  /** Messages on each topic before a flush. */
  readonly messagesPerTopic: number;
  /** Deliveries of one flush. */
  readonly deliveries: number;
}

const empty = Buffer.alloc(0);
const ignore = (): void => undefined;
/** The worker's turns are bounded; here one takes all. */
const budgetMs = 1e9;
const range = (from: number, count: number, modulus: number): number[] =>
  Array.from({ length: count }, (_, index) => (from + index) % modulus);

const crowd = {
  delivery: "every",
  variant: "native",
  topics: 1000,
  readers: 1000,
  messagesPerTopic: 1,
} as const;

const shapes: readonly Shape[] = [
  {
    ...crowd,
    name: "hub/1 topic, 1,000 readers, 1 message",
    topics: 1,
    topicsOf: () => [0],
    deliveries: 1000,
  },
  {
    ...crowd,
    name: "hub/1 topic, 1,000 readers, 20 messages",
    topics: 1,
    topicsOf: () => [0],
    messagesPerTopic: 20,
    deliveries: 20_000,
  },
  {
    ...crowd,
    name: "hub/20 of 1,000 topics, 50 audiences",
    topicsOf: (reader) => range((reader % 50) * 20, 20, 1000),
    deliveries: 20_000,
  },
  {
    ...crowd,
    name: "hub/20 of 1,000 topics, 50 audiences, batches",
    variant: "batch",
    topicsOf: (reader) => range((reader % 50) * 20, 20, 1000),
    deliveries: 20_000,
  },
  {
    ...crowd,
    name: "hub/20 of 1,000 topics, everyone its own set",
    topicsOf: (reader) => range(reader, 20, 1000),
    deliveries: 20_000,
  },
  {
    ...crowd,
    name: "hub/20 of 1,000 topics, latest, 10 messages become 1",
    delivery: "latest",
    topicsOf: (reader) => range((reader % 50) * 20, 20, 1000),
    messagesPerTopic: 10,
    deliveries: 20_000,
  },
];

/** An operation is a delivery: a message for one reader. */
export function hubCases(build: BuiltModules): BenchCase[] {
  return shapes.map((shape) => {
    const world = new HubStage(build);
    for (let reader = 0; reader < shape.readers; reader += 1)
      world.subscribe(
        shape.topicsOf(reader).map((topic) => topicOf(topic, shape.delivery)),
        shape.variant,
        0,
      );
    world.settle();
    const names = range(0, shape.topics, shape.topics).map((topic) => topicOf(topic, shape.delivery).name);
    const data: readonly Buffer[] = range(0, 64, 64).map((number) => Buffer.from(quoteJson(number)));
    let next = 0;
    return {
      name: shape.name,
      per: "delivery",
      operations: shape.deliveries,
      bytes: 0,
      run() {
        for (let message = 0; message < shape.messagesPerTopic; message += 1) {
          for (const name of names) {
            next = (next + 1) & 63;
            world.hub.publish(name, 0, data[next] ?? empty, null, world.nowMs);
          }
        }
        world.flush();
        return world.bytes;
      },
    };
  });
}

/** What the broker does with what it reads of channels, up to and including the hub, for readers who want few of them. */
export function ingestCases(build: BuiltModules): BenchCase[] {
  const { envelope, messages, intake, channels, feed, openTopic, counters } = build;
  const world = new HubStage(build);
  const topics = range(0, 1000, 1000).map((topic) => topicOf(topic, "latest"));
  world.subscribe(topics, "native", 5000);
  world.settle();
  const listener = {
    onOpened: ignore,
    onGap: ignore,
    onEpoch: ignore,
    onStatus: ignore,
  };
  const log = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore, fatal: ignore };
  const counted = counters.newBrokerCounters();
  const table = new channels.ChannelTable<InstanceType<typeof openTopic.OpenTopic>>();
  const taker = new intake.MessageIntake(counted, 65_536, log);
  for (const topic of topics) {
    const receiver = {
      onArrival: ({ seq, bytes, origin, receivedMs, start, end }: Arrival): void =>
        world.hub.publish(topic.name, seq, bytes, origin, receivedMs, start, end),
    };
    const opened = new openTopic.OpenTopic(new feed.TopicFeed(topic, listener, receiver, counted), () =>
      Promise.reject(new Error("nothing is read")),
    );
    opened.subscribed();
    table.add(`tape:${topic.name}`, opened);
  }
  const reader = new messages.RedisMessageReader(
    {
      onRead: () => taker.begin(world.nowMs),
      onMessage: (bytes, channelStart, channelEnd, start, end) => {
        const topic = table.find(bytes, channelStart, channelEnd);
        if (topic !== null) taker.take(topic, bytes, start, end);
      },
      onOversized: ignore,
      onUnreadable: ignore,
    },
    65_536,
    ignore,
  );
  const plain = range(0, 1000, 1000).map((number) => Buffer.from(quoteJson(number)));
  const enveloped = plain.map((message) =>
    Buffer.from(envelope.encodeEnvelope({ epoch: "1795338789954376", seq: 7 }, null, message)),
  );
  // As many messages in a read as there are at 50,000 a second.
  const chunks = range(0, 16, 16).map((number) =>
    Buffer.concat(
      plain.slice(number * 64, number * 64 + 64).map((message, at) => {
        const channel = `tape:${topics[number * 64 + at]?.name ?? ""}`;
        const head = `*3\r\n$7\r\nmessage\r\n$${channel.length}\r\n${channel}\r\n$${message.length}\r\n`;
        return Buffer.concat([Buffer.from(head), message, Buffer.from("\r\n")]);
      }),
    ),
  );
  const decoded = (all: readonly Buffer[]): number => {
    let bytes = 0;
    for (const message of all) {
      bytes += message.length - (envelope.decodeEnvelope(message)?.dataStart ?? message.length);
    }
    return bytes;
  };
  const base = { per: "message", operations: 1000, bytes: plain[0]?.length ?? 0 };
  return [
    { ...base, name: "redis/envelope, raw PUBLISH", run: () => decoded(plain) },
    { ...base, name: "redis/envelope, with position", run: () => decoded(enveloped) },
    {
      ...base,
      name: "redis/from the read to the hub",
      run() {
        world.nowMs += 1;
        const before = counted.publicationsReceived;
        for (const chunk of chunks) reader.push(chunk);
        if (counted.publicationsReceived !== before + 1000) throw new Error("refused");
        world.flush();
        return world.bytes;
      },
    },
  ];
}

export function topicOf(number: number, delivery: "latest" | "every"): BenchTopic {
  return { name: `quote.S${number}`, delivery, samplePerSecMax: 0, history: null };
}

/** A hub whose topics open at once, whose sockets take all, and whose time is moved by hand. */
export class HubStage {
  nowMs = 1000;
  /** Taken by all sockets. */
  bytes = 0;
  readonly hub: BenchHub;
  readonly #sink: BenchSink;
  /** Topics that the hub wants opened. */
  readonly #opening: string[] = [];
  #readers = 0;

  constructor({ Hub }: BuiltModules) {
    let state = 0.5;
    this.hub = new Hub(
      {
        ringMessagesMax: 256,
        ringBytesMax: Number.POSITIVE_INFINITY,
        onRingEmptied: () => undefined,
        lingerMs: 5000,
        openTimeoutMs: 3000,
        catchUpBytesMax: 262_144,
        // The multiples of the golden ratio: evenly spread, and the same in every run.
        random: () => (state = (state + 0.618_033_988_749_895) % 1),
        wake: () => undefined,
      },
      { open: (topic) => void this.#opening.push(topic.name), close: () => undefined },
    );
    this.#sink = {
      isWritable: true,
      write: (bytes) => {
        this.bytes = (this.bytes + bytes.length) | 0;
        return true;
      },
      lostFrame: () => null,
      closeForGap: () => undefined,
    };
  }

  /** Returns a new reader of the topics. */
  subscribe(topics: readonly BenchTopic[], variant: "native" | "batch", classMs: number): unknown {
    // A sink of its own, as each connection has.
    const reader = this.hub.addReader(`connection-${this.#readers++}`, { ...this.#sink }, variant);
    this.#change(reader, topics, classMs);
    return reader;
  }

  /** A reader takes one topic more. */
  add(reader: unknown, topic: BenchTopic): void {
    this.#change(reader, [topic], 0);
  }

  #change(reader: unknown, topics: readonly BenchTopic[], classMs: number): void {
    this.hub.open(topics, this.nowMs, (logs) => {
      if (!this.hub.settle(reader, this.nowMs)) throw new Error("not settled");
      this.hub.change(
        reader,
        logs.map((log) => ({ log, classMs })),
        [],
        this.nowMs,
      );
    });
    for (const name of this.#opening.splice(0)) this.hub.opened(name, null, [], this.nowMs);
  }

  /** Lets readers with the same topics find each other. */
  settle(): void {
    for (let second = 0; second < 5; second += 1) {
      this.nowMs += 1000;
      this.flush();
    }
  }

  /** Writes all that is due. */
  flush(): void {
    this.nowMs += 1;
    while (this.hub.turn(this.nowMs, budgetMs) <= this.nowMs);
  }
}
