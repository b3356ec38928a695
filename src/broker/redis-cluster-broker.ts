/**
 * The broker over a Redis Cluster: one sharded channel per topic, `<prefix>{p<partition>}:<topic>`, on the master that
 * owns the partition's slot. The guarantees are those of broker.ts. What a moving slot or a failover loses on the live
 * path is read from the topic's log as soon as its channel is subscribed at the new master.
 */
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
import { watchingForLoss } from "./data-loss.ts";
import { countPublish, newBrokerCounters } from "./counters.ts";
import { HistoryReads } from "./history-reads.ts";
import { partForFeed, type LogPart, type LogRead } from "./log-read.ts";
import { MessageIntake } from "./message-intake.ts";
import { OpenTopic } from "./open-topic.ts";
import { Readiness } from "./readiness.ts";
import { commandTimeoutMs, maskedAddress, type RedisBrokerOptions } from "./redis-address.ts";
import type { ClusterNode } from "./redis-cluster-node.ts";
import { ClusterTopology, type TopologyListener } from "./redis-cluster-topology.ts";
import { failureOf } from "./redis-functions.ts";
import { PartitionLink } from "./redis-partition-link.ts";
import { type PublishRoute, RedisPublisher } from "./redis-publisher.ts";
import { partitionOf, partitionPrefix, partitionSlot, topicNames } from "./topic-partition.ts";
import { TopicFeed } from "./topic-feed.ts";

const redirectPauseMs = 20;

interface ClusterTopic {
  readonly open: OpenTopic;
  readonly channel: string;
  readonly log: string;
  readonly partition: number;
}

/** See the file head. Made by `createRedisBroker`. */
export class RedisClusterBroker implements Broker, TopologyListener {
  readonly counters = newBrokerCounters();
  readonly #options: RedisBrokerOptions;
  readonly #address: string;
  readonly #log: Log;
  readonly #intake: MessageIntake;
  readonly #topology: ClusterTopology;
  readonly #publisher: RedisPublisher;
  readonly #routes = new Map<number, PublishRoute>();
  /** By channel, as messages name it. */
  readonly #topics = new Map<string, ClusterTopic>();
  readonly #byPartition = new Map<number, Set<ClusterTopic>>();
  readonly #historyReads = new HistoryReads((topic, part) => this.#read(topic, part));
  readonly #readiness = new Readiness();
  readonly #everUp = new WeakSet<ClusterNode>();
  #listener: BrokerListener | null = null;
  #isStarting = true;

  /** @throws BrokerError, not retryable, for a URL that is none. */
  constructor(options: RedisBrokerOptions, log: Log) {
    this.#options = options;
    this.#address = maskedAddress(options);
    this.#log = log;
    this.#intake = new MessageIntake(this.counters, options.messageBytesMax, log);
    this.#topology = new ClusterTopology(options, this, this.counters, log);
    this.#publisher = new RedisPublisher((topic) => this.#route(this.#partitionOf(topic)));
  }

  async start(listener: BrokerListener): Promise<void> {
    this.#readiness.start(listener);
    this.#listener = watchingForLoss(listener, () => {
      for (const { open } of this.#topics.values()) open.reread();
    });
    await this.#topology.start();
    this.#isStarting = false;
    this.onStatus();
  }

  status(): BrokerStatus {
    return this.#readiness.status;
  }

  /** The slowest master's. */
  lagMs(): number | null {
    let lagMs: number | null = null;
    for (const node of this.#topology.nodes) {
      if (node.lagMs !== null) lagMs = Math.max(lagMs ?? 0, node.lagMs);
    }
    return lagMs;
  }

  open(topic: BrokerTopic, receiver: ArrivalReceiver): void {
    const partition = this.#partitionOf(topic.name);
    const { channel, log } = topicNames(this.#options.prefix, partition, topic.name);
    invariant(this.#listener !== null, "a broker is started before topics are opened");
    invariant(!this.#topics.has(channel), "a topic is opened once at a time");
    const feed = new TopicFeed(topic, this.#listener, receiver, this.counters);
    const open = new OpenTopic(feed, (request) => this.#read(topic, partForFeed(topic, request)));
    const entry: ClusterTopic = { open, channel, log, partition };
    this.#topics.set(channel, entry);
    const neighbours = this.#byPartition.get(partition);
    if (neighbours === undefined) this.#byPartition.set(partition, new Set([entry]));
    else neighbours.add(entry);
    this.counters.topicsOpen = this.#topics.size;
    const owner = this.#topology.owner(partition);
    if (owner !== null) attach(owner, entry);
  }

  close(name: string): void {
    const partition = this.#partitionOf(name);
    const { channel } = topicNames(this.#options.prefix, partition, name);
    const entry = this.#topics.get(channel);
    if (entry === undefined) return;
    entry.open.close();
    this.#topics.delete(channel);
    const neighbours = this.#byPartition.get(partition);
    neighbours?.delete(entry);
    if (neighbours?.size === 0) this.#byPartition.delete(partition);
    this.counters.topicsOpen = this.#topics.size;
    const owner = this.#topology.owner(partition);
    if (owner !== null) detach(owner, entry);
  }

  publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    return countPublish(this.counters, this.#publisher.publish(topic, data, options));
  }

  history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage> {
    return this.#historyReads.page(topic, since, limit);
  }

  async refresh(name: string): Promise<void> {
    const { channel } = topicNames(this.#options.prefix, this.#partitionOf(name), name);
    const topic = this.#topics.get(channel);
    if (topic === undefined) throw new BrokerError("the topic is not open", false);
    await topic.open.refresh();
  }

  async stop(): Promise<void> {
    this.#readiness.stop();
    for (const { open } of this.#topics.values()) open.close();
    this.#topics.clear();
    this.#byPartition.clear();
    this.counters.topicsOpen = 0;
    this.#topology.stop();
  }

  onOwnerChanged(partition: number, from: ClusterNode | null, to: ClusterNode | null): void {
    for (const topic of this.#byPartition.get(partition) ?? []) {
      topic.open.unsubscribed();
      if (from !== null) detach(from, topic);
      if (to !== null) attach(to, topic);
    }
    this.onStatus();
  }

  onMigrating(partitions: readonly number[]): void {
    for (const partition of partitions) {
      for (const { open } of this.#byPartition.get(partition) ?? []) {
        if (!open.feed.opened) continue;
        open.feed.requestRead();
        open.pump();
      }
    }
  }

  onConnectionChanged(node: ClusterNode, which: "commands" | "subscriber"): void {
    if (this.#readiness.isStopped) return;
    const isUp = (which === "commands" ? node.commands.client : node.subscriber.client) !== null;
    if (which === "subscriber" && isUp) {
      if (this.#everUp.has(node)) this.counters.reconnects++;
      this.#everUp.add(node);
    }
    for (const partition of node.partitions) {
      for (const { open } of this.#byPartition.get(partition) ?? []) {
        if (which === "subscriber" && !isUp) open.unsubscribed();
        if (which === "commands" && isUp) open.retryNow();
      }
    }
    this.#topology.connectionChanged(node);
    this.onStatus();
  }

  onSubscribed(node: ClusterNode, channel: string): void {
    const topic = this.#topics.get(channel);
    if (topic !== undefined && this.#topology.owner(topic.partition) === node) topic.open.subscribed();
  }

  onTakenAway(_node: ClusterNode, channel: string): void {
    this.#topics.get(channel)?.open.unsubscribed();
    this.#topology.refreshSoon();
  }

  onRefused(node: ClusterNode, message: string): void {
    const problem = new Error(message);
    if (failureOf(problem) === "elsewhere") this.#topology.redirected(node, message);
    else this.#log.warn({ node: node.name, reason: message }, "a channel cannot be subscribed");
  }

  /** Cost: one string for the channel. */
  onMessage(node: ClusterNode, channelBytes: Buffer, message: Buffer): void {
    const channel = channelBytes.toString();
    const topic = this.#topics.get(channel);
    if (topic === undefined) {
      node.probed(channel, message);
      return;
    }
    this.#intake.begin(performance.now());
    this.#intake.take(topic.open, message, 0, message.length);
  }

  onStatus(): void {
    if (this.#isStarting) return;
    const { reason } = this.#topology;
    this.#readiness.set(reason === null ? null : `${this.#address}: ${reason}`);
  }

  #partitionOf(topic: string): number {
    return partitionOf(topic, this.#options.partitions);
  }

  #route(partition: number): PublishRoute {
    let route = this.#routes.get(partition);
    if (route === undefined) {
      route = {
        link: new PartitionLink(this.#topology, partition),
        prefix: partitionPrefix(this.#options.prefix, partition),
        isSharded: true,
      };
      this.#routes.set(partition, route);
    }
    return route;
  }

  /** Reads where the log is, following redirections, within 2 s. @throws BrokerError */
  async #read({ name }: BrokerTopic, part: LogPart): Promise<LogRead> {
    const partition = this.#partitionOf(name);
    const { log } = topicNames(this.#options.prefix, partition, name);
    const deadlineMs = performance.now() + commandTimeoutMs;
    let asked: ClusterNode | null = null;
    for (;;) {
      const remainingMs = deadlineMs - performance.now();
      const node: ClusterNode | null = asked ?? (await this.#topology.whenUp(partition, remainingMs));
      if (node === null) throw this.#topology.error(partition);
      try {
        return await node.commands.read(log, part, asked !== null);
      } catch (error) {
        const cause = error instanceof BrokerError ? error.cause : null;
        const isElsewhere = cause instanceof Error && failureOf(cause) === "elsewhere";
        if (!isElsewhere || performance.now() > deadlineMs) throw error;
        asked = this.#topology.redirected(node, cause.message);
        if (asked === null) await new Promise((resolve) => setTimeout(resolve, redirectPauseMs));
      }
    }
  }
}

function attach(node: ClusterNode, { channel, partition, log, open }: ClusterTopic): void {
  if (open.feed.topic.history !== null) node.commands.keepLog(log);
  node.subscriber.want(channel, partitionSlot(partition));
}

function detach(node: ClusterNode, { channel, log }: ClusterTopic): void {
  node.commands.forgetLog(log);
  node.subscriber.giveUp(channel);
}
