/** The entry of `npm run verify`: does faults to a server under load and holds what arrived against what was accepted. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";

import { CliError } from "../../src/cli/exit-code.ts";
import type { BrokerKind, Fault } from "./fault.ts";
import { faults } from "./faults.ts";
import { makeReport, markdownReport, printReport } from "./report.ts";
import { runVerification, type RunPlan } from "./run.ts";

const resultFolder = fileURLToPath(new URL("../results", import.meta.url));
/** As a shell reports SIGINT. */
const exitInterrupted = 130;
/** Half a minute of nothing is no fault for a short run. */
const notByDefault = new Set(["redis-restart-30"]);

interface Flags {
  readonly faults?: readonly Fault[];
  readonly minutes: number;
  readonly seconds?: number;
  readonly every: number;
  readonly clients: number;
  readonly controlClients?: number;
  readonly topics: number;
  readonly rate: number;
  readonly broker: BrokerKind;
  readonly workers: number;
  readonly seed: number;
  readonly cuts: number;
  readonly control?: true;
  readonly set: readonly string[];
  readonly name: string;
}

const program = new Command("npm run verify --")
  .description(
    "Starts a Redis and a server of its own, publishes numbered messages, does faults to them in random order, and " +
      "holds what each client got against what was accepted. Exits with 1 when a single message was lost in silence, " +
      "came twice or out of order, or when something untrue was said of a recovery. Leaves a report a person can read " +
      "and one for machines in load/results.",
  )
  .option(
    "--faults <names>",
    "which, with commas between; `none`; without it all that fit the broker",
    faultsOf,
  )
  .option("--minutes <n>", "how long to publish", positive, 2)
  .option("--seconds <n>", "the same in seconds, wins over --minutes", positive)
  .option("--every <seconds>", "from the beginning of one fault to the next, at least", positive, 5)
  .option(
    "--clients <n>",
    "WebSocket clients, each with all topics; every tenth is on the browser's SDK",
    whole,
    200,
  )
  .option("--topics <n>", "half `every`, a quarter `latest`, a quarter `sample`", whole, 8)
  .option("--rate <n>", "messages a second, all topics together", positive, 40)
  .addOption(
    new Option(
      "--broker <kind>",
      "the server's broker; `cluster`: three masters with a replica each, `sentinel`: two servers and three sentinels",
    )
      .choices(["memory", "redis", "cluster", "sentinel"])
      .default("redis"),
  )
  .option("--workers <n>", "workers of the server, and of the control", whole, 2)
  .option("--seed <n>", "of the faults' order and their random parts", whole, 1)
  .option("--cuts <n>", "connections that one client-cut cuts", whole, 50)
  .option("--control", "beside the server its control: ws with plain ioredis, under the same faults")
  .option("--control-clients <n>", "clients of the control; without it as many as --clients", whole)
  .option("--set <key=value>", "a setting of the server, may be repeated", collect, [])
  .option("--name <name>", "of the files in load/results", "verify")
  .addHelpText("after", () => `\nFaults:\n${faults.map(helpLine).join("\n")}`)
  .showHelpAfterError("(add --help for what is possible)")
  .exitOverride()
  .action(verify);

async function verify(flags: Flags): Promise<void> {
  const plan = planOf(flags);
  const interruption = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      interruption.abort();
      // Once more ends it at once; what was started ends with it.
      process.once(signal, () => process.exit(exitInterrupted));
    });
  }
  console.log(
    `${plan.clients} clients, ${plan.topics} topics, ${plan.ratePerSec} messages a second for ${plan.seconds} s; ` +
      `faults: ${plan.faults.map(({ name }) => name).join(", ") || "none"}; seed ${plan.seed}`,
  );
  const outcome = await runVerification(plan, interruption.signal);
  const command = `npm run verify -- ${process.argv.slice(2).join(" ")}`.trimEnd();
  const report = makeReport(plan, outcome, command);
  mkdirSync(resultFolder, { recursive: true });
  const file = join(resultFolder, flags.name);
  writeFileSync(`${file}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${file}.md`, markdownReport(report, faults));
  printReport(report, faults);
  console.log(`${file}.md, ${file}.json`);
  process.exitCode = interruption.signal.aborted ? exitInterrupted : report.ok ? 0 : 1;
}

function planOf(flags: Flags): RunPlan {
  const { broker, clients } = flags;
  const chosen = flags.faults ?? faults.filter(({ name }) => !notByDefault.has(name));
  const impossible = chosen.filter(({ brokers }) => brokers !== null && !brokers.includes(broker));
  if (flags.faults !== undefined && impossible.length > 0) {
    const names = impossible.map(({ name }) => name).join(", ");
    throw new CliError(2, `--broker ${broker} does not have ${names}`);
  }
  return {
    faults: chosen.filter((fault) => !impossible.includes(fault)),
    seconds: flags.seconds ?? flags.minutes * 60,
    faultEverySeconds: flags.every,
    clients,
    controlClients: flags.controlClients ?? clients,
    topics: flags.topics,
    ratePerSec: flags.rate,
    broker,
    workers: flags.workers,
    seed: flags.seed,
    cuts: flags.cuts,
    withControl: flags.control === true,
    settings: flags.set,
  };
}

function helpLine({ name, title, brokers }: Fault): string {
  return `  ${name.padEnd(21)} ${title}${brokers === null ? "" : ` (${brokers.join(", ")})`}`;
}

function faultsOf(text: string): Fault[] {
  if (text === "none") return [];
  return text.split(",").map((name) => {
    const found = faults.find((fault) => fault.name === name.trim());
    if (found !== undefined) return found;
    throw new InvalidArgumentError(
      `there is no fault "${name}"; there are ${faults.map((each) => each.name).join(", ")}`,
    );
  });
}

function positive(text: string): number {
  const number = Number(text);
  if (!(number > 0) || !Number.isFinite(number)) throw new InvalidArgumentError("a number above 0");
  return number;
}

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("a whole number from 1");
  return number;
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof CliError) {
    console.error(error.message);
    process.exitCode = error.exitCode;
  } else {
    throw error;
  }
}
// Sockets whose other end is gone for good (client-mute) would keep the process for minutes.
process.exit();
