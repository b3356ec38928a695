/**
 * Publishes straight to Redis, the way the server does: with history by the Function, live-only by PUBLISH, to a
 * cluster with the tag of the topic's partition and by SPUBLISH.
 */
import { BrokerError } from "../base/errors.ts";
import { topicProblem, TopicRules } from "../base/topic.ts";
import type { Broker, BrokerListener } from "../broker/broker.ts";
import { createRedisBroker } from "../broker/redis-broker.ts";
import { clusterReason } from "../broker/redis-connection.ts";
import { type Config, limitNumber, type TopicConfig } from "../config/schema.ts";
import { CliError, exitCode } from "./exit-code.ts";
import type { Message, Outcome, Publisher } from "./publisher.ts";

/** Nobody subscribes here, so nothing is ever called but `onStatus`, which `status()` says as well. */
const silentListener: BrokerListener = {
  onOpened: ignore,
  onGap: ignore,
  onEpoch: ignore,
  onStatus: ignore,
};

const silentLog = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore, fatal: ignore };

/** See the file head. A connection keeps the order of what is sent on it. */
export class RedisPublisher implements Publisher {
  readonly batchMessagesMax = 1000;
  readonly batchBytesMax = 4_194_304;
  readonly #broker: Broker;
  readonly #rules: TopicRules<TopicConfig>;
  readonly #messageBytesMax: number;

  private constructor(broker: Broker, config: Config) {
    this.#broker = broker;
    this.#rules = new TopicRules(config.topics);
    this.#messageBytesMax = limitNumber(config.limits.messageBytesMax);
  }

  /** Connects. @param config its `broker.redis`, `topics` and limits. @throws CliError when Redis cannot be had. */
  static async connect(config: Config): Promise<RedisPublisher> {
    const messageBytesMax = limitNumber(config.limits.messageBytesMax);
    const options = { ...config.broker.redis, messageBytesMax };
    let broker = createRedisBroker(options, silentLog);
    await broker.start(silentListener);
    if (options.mode === "standalone" && broker.status().reason?.endsWith(clusterReason) === true) {
      // The address of one node was given and nothing else: what it is, Redis itself has said.
      await broker.stop();
      broker = createRedisBroker({ ...options, mode: "cluster" }, silentLog);
      await broker.start(silentListener);
    }
    const { ready, reason } = broker.status();
    if (!ready) {
      await broker.stop();
      throw new CliError(exitCode.unavailable, `Redis cannot be had: ${reason ?? "no answer"}`);
    }
    return new RedisPublisher(broker, config);
  }

  publish(messages: readonly Message[]): Promise<readonly Outcome[]> {
    return Promise.all(messages.map((message) => this.#publishOne(message)));
  }

  async close(): Promise<void> {
    await this.#broker.stop();
  }

  /** Calls the broker before it returns: that keeps the order. */
  async #publishOne({ topic, data }: Message): Promise<Outcome> {
    const problem = topicProblem(topic);
    if (problem !== null) return refusal("bad_topic", problem);
    const rule = this.#rules.find(topic);
    if (rule === null) return refusal("unknown_topic", "no rule of the configuration matches this topic");
    if (data.length > this.#messageBytesMax) {
      return refusal("too_large", `the data of a message has at most ${this.#messageBytesMax} bytes`);
    }
    try {
      const { delivery, history } = rule;
      const position = await this.#broker.publish({ name: topic, delivery, history }, data, {});
      return { accepted: true, topic, epoch: position?.epoch ?? null, seq: position?.seq ?? null };
    } catch (error) {
      if (error instanceof BrokerError) return refusal("unavailable", error.message);
      throw error;
    }
  }
}

function refusal(code: string, reason: string): Outcome {
  return { accepted: false, code, reason };
}

function ignore(): void {
  // Nothing to do.
}
