/** Puts a result where people and programs find it: the terminal, a JSON file, an HTML report. */
import { accessSync, constants, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { reportHtml } from "../report/report-html.ts";
import { figureText, type LoadResult } from "./load-result.ts";
import { printTable } from "./result-table.ts";
import type { CommonFlags } from "./scenario-flags.ts";

/** Before a long run, not after it. @throws CliError when the result could not be written. */
export function prepareOutput({ json, out }: Pick<CommonFlags, "json" | "out">): void {
  try {
    mkdirSync(out, { recursive: true });
    accessSync(out, constants.W_OK);
    if (json !== undefined) writeFileSync(json, "");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(exitCode.failed, `the result cannot be written: ${why}`);
  }
}

/** @param flags those of `prepareOutput`. */
export function publishResult(result: LoadResult, { json, out }: Pick<CommonFlags, "json" | "out">): void {
  printResult(result);
  const text = `${JSON.stringify(result, null, 1)}\n`;
  if (json !== undefined) writeFileSync(json, text);
  const stamp = result.startedAt.replaceAll(/[-:]/gu, "").replace(/\.\d+Z$/u, "Z");
  const file = join(out, `${result.scenario}-${stamp}`);
  writeFileSync(`${file}.json`, text);
  writeFileSync(`${file}.html`, reportHtml(result));
  console.log(`${file}.html, ${file}.json`);
}

function printResult(result: LoadResult): void {
  const { figures, table, deliveries, publishing, problems, ok } = result;
  if (figures.length > 0) printTable(figures.map((figure) => [figure.label, figureText(figure)]));
  if (table !== null) printColumns([table.columns, ...table.rows]);
  for (const [why, count] of Object.entries(publishing?.refused ?? {}))
    console.log(`${count} refused: ${why}`);
  for (const { kind, subscriber, topic, number, seq } of deliveries?.examples ?? []) {
    console.log(`${kind}: subscriber ${subscriber}, ${topic}, message ${number}, seq ${seq ?? "none"}`);
  }
  for (const problem of problems) console.log(problem);
  if (deliveries === null) console.log(ok ? "done" : "FAILED");
  else console.log(ok ? "every accepted message arrived as its topic promises" : "FAILED");
}

function printColumns(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(cells.join("  "));
  }
}
