/** `tapecast top`: a running cluster at a glance, renewed every few seconds. */
import { styleText } from "node:util";

import { type Command } from "commander";

import { connectionSorts, topicSorts } from "../base/insight.ts";
import { networkProblem } from "../base/system-problem.ts";
import { addExamples, positiveNumber } from "./command-options.ts";
import { CliError, exitCode } from "./exit-code.ts";
import { httpGet } from "./http-get.ts";
import type { RunResult } from "./program.ts";
import { Scrape } from "./scrape.ts";
import { topView, type TopReading } from "./top-figures.ts";
import { topScreen, type ScreenLine, type ScreenSize } from "./top-screen.ts";

interface TopFlags {
  readonly url: string;
  readonly interval: number;
  readonly once?: boolean;
}

/** The server gives its workers 1.5 s to answer. */
const answerTimeoutMs = 5000;
/** Of each list; more than a tall terminal shows. */
const listLimit = 100;
/** Rates are over at most so many readings. */
const readingsMax = 4;
const keysText = "q quits   s sorts the connections by something else   t the topics";
/** Width where nobody says how wide it is. */
const plainColumns = 110;

/** Adds the command. */
export function addTopCommand(program: Command, result: RunResult): void {
  const command = program
    .command("top")
    .summary("watch a running server")
    .description(
      "Show what a running server does: its workers, rates, latency, slow readers, largest topics and slowest " +
        "connections. Reads the admin port. On a terminal q quits, s and t sort connections and topics by something else; elsewhere the same is printed as text.",
    )
    .option("-u, --url <url>", "the admin port of the server", "http://127.0.0.1:9464")
    .option("-i, --interval <seconds>", "between two readings", positiveNumber, 2)
    .option("--once", "print it once and end")
    .action(async (flags: TopFlags) => {
      await new Top(flags).run();
      result.exitCode = exitCode.ok;
    });
  addExamples(command, [
    ["tapecast top", "the server on this machine"],
    ["tapecast top --url http://10.0.0.5:9464 --interval 5", "another one, every five seconds"],
    ["tapecast top --once", "for a script or a ticket"],
  ]);
}

class Top {
  readonly #url: URL;
  readonly #intervalMs: number;
  readonly #isOnce: boolean;
  /** Keys and a screen of its own. */
  readonly #isLive: boolean;
  readonly #readings: TopReading[] = [];
  #connectionSort = 0;
  #topicSort = 0;
  #isEnding = false;
  /** Ends the wait for the next reading. */
  #wake: () => void = () => undefined;
  #trouble: string | null = null;

  constructor({ url, interval, once }: TopFlags) {
    const parsed = URL.canParse(url) ? new URL(url) : null;
    if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) {
      throw new CliError(exitCode.usage, `--url must be http://… or https://…, not ${url}`);
    }
    this.#url = parsed;
    this.#intervalMs = interval * 1000;
    this.#isOnce = once === true;
    this.#isLive = !this.#isOnce && process.stdout.isTTY && process.stdin.isTTY;
  }

  async run(): Promise<void> {
    // The first reading says whether there is anything to watch.
    this.#readings.push(await this.#read());
    const stop = (): void => this.#end();
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
    if (this.#isLive) this.#openScreen();
    try {
      if (this.#isLive) this.#draw();
      while (!this.#isEnding) {
        await this.#wait();
        if (this.#isEnding) break;
        await this.#readAgain();
        this.#show();
        if (this.#isOnce) break;
      }
    } finally {
      if (this.#isLive) this.#closeScreen();
      process.off("SIGINT", stop);
      process.off("SIGTERM", stop);
    }
  }

  #end(): void {
    this.#isEnding = true;
    this.#wake();
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#intervalMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #read(): Promise<TopReading> {
    const sort = connectionSorts[this.#connectionSort] ?? "lag";
    const topicSort = topicSorts[this.#topicSort] ?? "subscribers";
    const [metrics, workers, connections, topics] = await Promise.all([
      this.#get("/metrics"),
      this.#get("/workers"),
      this.#get(`/connections?sort=${sort}&limit=${listLimit}`),
      this.#get(`/topics?sort=${topicSort}&limit=${listLimit}`),
    ]);
    return {
      atMs: performance.now(),
      scrape: new Scrape(metrics),
      workers: JSON.parse(workers),
      connections: JSON.parse(connections),
      topics: JSON.parse(topics),
    };
  }

  /** A server that is away for a while is waited for: that is when people watch. Not by a script. */
  async #readAgain(): Promise<void> {
    try {
      this.#readings.push(await this.#read());
      if (this.#readings.length > readingsMax) this.#readings.shift();
      this.#trouble = null;
    } catch (error) {
      if (!this.#isLive || !(error instanceof CliError)) throw error;
      this.#trouble = error.message;
    }
  }

  async #get(path: string): Promise<string> {
    const url = new URL(path, this.#url);
    const { status, body } = await httpGet(url, answerTimeoutMs).catch((error: unknown) => {
      throw new CliError(exitCode.unavailable, `cannot reach ${url.origin}: ${networkProblem(error)}`);
    });
    if (status === 200) return body;
    throw new CliError(
      exitCode.failed,
      `${url.href} answered ${status}: is this the admin port (admin.port) of a Tapecast server?`,
    );
  }

  #show(): void {
    if (this.#isLive) {
      this.#draw();
      return;
    }
    const lines = this.#lines(
      { columns: process.stdout.columns ?? plainColumns, rows: Number.POSITIVE_INFINITY },
      "",
    );
    const text = lines.map((line) => line.text).join("\n");
    process.stdout.write(this.#isOnce ? `${text}\n` : `${text}\n\n`);
  }

  #lines(size: ScreenSize, keys: string): ScreenLine[] {
    const now = this.#readings.at(-1);
    if (now === undefined) return [];
    const [oldest] = this.#readings;
    const view = topView(oldest === now ? null : (oldest ?? null), now);
    const time = new Date().toTimeString().slice(0, 8);
    return topScreen(view, size, { url: this.#url.origin, time, keys });
  }

  #draw(): void {
    const { columns, rows } = process.stdout;
    const lines = this.#lines({ columns, rows }, keysText);
    if (this.#trouble !== null) lines.splice(1, 1, { text: `! ${this.#trouble}`, kind: "alarm" });
    const screen = lines.slice(0, rows).map(({ text, kind }) => `${styled(text, kind)}\u001b[K`);
    // From the top left, line by line, and what is below is cleared: no flicker.
    process.stdout.write(`\u001b[H${screen.join("\r\n")}\u001b[J`);
  }

  readonly #onKey = (bytes: Buffer): void => {
    const key = bytes.toString();
    // In raw mode Ctrl-C is a key like others.
    if (key === "q" || key === "\u0003" || key === "\u001b") this.#end();
    if (key === "s") this.#connectionSort = (this.#connectionSort + 1) % connectionSorts.length;
    if (key === "t") this.#topicSort = (this.#topicSort + 1) % topicSorts.length;
    if (key === "s" || key === "t" || key === " ") this.#wake();
  };

  readonly #onResize = (): void => this.#draw();

  #openScreen(): void {
    process.stdout.write("\u001b[?1049h\u001b[?25l");
    process.stdin.setRawMode(true);
    process.stdin.on("data", this.#onKey);
    process.stdin.resume();
    process.stdout.on("resize", this.#onResize);
  }

  #closeScreen(): void {
    process.stdout.off("resize", this.#onResize);
    process.stdin.off("data", this.#onKey);
    process.stdin.setRawMode(false);
    process.stdin.pause();
    process.stdout.write("\u001b[?25h\u001b[?1049l");
  }
}

function styled(text: string, kind: ScreenLine["kind"]): string {
  if (kind === "plain" || process.env["NO_COLOR"] !== undefined) return text;
  return kind === "heading" ? styleText("bold", text) : styleText("red", text);
}
