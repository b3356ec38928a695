/** Options that every scenario has. */
import { InvalidArgumentError, type Command } from "commander";

export interface CommonFlags {
  readonly seconds: number;
  readonly url?: string;
  readonly key?: string;
  readonly pid?: number;
  readonly redis?: string;
  readonly workers: number;
  readonly processes: number;
  readonly json?: string;
  readonly out: string;
}

/** Adds them. @param seconds the default of the scenario. */
export function addCommonOptions(command: Command, seconds: number): Command {
  return addOwnServerOptions(command, seconds, 2)
    .option(
      "--url <url>",
      "a running server, http://host:port; without it one is started and ended here",
      httpUrl,
    )
    .option("--key <key>", "publish key of that server")
    .option(
      "--pid <n>",
      "process of that server, if it runs on this machine: its CPU and memory",
      atLeastOne,
    );
}

/** Those of a scenario that always starts its server. @param workers the default. */
export function addOwnServerOptions(command: Command, seconds: number, workers: number): Command {
  return command
    .option("--seconds <n>", "how long", atLeastOne, seconds)
    .option("--redis <url>", "the server that is started uses this Redis; without it its broker is in memory")
    .option("--workers <n>", "workers of the server that is started", atLeastOne, workers)
    .option("--processes <n>", "processes of subscribers", atLeastOne, 2)
    .option("--json <file>", "write the result there too")
    .option("--out <folder>", "where the result goes, as JSON and as HTML", "load/results");
}

/** A whole number from 1. */
export function atLeastOne(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError("a whole number from 1");
  return number;
}

function httpUrl(text: string): string {
  if (!URL.canParse(text) || new URL(text).protocol !== "http:")
    throw new InvalidArgumentError("an address that begins with http://");
  return text;
}
