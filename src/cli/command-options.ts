/** Options that several commands have, and what they turn into. */
import { type Command, InvalidArgumentError, Option } from "commander";

import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { CliError, exitCode } from "./exit-code.ts";
import { HttpPublisher } from "./http-publisher.ts";
import { noteLine } from "./progress.ts";
import type { Publisher } from "./publisher.ts";

/** Where a server is when nobody says otherwise. */
export const defaultServer = "127.0.0.1:8080";

/** `--config` and `--set`. */
export interface ConfigFlags {
  readonly config?: string;
  readonly set?: readonly string[];
}

/** Adds `--config FILE` and `--set key=value`. */
export function addConfigOptions(command: Command): Command {
  return command
    .option("-c, --config <file>", "YAML file; the environment (TAPECAST_LISTEN__PORT) and --set win over it")
    .option("-s, --set <key=value>", "one option, such as listen.port=8080; may be repeated", appended);
}

/** The effective configuration. @throws ConfigError */
export function configOf(flags: ConfigFlags): Config {
  return loadConfig({ file: flags.config ?? null, env: process.env, sets: flags.set ?? [] });
}

/** `--url`, `--key`, `--redis` and `--config`: where to publish. */
export interface TargetFlags {
  readonly url: string;
  readonly key?: string;
  readonly redis?: string;
  readonly config?: string;
}

/** Adds the options of `TargetFlags`. */
export function addTargetOptions(command: Command): Command {
  return command
    .option("-u, --url <url>", "the server to publish to", `http://${defaultServer}`)
    .addOption(
      new Option("-k, --key <key>", "a publish key of the server (auth.publishKeys)").env("TAPECAST_KEY"),
    )
    .option(
      "-r, --redis <url>",
      "publish straight to this Redis, or Redis Cluster, instead, such as redis://127.0.0.1:6379",
    )
    .option(
      "-c, --config <file>",
      "with --redis: the topics, prefix and partitions of the server's configuration",
    );
}

/** Connects. With Redis the topic rules are those of `--config`, of the environment, or the defaults. */
export async function publisherOf(flags: TargetFlags): Promise<Publisher> {
  if (flags.redis === undefined) {
    return new HttpPublisher({ url: flags.url, key: flags.key ?? null, onWait: noteWait });
  }
  if (!/^rediss?:\/\/[^/]/u.test(flags.redis)) {
    throw new CliError(exitCode.usage, "--redis must be redis://… or rediss://…");
  }
  const config = configWithRedis(flags.redis, flags.config ?? null);
  // ioredis takes a while to load and most uses do without.
  const { RedisPublisher } = await import("./redis-publisher.ts");
  return RedisPublisher.connect(config);
}

function noteWait(problem: string, forMs: number): void {
  noteLine(`tapecast: ${problem}; trying on for ${Math.round(forMs / 1000)} s`);
}

/** A cluster's nodes to begin with, if the configuration names some, give way to the one that is asked for. */
function configWithRedis(url: string, file: string | null): Config {
  const config = loadConfig({ file, env: process.env, sets: [`broker.redis.url=${url}`] });
  const { redis } = config.broker;
  if (redis.mode !== "cluster") return config;
  return { ...config, broker: { ...config.broker, redis: { ...redis, urls: [url] } } };
}

/** Examples at the end of a command's help, each a command line with what it does. */
export function addExamples(command: Command, examples: readonly (readonly [string, string])[]): Command {
  const lines = examples.map(([line, meaning]) => `  # ${meaning}\n  ${line}`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

/** For options that may be repeated. */
export function appended(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** A number, 0 or more. @throws InvalidArgumentError */
export function number(value: string): number {
  const parsed = value.trim() === "" ? Number.NaN : Number(value);
  if (Number.isFinite(parsed) && parsed >= 0) return parsed;
  throw new InvalidArgumentError("A number, 0 or more, is needed.");
}

/** A number above 0. @throws InvalidArgumentError */
export function positiveNumber(value: string): number {
  const number = Number(value);
  if (Number.isFinite(number) && number > 0) return number;
  throw new InvalidArgumentError("A number above 0 is needed.");
}
