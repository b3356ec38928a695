/**
 * `npm run load -- quote-fanout`: many users, each with a board of quotes out of many symbols. Values may be replaced
 * by newer ones, never by older ones, and each user must end on the newest of each symbol.
 */
import type { Command } from "commander";

import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import { runScenario } from "../run/run-scenario.ts";
import { addCommonOptions, atLeastOne, type CommonFlags } from "../run/scenario-flags.ts";
import { numberedTopics, plainPlan, type Scenario } from "../run/scenario.ts";

interface Flags extends CommonFlags {
  readonly subscribers: number;
  readonly symbols: number;
  readonly board: number;
  readonly rate: number;
  readonly fill: number;
  readonly interval?: number;
  readonly batch?: true;
}

const scenario: Scenario<Flags> = {
  name: "quote-fanout",
  options: ({ subscribers, symbols, board, rate, fill, interval = 0, batch, workers }) => ({
    subscribers,
    symbols,
    board,
    rate,
    fill,
    interval,
    batch: batch === true ? "yes" : "no",
    workers,
  }),
  plan({ subscribers, symbols, board, rate, fill, interval, batch, seconds, key = null }, runId) {
    const topics = numberedTopics("quote", "latest", runId, symbols);
    const query = [
      ...(interval === undefined ? [] : [`interval=${interval}`]),
      ...(batch === true ? ["batch=1"] : []),
    ].join("&");
    return {
      ...plainPlan,
      topics,
      query,
      topicsOf: Array.from({ length: subscribers }, (_, client) => boardOf(client, board, symbols)),
      publishing: (url, books) =>
        new SteadyPublisher({ url, key, topics, seconds, ratePerSec: () => rate, fillBytes: fill }, books),
    };
  },
};

/** Boards overlap: every tenth of the users has the same one, as pages have. */
function boardOf(client: number, board: number, symbols: number): number[] {
  const first = (client % 10) * board;
  return Array.from({ length: Math.min(board, symbols) }, (_, place) => (first + place) % symbols);
}

/** Adds the scenario. @param result is given the exit code. */
export function addQuoteFanoutScenario(program: Command, result: { exitCode: number }): void {
  const command = program
    .command("quote-fanout")
    .summary("boards of quotes for many users, newest value wins");
  addCommonOptions(command, 20)
    .option("--subscribers <n>", "users", atLeastOne, 1000)
    .option("--symbols <n>", "symbols, each a topic", atLeastOne, 200)
    .option("--board <n>", "symbols that a user watches", atLeastOne, 20)
    .option("--rate <n>", "quotes a second, all symbols together", atLeastOne, 400)
    .option("--fill <bytes>", "filling of each quote", atLeastOne, 100)
    .option(
      "--interval <ms>",
      "rate class of the users: at most one value per symbol in this time",
      atLeastOne,
    )
    .option("--batch", "the quotes of one flush in one message")
    .action(async (flags: Flags) => {
      result.exitCode = await runScenario(scenario, flags);
    });
}
