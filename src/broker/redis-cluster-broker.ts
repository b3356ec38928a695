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
import { newBrokerCounters } from "./counters.ts";
import { historyPage } from "./history-page.ts";
import { MessageIntake } from "./message-intake.ts";
import { OpenTopic } from "./open-topic.ts";
import { commandTimeoutMs, maskedAddress, type RedisBrokerOptions } from "./redis-address.ts";
import type { ClusterNode } from "./redis-cluster-node.ts";
import { ClusterTopology, type TopologyListener } from "./redis-cluster-topology.ts";
import { failureOf, type ReadMode } from "./redis-functions.ts";
import { PartitionLink } from "./redis-partition-link.ts";
import { type PublishRoute, RedisPublisher } from "./redis-publisher.ts";
import { SharedReads } from "./shared-reads.ts";
import { partitionOf, partitionPrefix, partitionSlot, topicNames } from "./topic-partition.ts";
import { TopicFeed, type LogRead, type ReadRequest } from "./topic-feed.ts";

const redirectPauseMs = 20;

interface ClusterTopic {
  readonly open: OpenTopic;
  readonly channel: string;
  readonly log: string;
  readonly partition: number;
}

interface ReadPart {
  readonly mode: ReadMode;
  readonly since: Position | null;
  readonly limit: number;
  readonly ttlMs: number;
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
  readonly #historyReads = new SharedReads<LogRead>();
  readonly #everUp = new WeakSet<ClusterNode>();
  #listener: BrokerListener | null = null;
  #status: BrokerStatus = { ready: false, reason: "not started" };
  #isStarting = true;
  #stopped = false;

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
    invariant(this.#listener === null, "a broker is started once");
    this.#listener = watchingForLoss(listener, () => {
      for (const { open } of this.#topics.values()) open.reread();
    });
    await this.#topology.start();
    this.#isStarting = false;
    this.onStatus();
  }

  status(): BrokerStatus {
    return this.#status;
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
    const open = new OpenTopic(feed, (request) => this.#readForFeed(feed, { partition, log }, request));
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

  async publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    try {
      const position = await this.#publisher.publish(topic, data, options);
      this.counters.publicationsPublished++;
      return position;
    } catch (error) {
      this.counters.publishFailures++;
      throw error;
    }
  }

  async history(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage> {
    const { history, name } = topic;
    invariant(history !== null, "a live-only topic has no history to read");
    // What a peer made up is the position of no log.
    const usable = since !== null && Number.isSafeInteger(since.seq) && since.seq >= 0 ? since : null;
    const key = `${name} ${usable === null ? "" : `${usable.epoch}-${usable.seq}`} ${limit}`;
    const partition = this.#partitionOf(name);
    const { log } = topicNames(this.#options.prefix, partition, name);
    const part: ReadPart = {
      mode: usable === null ? "newest" : "since",
      since: usable,
      limit,
      ttlMs: history.ttlMs,
    };
    const read = await this.#historyReads.get(key, () => this.#read({ partition, log }, part));
    return historyPage(read, since);
  }

  async refresh(name: string): Promise<void> {
    const { channel } = topicNames(this.#options.prefix, this.#partitionOf(name), name);
    const topic = this.#topics.get(channel);
    if (topic === undefined) throw new BrokerError("the topic is not open", false);
    await topic.open.refresh();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { open } of this.#topics.values()) open.close();
    this.#topics.clear();
    this.#byPartition.clear();
    this.counters.topicsOpen = 0;
    this.#topology.stop();
    this.#status = { ready: false, reason: "stopped" };
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
    if (this.#stopped) return;
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
    if (this.#stopped || this.#isStarting) return;
    const { reason } = this.#topology;
    const status = { ready: reason === null, reason: reason === null ? null : `${this.#address}: ${reason}` };
    if (status.ready === this.#status.ready && status.reason === this.#status.reason) return;
    this.#status = status;
    this.#listener?.onStatus(status);
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

  #readForFeed(
    feed: TopicFeed,
    where: { readonly partition: number; readonly log: string },
    request: ReadRequest,
  ): Promise<LogRead> {
    const { since, newest, limit } = request;
    // The age counts when a topic is opened. For a reader that goes on, what is still there is better than a gap.
    const ttlMs = since === null ? (feed.topic.history?.ttlMs ?? 0) : 0;
    const mode = since === null ? "newest" : newest ? "jump" : "repair";
    return this.#read(where, { mode, since, limit, ttlMs });
  }

  /** Reads where the log is, following redirections, within 2 s. @throws BrokerError */
  async #read(
    { partition, log }: { readonly partition: number; readonly log: string },
    part: ReadPart,
  ): Promise<LogRead> {
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
