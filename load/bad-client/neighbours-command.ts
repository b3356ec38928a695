/** `npm run load -- bad-client`: what one bad client of each kind does to the latency of the others. */
import { writeFileSync } from "node:fs";
import { InvalidArgumentError, type Command } from "commander";

import { exitCode } from "../../src/cli/exit-code.ts";
import { machineFacts } from "../bench/machine.ts";
import { markdownTable } from "../bench/markdown-table.ts";
import { readable } from "../bench/statistics.ts";
import { atLeastOne } from "../run/scenario-flags.ts";
import { badClientKinds, type BadClientKind } from "./bad-clients.ts";
import { measureNeighbours, type NeighboursFigures, type Spell } from "./neighbours.ts";

interface Flags {
  readonly kinds: readonly BadClientKind[];
  readonly rounds: number;
  readonly seconds: number;
  readonly clients: number;
  readonly topics: number;
  readonly rate: number;
  readonly fill: number;
  readonly tolerance: number;
  readonly control: boolean;
  readonly set: readonly string[];
  readonly json?: string;
}

/** Adds the command. @param result is given the exit code. */
export function addBadClient(program: Command, result: { exitCode: number }): void {
  program
    .command("bad-client")
    .summary("one client of each bad kind: what the others notice")
    .description(
      "Starts a server with one worker, publishes steadily to good clients, and measures their latency without and " +
        "with one bad client by turns. Exits with 1 when p99 over all rounds is above the tolerance with it.",
    )
    .option("--kinds <names>", "which, with commas between; without it all", kindsOf, badClientKinds)
    .option("--rounds <n>", "spells without and with", atLeastOne, 5)
    .option("--seconds <n>", "of a spell", atLeastOne, 3)
    .option("--clients <n>", "good clients, each with two topics", atLeastOne, 50)
    .option("--topics <n>", "topics", atLeastOne, 10)
    .option("--rate <n>", "messages a second, all topics together", atLeastOne, 200)
    .option(
      "--fill <bytes>",
      "filling of each message: a frozen reader's buffers must fill up",
      atLeastOne,
      4000,
    )
    .option("--tolerance <part>", "how much higher p99 may be: 0.1 is a tenth", part, 0.1)
    .option(
      "--control",
      "also a spell of each round with the bad client at another server: what its own hunger does",
      false,
    )
    .option("--set <key=value>", "a setting of the server, may be repeated", collect, [])
    .option("--json <file>", "write the figures of every spell there")
    .addHelpText(
      "after",
      () =>
        `\nKinds:\n${badClientKinds.map(({ name, title }) => `  ${name.padEnd(14)} ${title}`).join("\n")}`,
    )
    .action(async (flags: Flags) => {
      const { kinds, rounds, seconds, clients, topics } = flags;
      const plan = {
        kinds,
        rounds,
        seconds,
        clients,
        topics,
        ratePerSec: flags.rate,
        fillBytes: flags.fill,
        hasControl: flags.control,
        settings: flags.set,
      };
      const found = await measureNeighbours(plan, (figures) => {
        const { kind, p99Without, p99With, p99Control, ratio } = figures;
        const control = flags.control ? `, with it elsewhere ${readable(p99Control)} ms` : "";
        console.log(
          `${kind}: p99 ${readable(p99Without)} ms, with it ${readable(p99With)} ms${control}, × ${readable(ratio)}`,
        );
      });
      console.log(`\n${neighboursTable(found)}`);
      const command = `npm run load -- ${process.argv.slice(2).join(" ")}`;
      if (flags.json !== undefined) {
        const figures = found.map((each) => ({
          ...each,
          without: each.without.map(withoutHistogram),
          with: each.with.map(withoutHistogram),
          control: each.control.map(withoutHistogram),
        }));
        const report = { command, date: new Date().toISOString(), machine: machineFacts(), found: figures };
        writeFileSync(flags.json, `${JSON.stringify(report, null, 2)}\n`);
      }
      // A spell without a single delivery has no p99: that is no success.
      const isKept = found.every(({ ratio }) => ratio <= 1 + flags.tolerance);
      result.exitCode = isKept ? exitCode.ok : exitCode.failed;
    });
}

function neighboursTable(found: readonly NeighboursFigures[]): string {
  const rows = found.map((each) => [
    `\`${each.kind}\`: ${each.title}`,
    String(each.with.length),
    `${readable(each.p99Without)} ms`,
    `${readable(each.p99With)} ms`,
    Number.isNaN(each.p99Control) ? "–" : `${readable(each.p99Control)} ms`,
    `${readable(each.ratio)} (${readable(each.ratioMin)}–${readable(each.ratioMax)})`,
  ]);
  const head = ["bad client", "rounds", "p99 without", "p99 with", "p99 with it elsewhere", "ratio (rounds)"];
  return markdownTable(head, rows, new Set([1, 2, 3, 4, 5]));
}

function withoutHistogram({ latencies: _latencies, ...spell }: Spell): Omit<Spell, "latencies"> {
  return spell;
}

function kindsOf(text: string): BadClientKind[] {
  return text.split(",").map((name) => {
    const found = badClientKinds.find((kind) => kind.name === name.trim());
    if (found !== undefined) return found;
    const names = badClientKinds.map((kind) => kind.name).join(", ");
    throw new InvalidArgumentError(`there is no kind "${name}"; there are ${names}`);
  });
}

function part(text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !(number >= 0)) throw new InvalidArgumentError("a number from 0, such as 0.1");
  return number;
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
