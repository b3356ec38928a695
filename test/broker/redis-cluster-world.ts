/** Brokers on a Redis Cluster of the test's choice, with a prefix of their own. */
import { spawnSync } from "node:child_process";
import { Cluster } from "ioredis";
import { BrokerError } from "../../src/base/errors.ts";
import type { Broker, BrokerTopic } from "../../src/broker/broker.ts";
import type { RedisBrokerOptions } from "../../src/broker/redis-address.ts";
import { partitionOf, type TopicNames, topicNames } from "../../src/broker/topic-partition.ts";
import type { RedisCluster } from "../setup/redis-cluster.ts";
import { bytes, Recorder, type Worker } from "./recorder.ts";
import { RedisWorld } from "./redis-world.ts";

export class ClusterWorld {
  readonly #cluster: RedisCluster;
  readonly #world: RedisWorld;
  readonly #clients: Cluster[] = [];

  constructor(cluster: RedisCluster) {
    this.#cluster = cluster;
    this.#world = new RedisWorld(cluster.urls[0] ?? "");
  }

  get prefix(): string {
    return this.#world.prefix;
  }

  makeBroker(options: Partial<RedisBrokerOptions> = {}): Broker {
    return this.#world.makeBroker({ mode: "cluster", urls: this.#cluster.urls, ...options });
  }

  async start(options: Partial<RedisBrokerOptions> = {}): Promise<Worker> {
    const broker = this.makeBroker(options);
    const recorder = new Recorder();
    await broker.start(recorder);
    return { broker, recorder };
  }

  names(topic: BrokerTopic): TopicNames {
    return topicNames(this.prefix, partitionOf(topic.name, 256), topic.name);
  }

  /** A cluster client that is not ours. */
  clusterClient(): Cluster {
    const client = new Cluster(this.#cluster.masters.map(({ port }) => ({ host: "127.0.0.1", port })));
    this.#clients.push(client);
    return client;
  }

  /** Runs redis-cli, as a person would, and returns what it prints. */
  cli(...args: readonly string[]): string {
    const result = spawnSync("redis-cli", ["-p", String(this.#cluster.masters[0]?.port), ...args], {
      encoding: "utf8",
    });
    if (result.error !== undefined) throw result.error;
    return `${result.stdout}${result.stderr}`.trim();
  }

  async stop(): Promise<void> {
    await this.#world.stop();
    for (const client of this.#clients) client.disconnect();
  }
}

export function isReady({ recorder }: Worker): boolean {
  const last = recorder.events.findLast((event) => event.kind === "status");
  return last?.kind === "status" && last.status.ready;
}

/**
 * Publishes 1, 2, 3 … about once a millisecond until told to stop. A publish that is refused as temporary is repeated
 * and counted. @param withKeys each has a key of its own, as a caller needs who repeats after a 503.
 */
export function publishSteadily(
  worker: Worker,
  topic: BrokerTopic,
  withKeys: boolean,
): { readonly stop: () => Promise<{ readonly last: number; readonly failureCount: number }> } {
  const stopping = new AbortController();
  let last = 0;
  let failureCount = 0;
  const publishing = (async () => {
    while (!stopping.signal.aborted) {
      const data = bytes(String(last + 1));
      try {
        await worker.broker.publish(topic, data, withKeys ? { idempotencyKey: String(last + 1) } : {});
        last++;
      } catch (error) {
        if (!(error instanceof BrokerError) || !error.retryable) throw error;
        failureCount++;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await publishing;
      return { last, failureCount };
    },
  };
}
