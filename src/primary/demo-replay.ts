/**
 * The demonstration's publisher: recorded prices go from this process to the broker, through the same doors as any
 * other publication. Nothing here runs unless `demo.replay` is set.
 */
import { systemClock } from "../base/clock.ts";
import { RateLimitedLog, type Log } from "../base/log.ts";
import { TopicRules } from "../base/topic.ts";
import type { Broker, BrokerListener, BrokerTopic } from "../broker/broker.ts";
import type { MemoryBrokerHost } from "../broker/memory-broker-host.ts";
import { createRedisBroker } from "../broker/redis-broker.ts";
import type { Config } from "../config/schema.ts";
import { startReplay } from "../feed/replay.ts";

/** A replay that runs. */
export interface DemoReplay {
  /** Publications of one lap. */
  readonly length: number;
  stop(): Promise<void>;
}

/**
 * Starts what `demo.replay` asks for.
 * @param host the memory broker's log, or null to publish through Redis.
 * @returns null when nothing is asked for.
 * @throws RecordingError when a file cannot be used; BrokerError when the Redis options cannot.
 */
export async function startDemoReplay(
  config: Config,
  host: MemoryBrokerHost | null,
  log: Log,
): Promise<DemoReplay | null> {
  const { replay: source, speed, loop } = config.demo;
  if (source === null) return null;
  const topics = new TopicRules(config.topics);
  const broker = host === null ? await redisBroker(config, log) : null;
  const failures = new RateLimitedLog(log, systemClock, 1);
  const replay = startReplay({
    source,
    speed,
    loop,
    clock: systemClock,
    publish: async (name, data) => {
      const rule = topics.find(name);
      if (rule === null) throw new Error(`no rule of topics matches ${name}`);
      const topic: BrokerTopic = { name, delivery: rule.delivery, history: rule.history };
      return broker === null ? host?.publish(topic, data, {}) : broker.publish(topic, data, {});
    },
    onFailure: (error) => {
      const cause = error instanceof Error ? error.message : String(error);
      failures.warn({ cause }, "the replay could not publish");
    },
  });
  return {
    length: replay.length,
    stop: async () => {
      replay.stop();
      await broker?.stop();
    },
  };
}

/** A broker that only publishes. */
async function redisBroker(config: Config, log: Log): Promise<Broker> {
  const { redis } = config.broker;
  const messageBytesMax = config.limits.messageBytesMax ?? Number.POSITIVE_INFINITY;
  const broker = createRedisBroker({ ...redis, messageBytesMax }, log);
  const listener: BrokerListener = {
    onOpened: () => {},
    onGap: () => {},
    onEpoch: () => {},
    onStatus: ({ ready, reason }) => log.info({ ready, reason }, "the replay's broker"),
  };
  await broker.start(listener);
  return broker;
}
