/**
 * `npm run load -- danmaku-burst`: one room, calm, then a burst far above what a reader is given, then calm again.
 * What each reader got and what it was told to have missed must add up to what was accepted.
 */
import type { Command } from "commander";

import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import type { Figure } from "../run/load-result.ts";
import { runScenario } from "../run/run-scenario.ts";
import { addCommonOptions, atLeastOne, type CommonFlags } from "../run/scenario-flags.ts";
import { numberedTopics, plainPlan, type Scenario } from "../run/scenario.ts";
import { highest } from "../run/statistics.ts";

interface Flags extends CommonFlags {
  readonly viewers: number;
  readonly rate: number;
  readonly burst: number;
  readonly fill: number;
}

const scenario: Scenario<Flags> = {
  name: "danmaku-burst",
  options: ({ viewers, rate, burst, fill, workers }) => ({ viewers, rate, burst, fill, workers }),
  plan({ viewers, rate, burst, fill, seconds, key = null }, runId) {
    const topics = numberedTopics("danmaku", "sample", runId, 1);
    const isBurst = (second: number): boolean => second >= seconds / 3 && second < (2 * seconds) / 3;
    return {
      ...plainPlan,
      topics,
      topicsOf: Array.from({ length: viewers }, () => [0]),
      acts: [
        { atPart: 1 / 3, what: "the burst begins", run: async () => undefined },
        { atPart: 2 / 3, what: "the burst ends", run: async () => undefined },
      ],
      publishing: (url, books) =>
        new SteadyPublisher(
          {
            url,
            key,
            topics,
            seconds,
            ratePerSec: (second) => (isBurst(second) ? burst : rate),
            fillBytes: fill,
          },
          books,
        ),
      figures: ({ timeline }): Figure[] => [
        {
          name: "burst-latency-p99",
          label: "latency p99 of the worst second of the burst",
          value: highest(timeline.p99s(seconds / 3 + 1, (2 * seconds) / 3)),
          unit: "ms",
          better: "lower",
        },
      ],
    };
  },
};

/** Adds the scenario. @param result is given the exit code. */
export function addDanmakuBurstScenario(program: Command, result: { exitCode: number }): void {
  const command = program
    .command("danmaku-burst")
    .summary("a crowd comments: a fair sample, and the rest told");
  addCommonOptions(command, 21)
    .option("--viewers <n>", "users in the room", atLeastOne, 500)
    .option("--rate <n>", "comments a second while it is calm", atLeastOne, 20)
    .option("--burst <n>", "comments a second in the middle third", atLeastOne, 2000)
    .option("--fill <bytes>", "filling of each comment", atLeastOne, 60)
    .action(async (flags: Flags) => {
      result.exitCode = await runScenario(scenario, flags);
    });
}
