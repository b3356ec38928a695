/**
 * `npm run load -- connect-storm`: everybody comes at once, while messages are published. How long does it take from the
 * connect to the answered subscribe, and does each newcomer get everything from there on?
 */
import type { Command } from "commander";

import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import { msFigure } from "../run/figure-kinds.ts";
import type { Figure } from "../run/load-result.ts";
import { runScenario } from "../run/run-scenario.ts";
import { addCommonOptions, atLeastOne, type CommonFlags } from "../run/scenario-flags.ts";
import { numberedTopics, plainPlan, type Running, type Scenario } from "../run/scenario.ts";

interface Flags extends CommonFlags {
  readonly connections: number;
  readonly atOnce: number;
  readonly rate: number;
}

const topicCount = 4;

const scenario: Scenario<Flags> = {
  name: "connect-storm",
  options: ({ connections, atOnce, rate, workers }) => ({ connections, atOnce, rate, workers }),
  plan({ connections, atOnce, rate, seconds, processes, key = null }, runId) {
    const topics = numberedTopics("trade", "every", runId, topicCount);
    return {
      ...plainPlan,
      topics,
      topicsOf: Array.from({ length: connections }, (_, client) => [client % topicCount]),
      atOnce: Math.ceil(atOnce / processes),
      opensMeanwhile: true,
      publishing: (url, books) =>
        new SteadyPublisher({ url, key, topics, seconds, ratePerSec: () => rate, fillBytes: 60 }, books),
      figures: (running) => openingFigures(running, connections),
      problems: ({ timeline }) => {
        const { count } = timeline.opening.summary();
        return count === connections ? [] : [`${count} of ${connections} connections were made in time`];
      },
    };
  },
};

function openingFigures({ timeline }: Running, connections: number): Figure[] {
  const { p50, p99, max } = timeline.opening.summary();
  const open = timeline.plots().find(({ title }) => title === "Connections")?.lines[0]?.values ?? [];
  const fullAt = timeline.atSeconds[open.findIndex((count) => count === connections)] ?? null;
  const before = timeline.residentMibBefore;
  const after = timeline.residentMibs.at(-1);
  return [
    msFigure("subscribed-p50", "connect to subscribed p50", p50),
    msFigure("subscribed-p99", "connect to subscribed p99", p99),
    msFigure("subscribed-max", "connect to subscribed max", max),
    { name: "all-in", label: "all in after", value: fullAt, unit: "s", better: "lower" },
    {
      name: "memory-per-connection",
      label: "server memory for each connection",
      value: before === null || after === undefined ? null : ((after - before) * 1024) / connections,
      unit: "KiB",
      better: null,
    },
  ];
}

/** Adds the scenario. @param result is given the exit code. */
export function addConnectStormScenario(program: Command, result: { exitCode: number }): void {
  const command = program
    .command("connect-storm")
    .summary("everybody connects at once, while messages go out");
  addCommonOptions(command, 15)
    .option("--connections <n>", "how many come", atLeastOne, 3000)
    .option("--at-once <n>", "in the making at the same time", atLeastOne, 500)
    .option("--rate <n>", "messages a second meanwhile", atLeastOne, 20)
    .action(async (flags: Flags) => {
      result.exitCode = await runScenario(scenario, flags);
    });
}
