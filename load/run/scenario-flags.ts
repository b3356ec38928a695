/** Options that every scenario has. */
import { InvalidArgumentError, Option, type Command } from "commander";

export interface CommonFlags {
  readonly seconds: number;
  readonly url?: string;
  readonly key?: string;
  readonly pid?: number;
  readonly redis?: string;
  readonly workers: number;
  readonly processes: number;
  readonly settleSec: number;
  readonly json?: string;
  readonly out: string;
}

/** Adds them. @param seconds the default of the scenario. */
export function addCommonOptions(command: Command, seconds: number): Command {
  return addServerOptions(command, seconds, 2).option("--key <key>", "publish key of the server at --url");
}

/** Those that `polling-vs-push` has, too. @param workers the default. */
export function addServerOptions(command: Command, seconds: number, workers: number): Command {
  return command
    .option("--seconds <n>", "how long", atLeastOne, seconds)
    .option(
      "--url <url>",
      "a running server, http://host:port; without it one is started and ended here",
      httpUrl,
    )
    .option("--pid <n>", "process of that server, if it runs on this machine: its CPU and memory", atLeastOne)
    .addOption(
      new Option(
        "--redis <url>",
        "the server that is started uses this Redis; without it its broker is in memory",
      )
        .argParser(redisUrl)
        .conflicts("url"),
    )
    .option("--workers <n>", "workers of the server that is started", atLeastOne, workers)
    .option("--processes <n>", "processes of subscribers", atLeastOne, 2)
    .option("--settle-sec <n>", "how long the last messages may take to arrive", atLeastOne, 15)
    .option("--json <file>", "write the result there too")
    .option("--out <folder>", "where the result goes, as JSON and as HTML", "load/results");
}

/** A whole number from 1. */
export function atLeastOne(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError("a whole number from 1");
  return number;
}

function redisUrl(text: string): string {
  if (!URL.canParse(text) || !/^rediss?:$/u.test(new URL(text).protocol))
    throw new InvalidArgumentError("an address such as redis://127.0.0.1:6379");
  return text;
}

function httpUrl(text: string): string {
  if (!URL.canParse(text) || new URL(text).protocol !== "http:")
    throw new InvalidArgumentError("an address that begins with http://");
  return text;
}
