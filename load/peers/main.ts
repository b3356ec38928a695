/** The entry of `npm run bench:peers`: Tapecast beside other servers, on this machine, in one run. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { loadAverage } from "../bench/machine.ts";
import { runProgram } from "../run-program.ts";
import { Comparison, type ComparisonFlags } from "./comparison.ts";
import { writeReport } from "./report.ts";
import { readResults, writeResults } from "./results.ts";
import { scenarios } from "./scenarios.ts";

const publishFolder = fileURLToPath(new URL("../../docs/benchmarks", import.meta.url));
const scratchFolder = fileURLToPath(new URL("../results", import.meta.url));

interface Flags extends ComparisonFlags {
  readonly only?: readonly string[];
  readonly publish?: true;
  readonly list?: true;
}

process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));

const program = new Command("npm run bench:peers --")
  .description(
    "Measures Tapecast beside a C floor, ws, Bun, NATS, Nchan and Centrifugo. Figures of a busy machine are worthless.",
  )
  .option("--only <names>", "scenarios, such as p2,p8-idle; p2 means p2-20k and p2-50k", list)
  .option("--peers <names>", "which peers beside Tapecast: floor,ws,bun,nats,nchan,centrifugo", list)
  .option("--rounds <n>", "rounds; in each, every variant runs once", positive, 5)
  .option("--seconds <n>", "how long one run is counted", positive, 2.5)
  .option("--warmup <n>", "how long it is loaded before", positive, 1.5)
  .option(
    "--connections <n>",
    "idle connections of p5; by default what the limit of open files allows, at most 18,000",
    positive,
  )
  .option("--publish", "write into docs/benchmarks instead of load/results")
  .option("--list", "only say what would be measured")
  .showHelpAfterError("(add --help for what is possible)")
  .exitOverride()
  .action(async (flags: Flags) => {
    const wanted = scenarios.filter(
      ({ name }) =>
        flags.only === undefined || flags.only.some((each) => name === each || name.startsWith(`${each}-`)),
    );
    if (wanted.length === 0)
      throw new CliError(exitCode.usage, `--only: there is ${scenarios.map(({ name }) => name).join(", ")}`);
    const comparison = new Comparison(wanted, flags, commandText(process.argv.slice(2)));
    console.log(comparison.plan());
    if (flags.list === true) return;
    const load = loadAverage();
    if (load > 0.5)
      console.log(`The machine is not quiet (load average ${load}): compare nothing with these figures.`);
    const folder = flags.publish === true ? publishFolder : scratchFolder;
    const results = readResults(folder);
    for await (const [name, result] of comparison.run()) {
      results.set(name, result);
      // After each scenario: what was measured is not lost when the next one is interrupted.
      writeResults(folder, results);
      writeReport(folder, scenarios, results);
    }
    if (flags.publish === true) formatted(folder);
    console.log(`Written to ${folder}: peers.md, peers.json and a chart for each scenario.`);
  });

await runProgram(program);

function list(text: string): string[] {
  return text.split(",").map((each) => each.trim());
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("a number above 0");
  return value;
}

function commandText(arguments_: readonly string[]): string {
  return ["npm run bench:peers --", ...arguments_].join(" ");
}

/** The repository's formatter has the last word on committed files. */
function formatted(folder: string): void {
  const formatter = fileURLToPath(new URL("../../node_modules/.bin/oxfmt", import.meta.url));
  if (existsSync(formatter)) spawnSync(formatter, [folder]);
}
