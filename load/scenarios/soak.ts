/**
 * `npm run load -- soak`: a bit of everything for a long time: quotes, trades, a danmaku room, and users who come and go.
 * Looks for what only time shows: memory that grows, latency that rises, a message that is lost in a million.
 */
import type { Command } from "commander";

import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import type { Figure } from "../run/load-result.ts";
import { runScenario } from "../run/run-scenario.ts";
import { addCommonOptions, atLeastOne, type CommonFlags } from "../run/scenario-flags.ts";
import { numberedTopics, plainPlan, type Act, type Scenario } from "../run/scenario.ts";
import { slope } from "../run/statistics.ts";

interface Flags extends CommonFlags {
  readonly subscribers: number;
  readonly rate: number;
  readonly churnSec: number;
  readonly growthMax?: number;
}

const quoteCount = 40;
const tradeCount = 4;
/** Users that come and go; none of them is in the danmaku room, where a reader who was away is told nothing. */
const churners = { every: 10 };

const scenario: Scenario<Flags> = {
  name: "soak",
  options: ({ subscribers, rate, churnSec, workers }) => ({ subscribers, rate, churnSec, workers }),
  plan({ subscribers, rate, churnSec, growthMax, seconds, key = null }, runId) {
    const topics = [
      ...numberedTopics("quote", "latest", runId, quoteCount),
      ...numberedTopics("trade", "every", runId, tradeCount, quoteCount),
      ...numberedTopics("danmaku", "sample", runId, 1, quoteCount + tradeCount),
    ];
    const all = topics.map((_, index) => index);
    return {
      ...plainPlan,
      topics,
      topicsOf: Array.from({ length: subscribers }, (_, client) =>
        client % churners.every === 0 ? all.slice(0, -1) : all,
      ),
      mayReconnect: true,
      acts: churn(seconds, churnSec),
      publishing: (url, books) =>
        new SteadyPublisher({ url, key, topics, seconds, ratePerSec: () => rate, fillBytes: 80 }, books),
      figures: ({ timeline }): Figure[] => [
        {
          name: "memory-growth",
          label: "server memory growth, last two thirds",
          value: growth(timeline.residentMibs),
          unit: "MiB a minute",
          better: null,
        },
      ],
      problems: ({ timeline }) => {
        const found = growth(timeline.residentMibs);
        if (growthMax === undefined || found === null || found <= growthMax) return [];
        return [`the server's memory grew by ${found.toFixed(1)} MiB a minute, more than ${growthMax}`];
      },
    };
  },
};

/** MiB a minute; null when the run is too short to say. */
function growth(memory: readonly number[]): number | null {
  // The first third warms up: code is compiled, heaps find their size.
  return memory.length < 9 ? null : slope(memory.slice(Math.floor(memory.length / 3))) * 60;
}

function churn(seconds: number, churnSec: number): Act[] {
  const count = Math.max(0, Math.ceil(seconds / churnSec) - 1);
  return Array.from({ length: count }, (_, index) => ({
    atPart: ((index + 1) * churnSec) / seconds,
    // Noted once: a long run has hundreds of them.
    what: index === 0 ? `each ${churners.every}th user leaves and comes back, every ${churnSec} s` : null,
    run: ({ swarm }) => swarm.cut(churners, (churnSec * 1000) / 4),
  }));
}

/** Adds the scenario. @param result is given the exit code. */
export function addSoakScenario(program: Command, result: { exitCode: number }): void {
  const command = program
    .command("soak")
    .summary("a bit of everything for long: leaks, rising latency, rare losses");
  addCommonOptions(command, 300)
    .option("--subscribers <n>", "users", atLeastOne, 200)
    .option("--rate <n>", "messages a second, all topics together", atLeastOne, 200)
    .option("--churn-sec <n>", "seconds between two leavings of a tenth of the users", atLeastOne, 10)
    .option("--growth-max <mib>", "fail when memory grows by more than so many MiB a minute", atLeastOne)
    .action(async (flags: Flags) => {
      result.exitCode = await runScenario(scenario, flags);
    });
}
