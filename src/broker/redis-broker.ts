/**
 * The broker over Redis: one connection that subscribes and one for commands, per worker. Joins the parts: channels
 * (redis-subscriptions), the state of each topic (topic-feed), reads, publishing (redis-publisher), and a probe that
 * sends a message to ourselves, since a living TCP connection proves nothing about messages.
 */
import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { BrokerError, invariant } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { ArrivalReceiver } from "./arrival.ts";
import type {
  Broker,
  BrokerListener,
  BrokerStatus,
  BrokerTopic,
  HistoryPage,
  Position,
  PublishOptions,
} from "./broker.ts";
import { envelopeBytesMax } from "./bus-envelope.ts";
import { ChannelTable } from "./channel-table.ts";
import { watchingForLoss } from "./data-loss.ts";
import { countPublish, newBrokerCounters } from "./counters.ts";
import { HistoryReads } from "./history-reads.ts";
import { partForFeed, type LogPart, type LogRead } from "./log-read.ts";
import { MessageIntake } from "./message-intake.ts";
import { OpenTopic } from "./open-topic.ts";
import { Readiness } from "./readiness.ts";
import { clientOptions, maskedAddress, type RedisBrokerOptions } from "./redis-address.ts";
import { RedisClusterBroker } from "./redis-cluster-broker.ts";
import { RedisCommands } from "./redis-commands.ts";
import { RedisConnection } from "./redis-connection.ts";
import { SubscriberProbe } from "./redis-probe.ts";
import { receiveMessages } from "./redis-messages.ts";
import { SentinelWatch } from "./redis-sentinel-watch.ts";
import { RedisPublisher } from "./redis-publisher.ts";
import { RedisSubscriptions } from "./redis-subscriptions.ts";
import { topicNames } from "./topic-partition.ts";
import { TopicFeed } from "./topic-feed.ts";

/**
 * The broker of `broker.kind: redis`. Nothing is connected before `start`.
 * @param log connections, refused messages (a line a second at most); never a payload or a password.
 * @throws BrokerError, not retryable, for a URL that is none.
 */
export function createRedisBroker(options: RedisBrokerOptions, log: Log): Broker {
  return options.mode === "cluster" ? new RedisClusterBroker(options, log) : new RedisBroker(options, log);
}

class RedisBroker implements Broker {
  readonly counters = newBrokerCounters();
  readonly #prefix: string;
  readonly #messageBytesMax: number;
  readonly #address: string;
  readonly #subscriber: RedisConnection;
  readonly #commands: RedisCommands;
  readonly #publisher: RedisPublisher;
  readonly #subscriptions: RedisSubscriptions;
  readonly #probe: SubscriberProbe;
  readonly #sentinels: SentinelWatch;
  readonly #intake: MessageIntake;
  /** By channel. */
  readonly #topics = new ChannelTable<OpenTopic>();
  readonly #historyReads = new HistoryReads((topic, part) => this.#read(topic, part));
  readonly #readiness = new Readiness();
  #listener: BrokerListener | null = null;
  #subscriberUpCount = 0;

  constructor(options: RedisBrokerOptions, log: Log) {
    this.#prefix = options.prefix;
    this.#messageBytesMax = options.messageBytesMax;
    this.#address = maskedAddress(options);
    this.#intake = new MessageIntake(this.counters, options.messageBytesMax, log);
    const probeChannel = `${options.prefix}$probe:${randomBytes(12).toString("base64url")}`;
    this.#commands = new RedisCommands(clientOptions(options, "tapecast-commands"), options, log, (isUp) => {
      if (isUp) for (const topic of this.#topics.values()) topic.retryNow();
      this.#connectionChanged();
    });
    const route = { link: this.#commands, prefix: options.prefix, isSharded: false };
    this.#publisher = new RedisPublisher(() => route);
    this.#subscriber = new RedisConnection(
      clientOptions(options, "tapecast-subscriber"),
      "subscriber",
      {
        // Never without a channel: ioredis would leave the subscriber mode.
        prepare: async (client) => {
          this.#receive(client);
          await client.subscribe(probeChannel);
        },
        onUp: (client) => this.#subscriberUp(client),
        onDown: () => this.#subscriberDown(),
      },
      log,
    );
    this.#subscriptions = new RedisSubscriptions(
      (channel) => this.#topics.get(channel)?.subscribed(),
      (client, reason) => this.#subscriber.cut(client, reason),
    );
    this.#sentinels = new SentinelWatch(options, log, (address) => {
      this.#commands.moveTo(address);
      this.#subscriber.moveTo(address);
    });
    this.#probe = new SubscriberProbe(this.#subscriber, this.#commands, {
      channel: () => probeChannel,
      publish: (client, channel, message) => client.publish(channel, message),
    });
  }

  async start(listener: BrokerListener): Promise<void> {
    this.#readiness.start(listener);
    this.#listener = watchingForLoss(listener, () => {
      for (const topic of this.#topics.values()) topic.reread();
    });
    this.#sentinels.start();
    await Promise.all([this.#commands.start(), this.#subscriber.start()]);
    this.#probe.start();
  }

  status(): BrokerStatus {
    return this.#readiness.status;
  }

  lagMs(): number | null {
    return this.#probe.lagMs;
  }

  open(topic: BrokerTopic, receiver: ArrivalReceiver): void {
    const channel = this.#prefix + topic.name;
    invariant(this.#listener !== null, "a broker is started before topics are opened");
    invariant(this.#topics.get(channel) === null, "a topic is opened once at a time");
    const feed = new TopicFeed(topic, this.#listener, receiver, this.counters);
    this.#topics.add(
      channel,
      new OpenTopic(feed, (request) => this.#read(topic, partForFeed(topic, request))),
    );
    this.counters.topicsOpen = this.#topics.size;
    if (topic.history !== null) this.#commands.keepLog(this.#logOf(topic.name));
    this.#subscriptions.want(channel);
  }

  close(name: string): void {
    const channel = this.#prefix + name;
    this.#topics.get(channel)?.close();
    this.#topics.delete(channel);
    this.counters.topicsOpen = this.#topics.size;
    this.#commands.forgetLog(this.#logOf(name));
    this.#subscriptions.giveUp(channel);
  }

  publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    return countPublish(this.counters, this.#publisher.publish(topic, data, options));
  }

  history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage> {
    return this.#historyReads.page(topic, since, limit);
  }

  async refresh(name: string): Promise<void> {
    const topic = this.#topics.get(this.#prefix + name);
    if (topic === null) throw new BrokerError("the topic is not open", false);
    await topic.refresh();
  }

  async stop(): Promise<void> {
    this.#readiness.stop();
    this.#sentinels.stop();
    this.#probe.stop();
    for (const topic of this.#topics.values()) topic.close();
    this.#topics.clear();
    this.counters.topicsOpen = 0;
    this.#subscriber.stop();
    this.#commands.stop();
  }

  #logOf(name: string): string {
    return topicNames(this.#prefix, null, name).log;
  }

  #read(topic: BrokerTopic, part: LogPart): Promise<LogRead> {
    return this.#commands.read(this.#logOf(topic.name), part);
  }

  #subscriberUp(client: Redis): void {
    if (this.#subscriberUpCount > 0) this.counters.reconnects++;
    this.#subscriberUpCount++;
    this.#probe.heard();
    this.#subscriptions.up(client);
    this.#connectionChanged();
  }

  #subscriberDown(): void {
    this.#subscriptions.down();
    for (const topic of this.#topics.values()) topic.unsubscribed();
    this.#connectionChanged();
  }

  /** Messages are handled on the socket's own turn: a subscriber that reads slowly is cut off by Redis. */
  #receive(client: Redis): void {
    receiveMessages(
      client,
      {
        onRead: () => {
          if (client === this.#subscriber.client) this.#probe.heard();
          this.#intake.begin(performance.now());
        },
        onMessage: (bytes, channelStart, channelEnd, start, end) => {
          if (client !== this.#subscriber.client) return;
          const topic = this.#topics.find(bytes, channelStart, channelEnd);
          if (topic !== null) this.#intake.take(topic, bytes, start, end);
          else this.#probe.came(bytes.toString("utf8", channelStart, channelEnd), bytes.subarray(start, end));
        },
        onOversized: (channel) => {
          const topic = this.#topics.get(channel);
          if (topic === null || client !== this.#subscriber.client) return;
          this.#intake.rejected(topic, "too large");
          // Its position is unknown; the log has it.
          topic.feed.requestRead();
          topic.pump();
        },
        onUnreadable: () => this.#subscriber.cut(client, "Redis answers in a way that is not RESP2"),
      },
      this.#messageBytesMax + envelopeBytesMax,
    );
  }

  #connectionChanged(): void {
    const reason = this.#commands.reason ?? this.#subscriber.reason;
    this.#readiness.set(reason === null ? null : `${this.#address}: ${reason}`);
  }
}
