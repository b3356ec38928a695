/** What a run found: the content of the JSON file, what the HTML report draws and what `compare` compares. */
import { readFileSync } from "node:fs";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import type { MachineFacts } from "../bench/machine.ts";
import type { PublishSummary } from "../publishing/publishing.ts";
import type { BooksReport } from "../swarm/subscriber-books.ts";

/** Changes when a reader of old files would misread new ones. */
export const resultFormat = 1;

/** One number of the result. */
export interface Figure {
  /** Stable, for programs. */
  readonly name: string;
  /** For people. */
  readonly label: string;
  /** Null when it cannot be known, such as the CPU of a server elsewhere. */
  readonly value: number | null;
  readonly unit: string;
  /** Which way is better; null for what only describes the run. */
  readonly better: "lower" | "higher" | null;
}

/** A curve over the seconds of the run. */
export interface Line {
  readonly label: string;
  /** Null where there was nothing to measure. */
  readonly values: readonly (number | null)[];
}

/** Curves that share one plot. */
export interface Plot {
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
}

/** Something that happened to the server or its clients, at a second of the run. */
export interface Moment {
  readonly second: number;
  readonly what: string;
}

/** A table of variants beside each other; the first cell of a row is what the row is about. */
export interface VariantTable {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface LoadResult {
  readonly format: typeof resultFormat;
  readonly scenario: string;
  readonly startedAt: string;
  /** As it can be typed again. */
  readonly command: string;
  readonly seconds: number;
  readonly options: Readonly<Record<string, string | number>>;
  readonly machine: MachineFacts;
  readonly ok: boolean;
  /** Why not `ok`, or what makes the figures doubtful, for people. */
  readonly problems: readonly string[];
  readonly figures: readonly Figure[];
  readonly publishing: PublishSummary | null;
  readonly deliveries: (BooksReport & { readonly accepted: number }) | null;
  /** Seconds since the start, for all plots. */
  readonly atSeconds: readonly number[];
  readonly plots: readonly Plot[];
  readonly moments: readonly Moment[];
  readonly table: VariantTable | null;
}

/** @throws CliError when the file is no result. */
export function readResult(file: string): LoadResult {
  let result: unknown;
  try {
    result = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new CliError(
      exitCode.failed,
      `cannot read ${file}: ${error instanceof Error ? error.message : ""}`,
    );
  }
  if (!isResult(result)) {
    throw new CliError(
      exitCode.failed,
      `${file} is no result of a load scenario (format ${resultFormat}); those lie in load/results/*.json`,
    );
  }
  return result;
}

function isResult(value: unknown): value is LoadResult {
  return (
    typeof value === "object" &&
    value !== null &&
    "format" in value &&
    value.format === resultFormat &&
    "scenario" in value &&
    typeof value.scenario === "string" &&
    "figures" in value &&
    Array.isArray(value.figures)
  );
}

/** A figure as people read it. */
export function figureText({ value, unit }: Pick<Figure, "value" | "unit">): string {
  if (value === null) return "unknown";
  return `${numberText(value)}${unit === "" ? "" : ` ${unit}`}`;
}

/** Thousands apart, and no more digits than are worth reading. */
export function numberText(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}
