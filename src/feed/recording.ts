/**
 * A recording: publications with the times at which they were made, in time order. Read from CSV (csv-recording.ts)
 * or NDJSON (ndjson-recording.ts). Not here: when they are published again, see replay-schedule.ts.
 */
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { readProblem } from "../base/system-problem.ts";
import { csvRecords } from "./csv-recording.ts";
import { ndjsonRecords } from "./ndjson-recording.ts";
import { RecordingError } from "./recording-error.ts";
import type { RecordedTime } from "./recorded-time.ts";

/** One publication of a recording. */
export interface RecordedPublication {
  readonly time: RecordedTime;
  readonly topic: string;
  /** One JSON value; numbers with the digits of the recording. */
  readonly data: Uint8Array;
}

export interface Recording {
  /** In time order; of the same time in the order of the file. Never empty. */
  readonly publications: readonly RecordedPublication[];
  /** True when no time of day is recorded: then the distances between dates mean little. */
  readonly isDatesOnly: boolean;
  /** How much recorded time passes in one second at speed 1 (docs/CLI.md, replay). */
  readonly recordedMsPerSec: number;
}

/** The files that come with Tapecast. From `dist/feed` and from `src/feed` it is the same place. */
export const recordedFiles: readonly string[] = ["stocks.csv", "sp500-2000.csv"].map((name) =>
  fileURLToPath(new URL(`../../src/feed/data/${name}`, import.meta.url)),
);

/** A recording is sorted in memory, so it must fit there. */
const fileBytesMax = 536_870_912;

/** Reads a file by its extension: `.csv`, or `.ndjson` and `.jsonl`. @throws RecordingError naming file and line. */
export function readRecording(file: string): Recording {
  let bytes: Uint8Array;
  try {
    if (statSync(file).size > fileBytesMax)
      throw new RecordingError(`${file}: larger than ${fileBytesMax} bytes`);
    bytes = readFileSync(file);
  } catch (error) {
    if (error instanceof RecordingError) throw error;
    throw new RecordingError(`${file}: ${readProblem(error)}`);
  }
  return parseRecording(file, bytes);
}

/** As `readRecording`, of bytes that are kept by the result. */
export function parseRecording(file: string, bytes: Uint8Array): Recording {
  const isCsv = /\.csv$/iu.test(file);
  if (!isCsv && !/\.(?:ndjson|jsonl)$/iu.test(file)) {
    throw new RecordingError(`${file}: the name must end with .csv, .ndjson or .jsonl`);
  }
  const publications = isCsv ? csvRecords(file, bytes) : ndjsonRecords(file, bytes);
  if (publications.length === 0) throw new RecordingError(`${file}: there are no prices in it`);
  publications.sort((one, other) => one.time.ms - other.time.ms);
  const isDatesOnly = publications.every((publication) => publication.time.isDate);
  return { publications, isDatesOnly, recordedMsPerSec: isDatesOnly ? stepOf(publications) : 1000 };
}

/**
 * A recording with times of day has a pace of its own: one second is one second. Dates have none, and nobody waits a
 * month for the next price: there the usual distance between two dates of a topic (a month, a day) takes one second.
 */
function stepOf(publications: readonly RecordedPublication[]): number {
  const lastMs = new Map<string, number>();
  const gapsMs: number[] = [];
  for (const { topic, time } of publications) {
    const previousMs = lastMs.get(topic);
    if (previousMs !== undefined && time.ms > previousMs) gapsMs.push(time.ms - previousMs);
    lastMs.set(topic, time.ms);
  }
  gapsMs.sort((one, other) => one - other);
  return gapsMs[Math.floor(gapsMs.length / 2)] ?? 86_400_000;
}
