/**
 * `npm run load -- publish`: does every accepted message arrive? autocannon publishes numbered messages over HTTP,
 * subscribers over WebSocket check that each one that was answered with a position arrives at each of them, in
 * order, once.
 */
import type { Command } from "commander";

import { HttpPublishers } from "../publishing/http-publishers.ts";
import { runScenario } from "../run/run-scenario.ts";
import { addCommonOptions, atLeastOne, type CommonFlags } from "../run/scenario-flags.ts";
import { numberedTopics, plainPlan, type Scenario } from "../run/scenario.ts";

interface Flags extends CommonFlags {
  readonly subscribers: number;
  readonly publishers: number;
  readonly rate: number;
  readonly batch: number;
  readonly fill: number;
}

const scenario: Scenario<Flags> = {
  name: "publish",
  options: ({ subscribers, publishers, rate, batch, fill, workers }) => ({
    subscribers,
    publishers,
    rate,
    batch,
    fill,
    workers,
  }),
  plan({ subscribers, publishers, rate, batch, fill, seconds, key = null }, runId) {
    const topics = numberedTopics("trade", "every", runId, publishers);
    const all = topics.map((_, index) => index);
    return {
      ...plainPlan,
      topics,
      topicsOf: Array.from({ length: subscribers }, () => all),
      publishing: (url, books) =>
        new HttpPublishers(
          {
            url,
            key,
            seconds,
            topics: topics.map(({ name }) => name),
            ratePerSec: rate,
            batchLines: batch,
            fillBytes: fill,
          },
          books,
        ),
    };
  },
};

/** Adds the scenario. @param result is given the exit code. */
export function addPublishScenario(program: Command, result: { exitCode: number }): void {
  const command = program
    .command("publish")
    .summary("autocannon publishes, every accepted message must arrive");
  addCommonOptions(command, 10)
    .option("--subscribers <n>", "WebSocket connections that check", atLeastOne, 20)
    .option("--publishers <n>", "HTTP connections; every other one sends NDJSON", atLeastOne, 4)
    .option("--rate <n>", "messages a second, all publishers together", atLeastOne, 500)
    .option("--batch <n>", "lines of an NDJSON request, at most 1000", atLeastOne, 10)
    .option("--fill <bytes>", "filling of each message", atLeastOne, 100)
    .action(async (flags: Flags) => {
      result.exitCode = await runScenario(scenario, flags);
    });
}
