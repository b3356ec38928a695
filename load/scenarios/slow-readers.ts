/**
 * `npm run load -- slow-readers`: a part of the readers stops reading for the middle third of the run. The others must
 * not notice, the server must not store for them, and in the end the slow ones have the newest quotes and every trade.
 */
import type { Command } from "commander";

import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import type { Figure } from "../run/load-result.ts";
import { runScenario } from "../run/run-scenario.ts";
import { addCommonOptions, atLeastOne, type CommonFlags } from "../run/scenario-flags.ts";
import { numberedTopics, plainPlan, type Running, type Scenario } from "../run/scenario.ts";
import { median } from "../run/statistics.ts";

interface Flags extends CommonFlags {
  readonly subscribers: number;
  readonly every: number;
  readonly symbols: number;
  readonly rate: number;
  readonly fill: number;
}

/** Of all messages one in so many is a trade, so that what a stall misses fits the history of 300. */
const quotesPerTrade = 50;

const scenario: Scenario<Flags> = {
  name: "slow-readers",
  options: ({ subscribers, every, symbols, rate, fill, workers }) => ({
    subscribers,
    every,
    symbols,
    rate,
    fill,
    workers,
  }),
  plan({ subscribers, every, symbols, rate, fill, seconds, key = null }, runId) {
    const quotes = numberedTopics("quote", "latest", runId, symbols);
    const topics = [...quotes, ...numberedTopics("trade", "every", runId, 1, symbols)];
    const all = topics.map((_, index) => index);
    const common = { key, seconds, topics };
    return {
      ...plainPlan,
      topics,
      topicsOf: Array.from({ length: subscribers }, () => all),
      // The server ends readers that take nothing for `limits.pendingAgeMsMax`; they come back and resume.
      mayReconnect: true,
      acts: [
        {
          atPart: 1 / 3,
          what: `every ${every}th reader stops reading`,
          run: ({ swarm }) => swarm.stall({ every }),
        },
        { atPart: 2 / 3, what: "they read on", run: ({ swarm }) => swarm.resume() },
      ],
      publishing: (url, books) =>
        new SteadyPublisher(
          {
            ...common,
            url,
            ratePerSec: () => rate,
            fillBytes: fill,
            weightOf: (topic) => (topic === symbols ? 1 : quotesPerTrade / symbols),
          },
          books,
        ),
      figures: (running) => stallFigures(running, seconds),
    };
  },
};

function stallFigures({ timeline }: Running, seconds: number): Figure[] {
  const before = median(timeline.p99s(1, seconds / 3));
  const during = median(timeline.p99s(seconds / 3 + 1, (2 * seconds) / 3));
  const memory = timeline.residentMibs;
  const at = (part: number): number =>
    memory[Math.min(memory.length - 1, Math.floor(memory.length * part))] ?? 0;
  return [
    {
      name: "others-p99-before",
      label: "p99 of a second before, median",
      value: before,
      unit: "ms",
      better: "lower",
    },
    {
      name: "others-p99-during",
      label: "the others' p99 meanwhile, median",
      value: during,
      unit: "ms",
      better: "lower",
    },
    {
      name: "stall-memory",
      label: "server memory gained meanwhile",
      value: memory.length < 3 ? null : at(2 / 3) - at(1 / 3),
      unit: "MiB",
      better: null,
    },
  ];
}

/** Adds the scenario. @param result is given the exit code. */
export function addSlowReadersScenario(program: Command, result: { exitCode: number }): void {
  const command = program
    .command("slow-readers")
    .summary("a part of the readers stops reading: the others go on");
  addCommonOptions(command, 30)
    .option("--subscribers <n>", "readers", atLeastOne, 60)
    .option("--every <n>", "each so many-th one is slow", atLeastOne, 4)
    .option("--symbols <n>", "symbols that each reads", atLeastOne, 20)
    .option("--rate <n>", "messages a second, all symbols together", atLeastOne, 100)
    .option("--fill <bytes>", "filling of each message: sockets must fill up", atLeastOne, 8000)
    .action(async (flags: Flags) => {
      result.exitCode = await runScenario(scenario, flags);
    });
}
