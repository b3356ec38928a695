/** What a scenario is: topics, clients, something that publishes, and what happens meanwhile. */
import type { OwnServer } from "../own-server.ts";
import type { AcceptedBooks } from "../publishing/accepted-books.ts";
import type { Publishing } from "../publishing/publishing.ts";
import type { Swarm, SwarmWishes } from "../swarm/swarm.ts";
import type { SwarmTopic } from "../swarm/swarm-plan.ts";
import type { Figure } from "./load-result.ts";
import type { CommonFlags } from "./scenario-flags.ts";
import type { Timeline } from "./timeline.ts";

/** What a run can reach while it runs. */
export interface Running {
  readonly swarm: Swarm;
  readonly timeline: Timeline;
  /** Null when it was not started here. */
  readonly server: OwnServer | null;
}

/** Something that is done once, at a part of the run's time. */
export interface Act {
  /** 0 is the start, 1 the end. */
  readonly atPart: number;
  /** For the report; null when it is not worth a word. */
  readonly what: string | null;
  run(running: Running): Promise<unknown>;
}

export interface ScenarioPlan extends Pick<SwarmWishes, "topicsOf" | "query" | "atOnce" | "mayReconnect"> {
  readonly topics: readonly SwarmTopic[];
  /** `--set` of the server that is started. */
  readonly settings: readonly string[];
  /** True: connecting is part of what is measured, and publishing goes on meanwhile. */
  readonly opensMeanwhile: boolean;
  readonly acts: readonly Act[];
  publishing(url: string, books: AcceptedBooks): Publishing;
  /** The scenario's own figures, after the common ones. */
  figures(running: Running): readonly Figure[];
  /** Promises of its own that were not kept. */
  problems(running: Running): readonly string[];
}

export interface Scenario<Flags extends CommonFlags> {
  readonly name: string;
  /** What the options were, for the result. */
  options(flags: Flags): Readonly<Record<string, string | number>>;
  /** @param runId goes into the names of topics, so that runs on one server do not meet. */
  plan(flags: Flags, runId: string): ScenarioPlan;
}

/** A plan in which nothing special happens. */
export const plainPlan: Pick<
  ScenarioPlan,
  "query" | "atOnce" | "mayReconnect" | "settings" | "opensMeanwhile" | "acts" | "figures" | "problems"
> = {
  query: "",
  atOnce: 50,
  mayReconnect: false,
  settings: [],
  opensMeanwhile: false,
  acts: [],
  figures: () => [],
  problems: () => [],
};

/** Topics `PREFIX.load-RUN.0`, `.1`, …: the number at the end is the topic's index. */
export function numberedTopics(
  prefix: string,
  delivery: SwarmTopic["delivery"],
  runId: string,
  count: number,
  first = 0,
): SwarmTopic[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `${prefix}.load-${runId}.${first + index}`,
    delivery,
  }));
}
