/** The two lines that swarm.cpp prints. */
import { CliError, exitCode } from "../../src/cli/exit-code.ts";

/** The connections are there. */
export interface SwarmOpen {
  readonly open: number;
  readonly dead: number;
  readonly seconds: number;
  readonly serverCpuSec: number;
  readonly rssBeforeKb: number;
  readonly rssKb: number;
}

/** What was counted. */
export interface SwarmResult {
  readonly seconds: number;
  readonly open: number;
  readonly dead: number;
  readonly closeFrames: number;
  readonly messages: number;
  readonly frames: number;
  readonly compressedFrames: number;
  readonly reads: number;
  readonly bytes: number;
  readonly sampledConnections: number;
  readonly sampledMessages: number;
  readonly sampledBytes: number;
  readonly missing: number;
  readonly disordered: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  readonly serverUserSec: number;
  readonly serverSystemSec: number;
  readonly serverRssKb: number;
  readonly apartCpuSec: number;
  readonly swarmCpuSec: number;
}

const openNames: readonly (keyof SwarmOpen)[] = [
  "open",
  "dead",
  "seconds",
  "serverCpuSec",
  "rssBeforeKb",
  "rssKb",
];
const resultNames: readonly (keyof SwarmResult)[] = [
  "seconds",
  "open",
  "dead",
  "closeFrames",
  "messages",
  "frames",
  "compressedFrames",
  "reads",
  "bytes",
  "sampledConnections",
  "sampledMessages",
  "sampledBytes",
  "missing",
  "disordered",
  "p50Us",
  "p99Us",
  "p999Us",
  "maxUs",
  "serverUserSec",
  "serverSystemSec",
  "serverRssKb",
  "apartCpuSec",
  "swarmCpuSec",
];

/** @throws CliError when the line is not of the swarm's present form. */
export function swarmOpen(match: readonly string[]): SwarmOpen {
  // Every name was checked to be a number.
  return numbers(match[0] ?? "", openNames) as unknown as SwarmOpen;
}

/** @throws CliError when the line is not of the swarm's present form. */
export function swarmResult(match: readonly string[]): SwarmResult {
  return numbers(match[0] ?? "", resultNames) as unknown as SwarmResult;
}

function numbers(line: string, names: readonly string[]): Record<string, number> {
  const found = JSON.parse(line) as Record<string, unknown>;
  return Object.fromEntries(
    names.map((name) => {
      const value = found[name];
      if (typeof value !== "number") throw new CliError(exitCode.failed, `the swarm says nothing of ${name}`);
      return [name, value];
    }),
  );
}
