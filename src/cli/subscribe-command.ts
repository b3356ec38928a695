/** `tapecast subscribe`: prints publications, one line each. */
import { type Command, Option } from "commander";

import { topicProblem } from "../base/topic.ts";
import { addExamples, defaultServer, number } from "./command-options.ts";
import { CliError, exitCode } from "./exit-code.ts";
import type { RunResult } from "./program.ts";
import { Subscription } from "./subscription.ts";

interface SubscribeFlags {
  readonly url: string;
  readonly token?: string;
  readonly interval?: number;
  readonly current: boolean;
}

/** Adds the command. */
export function addSubscribeCommand(program: Command, result: RunResult): void {
  const command = program
    .command("subscribe")
    .summary("print publications as lines of JSON")
    .description(
      "Print each publication as one line of JSON, exactly as it was received, until Ctrl-C. Reconnects by itself and " +
        "asks for what it missed. First comes the value that a topic has already.",
    )
    .argument("<topic...>", "topics, by name")
    .option("-u, --url <url>", "the server; the path defaults to /ws", `ws://${defaultServer}`)
    .addOption(new Option("-t, --token <token>", "a token, see tapecast token").env("TAPECAST_TOKEN"))
    .option(
      "-i, --interval <ms>",
      "at most one value per topic in this time, for topics with delivery latest",
      number,
    )
    .option("--no-current", "leave out the values that topics have already")
    .action(async (topics: readonly string[], flags: SubscribeFlags) => {
      result.exitCode = await subscribe(topics, flags);
    });
  addExamples(command, [
    ["tapecast subscribe quote.AAPL quote.MSFT", "two topics of the server on this machine"],
    ['tapecast subscribe trade.AAPL --url wss://tape.example.com --token "$TOKEN"', "with a token"],
    ["tapecast subscribe quote.AAPL | jq .data.price", "prices only"],
  ]);
}

function subscribe(topics: readonly string[], flags: SubscribeFlags): Promise<number> {
  for (const topic of topics) {
    const problem = topicProblem(topic);
    if (problem !== null) throw new CliError(exitCode.usage, `${topic}: ${problem}`);
  }
  const url = endpointOf(flags.url);
  return new Promise((resolve) => {
    const subscription = new Subscription(
      { url, topics, token: flags.token ?? null, intervalMs: flags.interval ?? null, current: flags.current },
      {
        onPublication: (line) => process.stdout.write(`${line}\n`),
        onNotice: (text) => console.error(`tapecast: ${text}`),
        onEnd: ({ isUnreachable, reason }) => {
          console.error(`tapecast: ${isUnreachable ? `cannot reach ${url}: ` : ""}${reason}`);
          resolve(isUnreachable ? exitCode.unavailable : exitCode.failed);
        },
      },
    );
    process.stdout.on("drain", () => subscription.resume());
    const stop = (): void => {
      subscription.stop();
      resolve(exitCode.ok);
    };
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
  });
}

/** `http` is taken for `ws`: people copy the address of the page. A token never goes into the URL. */
function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text.replace(/^http/u, "ws")) : null;
  if (url === null || (url.protocol !== "ws:" && url.protocol !== "wss:")) {
    throw new CliError(exitCode.usage, `--url must be ws://… or wss://…, not ${text}`);
  }
  if (url.pathname === "/") url.pathname = "/ws";
  return url.href;
}
