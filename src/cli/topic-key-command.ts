/** `tapecast topic-key`: where a topic lives in Redis, for publishers in other languages. */
import type { Command } from "commander";

import { topicProblem } from "../base/topic.ts";
import { keySlot, partitionOf, topicNames } from "../broker/topic-partition.ts";
import { addConfigOptions, addExamples, type ConfigFlags, configOf } from "./command-options.ts";
import { CliError, exitCode } from "./exit-code.ts";

interface TopicKeyFlags extends ConfigFlags {
  readonly channel?: true;
  readonly key?: true;
}

/** Adds the command. */
export function addTopicKeyCommand(program: Command): void {
  const command = addConfigOptions(program.command("topic-key"))
    .summary("print the Redis channel and key of a topic")
    .description(
      "Print the Redis channel and the key of the log of each topic, as one JSON object per line. With " +
        "broker.redis.mode: cluster both carry the hash tag of the topic's partition, and partition and slot are " +
        "printed too. Nothing is connected.",
    )
    .argument("<topic...>", "the topics")
    .option("--channel", "only the channel, as plain text")
    .option("--key", "only the key of the log, as plain text")
    .action((topics: readonly string[], flags: TopicKeyFlags) => {
      if (flags.channel === true && flags.key === true) {
        throw new CliError(
          exitCode.usage,
          "--channel and --key exclude each other; without them both are printed",
        );
      }
      for (const topic of topics) {
        const problem = topicProblem(topic);
        if (problem !== null) throw new CliError(exitCode.usage, `${topic}: ${problem}`);
      }
      const { mode, partitions, prefix } = configOf(flags).broker.redis;
      for (const topic of topics) {
        console.log(lineOf(topic, prefix, mode === "cluster" ? partitionOf(topic, partitions) : null, flags));
      }
    });
  addExamples(command, [
    ["tapecast topic-key quote.AAPL", "where the default configuration has it"],
    [
      "tapecast topic-key -c cluster.yaml quote.AAPL",
      "with the mode, prefix and partitions of a configuration",
    ],
    [
      `redis-cli -c -p 7000 FCALL tape_publish 1 "$(tapecast topic-key --key -s broker.redis.mode=cluster chat.lobby)" '"hi"'`,
      "publish to a Redis Cluster by hand",
    ],
  ]);
}

function lineOf(topic: string, prefix: string, partition: number | null, flags: TopicKeyFlags): string {
  const { channel, log } = topicNames(prefix, partition, topic);
  if (flags.channel === true) return channel;
  if (flags.key === true) return log;
  const place = partition === null ? {} : { partition, slot: keySlot(`p${partition}`) };
  return JSON.stringify({ topic, channel, key: log, ...place });
}
