/** The entry of `npm run bench`: how long the hot paths take without a socket, in nanoseconds for one operation. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { createProgress } from "../../src/cli/progress.ts";
import { runProgram } from "../run-program.ts";
import { runCases, type BenchCase } from "./bench-case.ts";
import { loadBuild, type BuiltModules } from "./built-modules.ts";
import { codecCases, deflateCases, jsonCases, maskCases } from "./codec-cases.ts";
import { hubCases, ingestCases } from "./hub-cases.ts";
import { machineFacts } from "./machine.ts";
import { measureTopicSets, topicSetShapes } from "./topic-sets.ts";
import { benchReport, type BenchRun } from "./bench-report.ts";

const ownBuild = fileURLToPath(new URL("../../dist", import.meta.url));
const publishFolder = fileURLToPath(new URL("../../docs/benchmarks", import.meta.url));
const scratchFolder = fileURLToPath(new URL("../results", import.meta.url));

/** Building up 100,000 readers takes seconds, so it is not done in each of the other cases' rounds. */
const setRounds = 3;

interface Flags {
  readonly only?: readonly string[];
  readonly rounds: number;
  readonly milliseconds: number;
  readonly against?: string;
  readonly publish?: true;
}

process.once("SIGINT", () => process.exit(130));

const program = new Command("npm run bench --")
  .description(
    "Micro benchmarks of the build in dist: decode, encode, mask, deflate, json, hub, redis, sets.",
  )
  .option("--only <groups>", "names or their beginnings: mask,hub/20", (text) => text.split(","))
  .option("--rounds <n>", "samples of each case, taken in turn", positive, 7)
  .option("--milliseconds <n>", "length of a sample", positive, 100)
  .option("--against <dist>", "another build, timed beside this one in the same rounds")
  .option("--publish", "write into docs/benchmarks instead of load/results")
  .showHelpAfterError("(add --help for what is possible)")
  .exitOverride()
  .action(bench);

async function bench({ only, rounds, milliseconds, against, publish }: Flags): Promise<void> {
  const build = await loadBuild(ownBuild);
  const isWanted = ({ name }: BenchCase): boolean =>
    only === undefined || only.some((each) => name.startsWith(each));
  const own = casesOf(build).filter(isWanted);
  const other = against === undefined ? [] : casesOf(await loadBuild(resolve(against))).filter(isWanted);
  const areSetsWanted = only === undefined || only.includes("sets");
  if (own.length === 0 && !areSetsWanted) throw new CliError(exitCode.usage, "--only: no such case");
  // Side by side in each round, so that both meet the same minute.
  const cases = own.flatMap((each, index) => {
    const twin = other[index];
    return twin === undefined ? [each] : [each, twin];
  });
  console.log(
    `${cases.length} cases, about ${Math.ceil((cases.length * (rounds + 2) * milliseconds) / 1000)} s`,
  );
  const progress = createProgress("samples", cases.length * rounds);
  let samples = 0;
  const results = runCases(cases, { rounds, sampleMs: milliseconds }, () => progress.update((samples += 1)));
  progress.stop();
  if (areSetsWanted) console.log(`topic sets, ${setRounds} rounds, about 40 s`);
  const topicSets = areSetsWanted ? measureTopicSets(build, topicSetShapes, setRounds) : [];
  const step = other.length === 0 ? 1 : 2;
  const run: BenchRun = {
    command: ["npm run bench --", ...process.argv.slice(2)].join(" ").trim(),
    measuredAt: new Date().toISOString().slice(0, 10),
    rounds,
    milliseconds,
    machine: machineFacts(),
    results: results.filter((_, index) => index % step === 0),
    topicSets,
    against: step === 1 ? [] : results.filter((_, index) => index % step === 1),
  };
  const text = benchReport(run);
  console.log(text);
  const folder = publish === true ? publishFolder : scratchFolder;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "micro.json"), `${JSON.stringify(run, null, 2)}\n`);
  writeFileSync(join(folder, "micro.md"), text);
  if (publish === true) formatted(folder);
}

await runProgram(program);

function casesOf(build: BuiltModules): BenchCase[] {
  return [
    ...codecCases(build),
    ...maskCases(build),
    ...deflateCases(build),
    ...jsonCases(build),
    ...hubCases(build),
    ...ingestCases(build),
  ];
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("a number above 0");
  return value;
}

/** The repository's formatter has the last word on committed files. */
function formatted(folder: string): void {
  const formatter = fileURLToPath(new URL("../../node_modules/.bin/oxfmt", import.meta.url));
  if (existsSync(formatter)) spawnSync(formatter, [folder]);
}
