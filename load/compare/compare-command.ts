/** `npm run load -- compare BEFORE AFTER`: exits with 1 when something became worse by more than is tolerated. */
import { writeFileSync } from "node:fs";
import { InvalidArgumentError, type Command } from "commander";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { escaped, page } from "../report/report-html.ts";
import { figureText, numberText, readResult } from "../run/load-result.ts";
import { compareResults, type ComparedFigure, type Comparison } from "./compare-results.ts";

interface Flags {
  readonly tolerance: number;
  readonly html?: string;
}

const columns = ["figure", "before", "after", "ratio", ""];

/** Adds the command. @param result is given the exit code. */
export function addCompare(program: Command, result: { exitCode: number }): void {
  program
    .command("compare")
    .summary("two results of one scenario beside each other; 1 when one became worse")
    .argument("<before>", "a result of load/results or load/baselines")
    .argument("<after>", "a later one")
    .option("--tolerance <part>", "how much worse a figure may become: 0.2 is a fifth", tolerance, 0.2)
    .option("--html <file>", "write the comparison there too")
    .action((before: string, after: string, flags: Flags) => {
      result.exitCode = compare(before, after, flags);
    });
}

function compare(beforeFile: string, afterFile: string, flags: Flags): number {
  const before = readResult(beforeFile);
  const after = readResult(afterFile);
  if (before.scenario !== after.scenario) {
    throw new CliError(
      exitCode.usage,
      `${beforeFile} is of ${before.scenario}, ${afterFile} of ${after.scenario}: compare two of one scenario`,
    );
  }
  const comparison = compareResults(before, after, flags.tolerance);
  print(comparison);
  if (flags.html !== undefined) writeFileSync(flags.html, comparisonHtml(comparison));
  return comparison.regressions.length === 0 ? exitCode.ok : exitCode.failed;
}

function print({ figures, differences, regressions }: Comparison): void {
  const rows = [columns, ...figures.map((figure) => cells(figure))];
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const line = row.map((cell, column) =>
      column === 0 || column === 4 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(line.join("  ").trimEnd());
  }
  for (const difference of differences) console.log(`not the same: ${difference}`);
  console.log(regressions.length === 0 ? "nothing became worse" : `worse: ${regressions.join(", ")}`);
}

function cells({ label, before, after, unit, ratio, verdict }: ComparedFigure): string[] {
  const isWord = verdict === "better" || verdict === "worse";
  return [
    label,
    figureText({ value: before, unit }),
    figureText({ value: after, unit }),
    ratio === null ? "–" : numberText(ratio),
    isWord ? verdict : "",
  ];
}

/** A page of its own, like the report of a run. */
export function comparisonHtml({ scenario, figures, differences, regressions }: Comparison): string {
  const rows = figures.map((figure) => {
    const [label = "", ...rest] = cells(figure).map((cell) => escaped(cell));
    const tds = rest.map(
      (cell, index) => (index === 3 ? `<td class="${figure.verdict}">` : "<td>") + `${cell}</td>`,
    );
    return `<tr><th scope="row">${label}</th>${tds.join("")}</tr>`;
  });
  const isOk = regressions.length === 0;
  const words = isOk ? "nothing became worse" : `worse: ${regressions.join(", ")}`;
  const notes = differences.map((difference) => `<li>not the same: ${escaped(difference)}</li>`);
  return page(
    `${scenario}: two runs · Tapecast load`,
    `<header><h1>${escaped(scenario)}: two runs</h1><p class="verdict ${isOk ? "ok" : "failed"}">${escaped(words)}</p></header>
<div class="scroll"><table><thead><tr>${columns.map((column) => `<th scope="col">${column}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody></table></div>
<ul>${notes.join("")}</ul>`,
  );
}

function tolerance(text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !(number >= 0 && number <= 10))
    throw new InvalidArgumentError("a number from 0 to 10, such as 0.2");
  return number;
}
