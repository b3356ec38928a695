/** `tapecast publish`: one message from the command line, or a stream of them from standard input. */
import type { Command } from "commander";

import { isJson, objectMembers } from "../base/json-scanner.ts";
import { Batcher } from "./batcher.ts";
import { addExamples, addTargetOptions, publisherOf, type TargetFlags } from "./command-options.ts";
import { CliError, exitCode } from "./exit-code.ts";
import { type InputLine, splitInput } from "./line-splitter.ts";
import type { RunResult } from "./program.ts";
import { createProgress, type Progress } from "./progress.ts";
import type { Message, Outcome, Publisher } from "./publisher.ts";

/** Longer lines are refused unread; the server's own limit is far below. */
const lineBytesMax = 16_777_216;

/** Adds the command. */
export function addPublishCommand(program: Command, result: RunResult): void {
  const command = addTargetOptions(program.command("publish"))
    .summary("publish one message, or one per line of standard input")
    .description(
      "Publish one message, or one per line of standard input. A refused line is named on standard error with its " +
        "number and the reason; the others are published, and the exit code is 1.",
    )
    .argument("<topic>", "the topic; - when each line is an object with topic and data")
    .argument("[json]", "the message, one JSON value; left out: one per line of standard input")
    .action(async (topic: string, json: string | undefined, flags: TargetFlags) => {
      if (json !== undefined) checkArguments(topic, json);
      const publisher = await publisherOf(flags);
      try {
        if (json === undefined) result.exitCode = await publishInput(topic, publisher);
        else result.exitCode = await publishOne({ topic, data: Buffer.from(json) }, publisher);
      } finally {
        await publisher.close();
      }
    });
  addExamples(command, [
    [`tapecast publish quote.AAPL '{"price":189.30}'`, "one message"],
    ["some-feed | tapecast publish -", 'lines such as {"topic":"quote.AAPL","data":{"price":189.30}}'],
    ["tail -f trades.ndjson | tapecast publish trade.AAPL", "each line is the message itself"],
    [`tapecast publish --redis redis://127.0.0.1:6379 chat.lobby '"hi"'`, "past the server, into its Redis"],
  ]);
}

function checkArguments(topic: string, json: string): void {
  if (topic === "-")
    throw new CliError(exitCode.usage, "with - for the topic, messages come from standard input");
  if (isJson(Buffer.from(json))) return;
  throw new CliError(exitCode.usage, "the message is not JSON; a text needs quotes of its own: '\"text\"'");
}

async function publishOne(message: Message, publisher: Publisher): Promise<number> {
  const [outcome] = await publisher.publish([message]);
  if (outcome === undefined) return exitCode.failed;
  if (!outcome.accepted) {
    console.error(`tapecast: ${refusalText(outcome)}`);
    return exitCode.failed;
  }
  const { topic, epoch, seq } = outcome;
  console.log(JSON.stringify(epoch === null ? { topic } : { topic, epoch, seq }));
  return exitCode.ok;
}

/** Publishes standard input to its end, however long that takes. */
async function publishInput(topic: string, publisher: Publisher): Promise<number> {
  const input = new InputRun(topic, publisher);
  process.once("SIGINT", stopReading);
  process.once("SIGTERM", stopReading);
  try {
    return await input.run(process.stdin);
  } finally {
    process.off("SIGINT", stopReading);
    process.off("SIGTERM", stopReading);
    stopReading();
  }
}

/** A signal ends the input; what was read is still published. */
function stopReading(): void {
  process.stdin.destroy();
}

/** One stream of lines on its way. */
class InputRun {
  readonly #topic: string;
  readonly #batcher: Batcher;
  readonly #progress: Progress = createProgress("published", null);
  #published = 0;
  #refused = 0;
  #fatal: { readonly error: unknown } | null = null;
  #stopReading: () => void = () => undefined;

  constructor(topic: string, publisher: Publisher) {
    this.#topic = topic;
    this.#batcher = new Batcher(publisher);
  }

  /** @returns the exit code. @throws what the publisher threw when going on was useless. */
  async run(input: NodeJS.ReadStream): Promise<number> {
    this.#stopReading = () => void input.destroy();
    try {
      for await (const line of splitInput(input, lineBytesMax)) {
        this.#take(line);
        await this.#batcher.room();
        if (this.#fatal !== null) break;
      }
    } catch (error) {
      // Destroying the input, on a signal or on our own failure, ends the loop this way.
      if (!isPrematureClose(error)) throw error;
    }
    await this.#batcher.idle();
    this.#progress.stop();
    if (this.#fatal !== null) throw this.#fatal.error;
    console.error(`published ${this.#published}${this.#refused === 0 ? "" : `, refused ${this.#refused}`}`);
    return this.#refused === 0 ? exitCode.ok : exitCode.failed;
  }

  #take(line: InputLine): void {
    if (line.bytes !== null && isBlank(line.bytes)) return;
    const message = messageOf(line, this.#topic);
    if (typeof message === "string") return this.#refuse(line.number, message);
    this.#batcher.add(message).then(
      (outcome) => {
        if (!outcome.accepted) return this.#refuse(line.number, refusalText(outcome));
        this.#published += 1;
        this.#progress.update(this.#published);
      },
      (error: unknown) => {
        this.#fatal ??= { error };
        this.#stopReading();
      },
    );
  }

  #refuse(lineNumber: number, reason: string): void {
    this.#refused += 1;
    this.#progress.note(`line ${lineNumber}: ${reason}`);
  }
}

/** The message of a line, or why it is none. `data` is found, not parsed: it is published byte for byte. */
function messageOf(line: InputLine, topic: string): Message | string {
  const { bytes } = line;
  if (bytes === null) return `too_large: longer than ${lineBytesMax} bytes`;
  if (topic !== "-") return isJson(bytes) ? { topic, data: bytes } : "bad_request: not a JSON value";
  const members = objectMembers(bytes);
  const name = members?.get("topic");
  const data = members?.get("data");
  if (members === null || name === undefined || data === undefined || members.size > 2) {
    return 'bad_request: not an object of "topic" and "data"';
  }
  const value: unknown = JSON.parse(Buffer.from(bytes.subarray(name.start, name.end)).toString("utf8"));
  if (typeof value !== "string") return "bad_topic: a topic is a string";
  return { topic: value, data: bytes.subarray(data.start, data.end) };
}

function refusalText(outcome: Outcome & { readonly accepted: false }): string {
  return outcome.reason === "" ? outcome.code : `${outcome.code}: ${outcome.reason}`;
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

function isPrematureClose(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE";
}
