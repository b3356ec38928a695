/**
 * The entry of `npm run fuzz`: changed inputs at random cuts against handshake, frames, inflating, commands and bus
 * messages, each beside a slow twin. Ends with 1 at the first input that throws or differs, and writes it down.
 */
import { randomInt } from "node:crypto";
import { Command, InvalidArgumentError } from "commander";
import { fuzz, type FuzzFailure } from "./fuzz-run.ts";
import { targets } from "./targets.ts";
import { writeVector } from "./vector-file.ts";

interface Flags {
  readonly seconds: number;
  readonly seed?: number;
  readonly iterations?: number;
  readonly target: string;
}

process.once("SIGINT", () => process.exit(130));

await new Command("npm run fuzz --")
  .description("Seeded fuzzing; the same seed gives the same inputs.")
  .option("--seconds <n>", "in all, shared by the targets", whole, 60)
  .option("--seed <n>", "of the run; a new one each time without it", whole)
  .option("--iterations <n>", "of each target, if the seconds last", whole)
  .option("--target <name>", `${targets.map(({ name }) => name).join(", ")} or all`, known, "all")
  .action(run)
  .parseAsync();

async function run({ seconds, seed = randomInt(2 ** 31), iterations, target }: Flags): Promise<void> {
  const chosen = targets.filter(({ name }) => target === "all" || name === target);
  console.log(`seed ${seed}`);
  for (const each of chosen) {
    const budget = { seed, seconds: seconds / chosen.length, iterations: iterations ?? null };
    const result = await fuzz(each, budget);
    const perSecond = Math.round(result.iterations / result.seconds);
    console.log(
      `${result.target.padEnd(10)} ${String(result.iterations).padStart(9)} inputs, ` +
        `${(result.inputBytes / 2 ** 20).toFixed(1)} MiB, ${result.seconds.toFixed(1)} s, ${perSecond}/s`,
    );
    if (result.failure !== null) return report(result.failure);
  }
}

function report(failure: FuzzFailure): void {
  const { target, seed, iteration, input, message } = failure;
  console.error(`\nFAILED: ${target}, --seed ${seed}, iteration ${iteration}: ${message}`);
  console.error(
    `variant ${input.variant}, cuts [${input.cuts.join(", ")}], input:\n${input.bytes.toString("hex")}`,
  );
  console.error(`written to ${writeVector(failure)}`);
  process.exitCode = 1;
}

function whole(text: string): number {
  if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError("a whole number.");
  return Number(text);
}

function known(name: string): string {
  if (name === "all" || targets.some((target) => target.name === name)) return name;
  throw new InvalidArgumentError(`${targets.map((target) => target.name).join(", ")} or all.`);
}
