/**
 * The modules that are measured, taken from a build: what ships is what is timed, and two builds can be timed beside
 * each other (`--against`).
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";

/** As much of the hub as the benchmarks drive: the roles of the worker, the broker, sessions and sockets. */
export interface BenchHub {
  opened(name: string, position: null, entries: readonly never[], nowMs: number): void;
  publish(
    topic: string,
    seq: number,
    bytes: Uint8Array,
    origin: string | null,
    nowMs: number,
    start?: number,
    end?: number,
  ): void;
  addReader(id: string, sink: BenchSink, variant: "native" | "batch"): unknown;
  open(topics: readonly BenchTopic[], nowMs: number, done: (logs: readonly unknown[]) => void): unknown;
  remove(reader: unknown, nowMs: number): void;
  settle(reader: unknown, nowMs: number): boolean;
  change(reader: unknown, wishes: readonly BenchWish[], unwanted: readonly never[], nowMs: number): void;
  turn(nowMs: number, budgetMs: number): number;
}

/** A socket whose kernel takes everything. */
export interface BenchSink {
  readonly isWritable: boolean;
  write(bytes: Uint8Array): boolean;
  lostFrame(): null;
  closeForGap(): void;
}

export interface BenchTopic {
  readonly name: string;
  readonly delivery: "latest" | "every";
  readonly samplePerSecMax: number;
  readonly history: null;
}

interface BenchWish {
  readonly log: unknown;
  readonly classMs: number;
}

interface BenchHubOptions {
  readonly ringMessagesMax: number;
  readonly ringBytesMax: number;
  readonly onRingEmptied: () => void;
  readonly lingerMs: number;
  readonly openTimeoutMs: number;
  readonly catchUpBytesMax: number;
  readonly random: () => number;
  readonly wake: (dueMs: number) => void;
}

interface BenchTopicSource {
  open(topic: BenchTopic): void;
  close(topic: string): void;
}

/** The constructor; test/load holds it against the real one. */
export type BenchHubClass = new (options: BenchHubOptions, source: BenchTopicSource) => BenchHub;

/** One build. */
export interface BuiltModules {
  readonly mask: typeof import("../../src/codec/mask.ts");
  readonly reader: typeof import("../../src/codec/message-reader.ts");
  readonly encoder: typeof import("../../src/codec/frame-encoder.ts");
  readonly deflate: typeof import("../../src/codec/deflate.ts");
  readonly json: typeof import("../../src/base/json-scanner.ts");
  readonly envelope: typeof import("../../src/broker/bus-envelope.ts");
  readonly feed: typeof import("../../src/broker/topic-feed.ts");
  readonly openTopic: typeof import("../../src/broker/open-topic.ts");
  readonly intake: typeof import("../../src/broker/message-intake.ts");
  readonly channels: typeof import("../../src/broker/channel-table.ts");
  readonly messages: typeof import("../../src/broker/redis-messages.ts");
  readonly counters: typeof import("../../src/broker/counters.ts");
  readonly Hub: BenchHubClass;
}

/** Loads a build. @param folder its `dist`. @throws CliError when there is none. */
export async function loadBuild(folder: string): Promise<BuiltModules> {
  // Modules of a build have no types of their own here; each is named by the source that it was built from.
  const load = async (path: string): Promise<unknown> => {
    try {
      return await import(pathToFileURL(join(folder, path)).href);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CliError(exitCode.unavailable, `no build in ${folder}: ${reason}`);
    }
  };
  return {
    mask: (await load("codec/mask.js")) as BuiltModules["mask"],
    reader: (await load("codec/message-reader.js")) as BuiltModules["reader"],
    encoder: (await load("codec/frame-encoder.js")) as BuiltModules["encoder"],
    deflate: (await load("codec/deflate.js")) as BuiltModules["deflate"],
    json: (await load("base/json-scanner.js")) as BuiltModules["json"],
    envelope: (await load("broker/bus-envelope.js")) as BuiltModules["envelope"],
    feed: (await load("broker/topic-feed.js")) as BuiltModules["feed"],
    openTopic: (await load("broker/open-topic.js")) as BuiltModules["openTopic"],
    intake: (await load("broker/message-intake.js")) as BuiltModules["intake"],
    channels: (await load("broker/channel-table.js")) as BuiltModules["channels"],
    messages: (await load("broker/redis-messages.js")) as BuiltModules["messages"],
    counters: (await load("broker/counters.js")) as BuiltModules["counters"],
    Hub: ((await load("hub/hub.js")) as { Hub: BenchHubClass }).Hub,
  };
}
