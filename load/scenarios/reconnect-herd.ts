/**
 * `npm run load -- reconnect-herd`: in the middle of a stream all connections are cut at once and come back at once,
 * then a worker is killed. Everybody resumes where he was: nothing is missing, nothing comes twice.
 */
import type { Command } from "commander";

import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import { msFigure } from "../run/figure-kinds.ts";
import type { Figure } from "../run/load-result.ts";
import { processTree } from "../bench/proc.ts";
import { runScenario } from "../run/run-scenario.ts";
import { addCommonOptions, atLeastOne, type CommonFlags } from "../run/scenario-flags.ts";
import { numberedTopics, plainPlan, type Running, type Scenario } from "../run/scenario.ts";

interface Flags extends CommonFlags {
  readonly connections: number;
  readonly spread: number;
  readonly rate: number;
  readonly topics: number;
}

const scenario: Scenario<Flags> = {
  name: "reconnect-herd",
  options: ({ connections, spread, rate, topics, workers }) => ({
    connections,
    spread,
    rate,
    topics,
    workers,
  }),
  plan({ connections, spread, rate, topics: topicCount, seconds, key = null }, runId) {
    const topics = numberedTopics("trade", "every", runId, topicCount);
    return {
      ...plainPlan,
      topics,
      topicsOf: Array.from({ length: connections }, (_, client) => [client % topicCount]),
      mayReconnect: true,
      acts: [
        {
          atPart: 1 / 3,
          what: "all connections are cut",
          run: ({ swarm }) => swarm.cut({ every: 1 }, spread),
        },
        { atPart: 2 / 3, what: "a worker is killed", run: killWorker },
      ],
      publishing: (url, books) =>
        new SteadyPublisher({ url, key, topics, seconds, ratePerSec: () => rate, fillBytes: 60 }, books),
      figures: returnFigures,
    };
  },
};

/** Only of a server of ours: its primary must replace it. */
async function killWorker({ server, timeline }: Running): Promise<void> {
  const worker = server === null ? undefined : processTree(server.pid)[1];
  if (worker === undefined) timeline.note("no worker was killed: the server is not ours");
  else process.kill(worker, "SIGKILL");
}

function returnFigures({ timeline }: Running): Figure[] {
  const { p50, p99, max } = timeline.opening.summary();
  return [
    msFigure("back-p50", "connect to resumed p50", p50),
    msFigure("back-p99", "connect to resumed p99", p99),
    msFigure("back-max", "connect to resumed max", max),
  ];
}

/** Adds the scenario. @param result is given the exit code. */
export function addReconnectHerdScenario(program: Command, result: { exitCode: number }): void {
  const command = program
    .command("reconnect-herd")
    .summary("all are cut at once and resume; then a worker dies");
  addCommonOptions(command, 21)
    .option("--connections <n>", "how many", atLeastOne, 1000)
    .option("--spread <ms>", "over how long those that were cut come back", atLeastOne, 500)
    .option("--rate <n>", "messages a second meanwhile", atLeastOne, 80)
    .option("--topics <n>", "topics, each connection has one", atLeastOne, 4)
    .action(async (flags: Flags) => {
      result.exitCode = await runScenario(scenario, flags);
    });
}
