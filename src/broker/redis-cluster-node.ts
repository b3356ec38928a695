/**
 * One master of a Redis Cluster as a worker sees it: a connection for commands, one that subscribes, and a probe that
 * sends a message from the one to the other through a channel of a slot of this master.
 */
import { randomBytes } from "node:crypto";
import type { RedisOptions } from "ioredis";
import type { Log } from "../base/log.ts";
import { clientOptions, type RedisBrokerOptions, tlsOf } from "./redis-address.ts";
import { addressText, type NodeAddress } from "./redis-cluster-nodes.ts";
import { RedisCommands } from "./redis-commands.ts";
import { SubscriberProbe } from "./redis-probe.ts";
import { ShardSubscriber } from "./redis-shard-subscriber.ts";
import { partitionPrefix, partitionSlot } from "./topic-partition.ts";

/** What a node tells of its two connections. */
export interface ClusterNodeListener {
  /** One of them came up or went down. */
  onConnectionChanged(node: ClusterNode, which: "commands" | "subscriber"): void;
  /** Both are borrowed until return. */
  onMessage(node: ClusterNode, channel: Buffer, message: Buffer): void;
  onSubscribed(node: ClusterNode, channel: string): void;
  onTakenAway(node: ClusterNode, channel: string): void;
  onRefused(node: ClusterNode, message: string): void;
}

/** See the file head. */
export class ClusterNode {
  readonly address: NodeAddress;
  /** `host:port`. */
  readonly name: string;
  readonly commands: RedisCommands;
  readonly subscriber: ShardSubscriber;
  /** Partitions that it serves, as far as we know. */
  readonly partitions = new Set<number>();
  /** When it was of use last, in the time of performance.now. */
  usedMs = performance.now();
  readonly #prefix: string;
  readonly #probe: SubscriberProbe;
  readonly #probeName = `$probe:${randomBytes(12).toString("base64url")}`;
  #probePartition: number | null = null;

  constructor(address: NodeAddress, options: RedisBrokerOptions, listener: ClusterNodeListener, log: Log) {
    this.address = address;
    this.name = addressText(address);
    this.#prefix = options.prefix;
    this.commands = new RedisCommands(
      nodeOptions(options, address, "tapecast-commands"),
      { messageBytesMax: options.messageBytesMax, isClusterNode: true },
      log,
      () => listener.onConnectionChanged(this, "commands"),
    );
    this.subscriber = new ShardSubscriber(
      nodeOptions(options, address, "tapecast-subscriber"),
      {
        onUp: () => {
          this.#probe.heard();
          listener.onConnectionChanged(this, "subscriber");
        },
        onDown: () => listener.onConnectionChanged(this, "subscriber"),
        onMessage: (channel, message) => {
          this.#probe.heard();
          listener.onMessage(this, channel, message);
        },
        onSubscribed: (channel) => listener.onSubscribed(this, channel),
        onTakenAway: (channel) => listener.onTakenAway(this, channel),
        onRefused: (message) => listener.onRefused(this, message),
      },
      log,
    );
    this.#probe = new SubscriberProbe(this.subscriber, this.commands, {
      channel: () => {
        const channel = this.#probeChannel();
        return channel !== null && this.subscriber.isSubscribed(channel) ? channel : null;
      },
      publish: async (client, channel, message) => Number(await client.spublish(channel, message)),
    });
  }

  /** What is wrong, null while both connections are up. */
  get reason(): string | null {
    return this.commands.reason ?? this.subscriber.reason;
  }

  get lagMs(): number | null {
    return this.#probe.lagMs;
  }

  /** Resolves when the first attempt of both connections ended, well or not. */
  async start(): Promise<void> {
    this.#probe.start();
    await Promise.all([this.commands.start(), this.subscriber.start()]);
  }

  stop(): void {
    this.#probe.stop();
    this.subscriber.stop();
    this.commands.stop();
  }

  /** A message on a channel that is no topic's. */
  probed(channel: string, message: Buffer): void {
    this.#probe.came(channel, message);
  }

  /** To be called when `partitions` has changed: the probe needs a slot of this node. */
  chooseProbe(): void {
    if (this.#probePartition !== null && this.partitions.has(this.#probePartition)) return;
    const before = this.#probeChannel();
    if (before !== null) this.subscriber.giveUp(before);
    const [partition] = this.partitions;
    this.#probePartition = partition ?? null;
    this.#probe.heard();
    const channel = this.#probeChannel();
    if (channel !== null && partition !== undefined) this.subscriber.want(channel, partitionSlot(partition));
  }

  #probeChannel(): string | null {
    if (this.#probePartition === null) return null;
    return partitionPrefix(this.#prefix, this.#probePartition) + this.#probeName;
  }
}

/** Options of a client of one node; user, password and scheme are the same for all. */
export function nodeOptions(options: RedisBrokerOptions, address: NodeAddress, name: string): RedisOptions {
  const common = clientOptions(options, name);
  return {
    ...common,
    host: address.host,
    port: address.port,
    ...(common.tls === undefined ? {} : { tls: tlsOf(address.host) }),
  };
}
