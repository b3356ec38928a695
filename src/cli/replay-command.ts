/** `tapecast replay`: publishes a recording again at its pace. */
import type { Command } from "commander";

import { systemClock } from "../base/clock.ts";
import { readRecording } from "../feed/recording.ts";
import { playRecordings } from "../feed/replay.ts";
import { Batcher } from "./batcher.ts";
import {
  addExamples,
  addTargetOptions,
  positiveNumber,
  publisherOf,
  type TargetFlags,
} from "./command-options.ts";
import { exitCode } from "./exit-code.ts";
import type { RunResult } from "./program.ts";
import { createProgress } from "./progress.ts";
import type { Publisher } from "./publisher.ts";

interface ReplayFlags extends TargetFlags {
  readonly speed: number;
  readonly loop?: boolean;
}

/** Adds the command. */
export function addReplayCommand(program: Command, result: RunResult): void {
  const command = addTargetOptions(program.command("replay"))
    .summary("replay recorded prices into quote.* topics")
    .description(
      "Replay recorded prices into quote.* topics in time order. CSV: a header with date or time, price or close, and " +
        "perhaps symbol (else the file's name is the symbol), open, high, low, volume. NDJSON: {topic,time,data} or " +
        "{symbol,price,time,…} on each line. Numbers keep their digits.",
    )
    .argument("<file>", "a .csv, .ndjson or .jsonl file")
    .option(
      "-x, --speed <n>",
      "times faster than recorded; in a recording of dates without times of day, one step (a day, a month) takes 1/n second",
      positiveNumber,
      1,
    )
    .option("-l, --loop", "begin again at the end, until Ctrl-C")
    .action(async (file: string, flags: ReplayFlags) => {
      const publisher = await publisherOf(flags);
      try {
        result.exitCode = await replay(file, flags, publisher);
      } finally {
        await publisher.close();
      }
    });
  addExamples(command, [
    ["tapecast replay src/feed/data/stocks.csv --speed 2 --loop", "two months a second, for ever"],
    ["tapecast replay ticks.ndjson --speed 10", "recorded ticks, ten times as fast"],
    ["tapecast replay prices.csv --redis redis://127.0.0.1:6379", "into Redis, past the server"],
  ]);
}

async function replay(file: string, flags: ReplayFlags, publisher: Publisher): Promise<number> {
  const recording = readRecording(file);
  const loop = flags.loop ?? false;
  const batcher = new Batcher(publisher);
  const progress = createProgress("replayed", loop ? null : recording.publications.length);
  let refused = 0;
  let published = 0;
  let fatal: { readonly error: unknown } | null = null;
  const player = playRecordings([recording], {
    source: [file],
    speed: flags.speed,
    loop,
    clock: systemClock,
    publish: async (topic, data) => {
      const outcome = await batcher.add({ topic, data });
      if (outcome.accepted) {
        published += 1;
      } else {
        refused += 1;
        progress.note(`${topic}: ${outcome.code}: ${outcome.reason}`);
      }
      progress.update(published);
    },
    onFailure: (error) => {
      fatal ??= { error };
      player.stop();
    },
  });
  const stop = (): void => player.stop();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  await player.done;
  await batcher.idle();
  progress.stop();
  process.off("SIGINT", stop);
  process.off("SIGTERM", stop);
  throwIfSet(fatal);
  console.error(`replayed ${published}${refused === 0 ? "" : `, refused ${refused}`}`);
  return refused === 0 ? exitCode.ok : exitCode.failed;
}

/** In a function of its own, since the compiler does not see that a callback sets the variable. */
function throwIfSet(fatal: { readonly error: unknown } | null): void {
  if (fatal !== null) throw fatal.error;
}
