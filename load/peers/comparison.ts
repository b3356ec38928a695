/**
 * Runs scenarios: finds the peers, starts a Redis of its own, and takes the variants in turn, round after round, so
 * that what changes on the machine meanwhile meets all of them.
 */
import { readFileSync } from "node:fs";

import { createProgress, type Progress } from "../../src/cli/progress.ts";
import { machineFacts, type MachineFacts } from "../bench/machine.ts";
import { readable, readableSummary } from "../bench/statistics.ts";
import { offersDeflate } from "./deflate-check.ts";
import {
  measureFanOut,
  measureIdle,
  measureNewcomers,
  type Figures,
  type Timing,
  type Variant,
} from "./measure.ts";
import { isOwn, tapecastLatest } from "./own-peers.ts";
import type { PeerWorld } from "./peer.ts";
import { findPinning, leaveServerCore } from "./processes.ts";
import { startRedis } from "./redis.ts";
import { judge, type ScenarioResult } from "./results.ts";
import { runSeconds, type Scenario } from "./scenario.ts";
import { buildTools } from "./tools.ts";

export interface ComparisonFlags {
  readonly peers?: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly connections?: number;
}

/** Files that are open in a server beside its connections. */
const otherFiles = 500;

const measures = { fanOut: measureFanOut, idle: measureIdle, newcomers: measureNewcomers } as const;

export class Comparison {
  readonly #scenarios: readonly Scenario[];
  readonly #timing: Timing;
  readonly #rounds: number;
  readonly #command: string;
  /** By peer: its version, or why it is not there. */
  readonly #versions = new Map<string, string>();
  readonly #absent = new Map<string, string>();

  /** @param command for the report, so that anyone can repeat it. */
  constructor(scenarios: readonly Scenario[], flags: ComparisonFlags, command: string) {
    this.#rounds = Math.round(flags.rounds);
    this.#timing = { seconds: flags.seconds, warmupSec: flags.warmup };
    this.#command = command;
    this.#scenarios = scenarios.map((scenario) => chosen(scenario, flags));
  }

  /** What will be measured and about how long it takes. */
  plan(): string {
    let all = 0;
    const lines = this.#scenarios.map((scenario) => {
      const seconds = this.#seconds(scenario);
      all += seconds;
      return `${scenario.name.padEnd(14)} ${`${Math.ceil(seconds)} s`.padStart(6)}  ${scenario.variants.map(({ name }) => name).join(", ")}`;
    });
    return [...lines, `${this.#rounds} rounds, about ${Math.ceil(all / 60)} min`].join("\n");
  }

  /** Yields each scenario's result as soon as it is there; a scenario that cannot be measured is left out with a word. */
  async *run(): AsyncGenerator<readonly [string, ScenarioResult]> {
    const progress = createProgress(
      "comparison",
      Math.ceil(this.#scenarios.reduce((sum, each) => sum + this.#seconds(each), 0)),
    );
    const pinning = findPinning();
    try {
      const tools = await buildTools((line) => progress.note(line));
      await this.#findPeers(tools, progress);
      const redis = await startRedis(pinning?.clients ?? null);
      if (pinning !== null) leaveServerCore(pinning);
      try {
        const world: PeerWorld = { tools, pinning, redisPort: redis.port, redisPid: redis.pid };
        const facts = machineFacts({
          redis: redis.version,
          pinned:
            pinning === null
              ? "no"
              : `servers on core ${pinning.server}, everything else on ${pinning.clients}`,
        });
        let begun = 0;
        for (const scenario of this.#scenarios) {
          const result = await this.#measure(scenario, world, facts, progress, begun);
          begun += this.#seconds(scenario);
          if (result === null) continue;
          tell(scenario, result, progress);
          yield [scenario.name, result];
        }
      } finally {
        await redis.stop();
      }
    } finally {
      progress.stop();
    }
  }

  #seconds(scenario: Scenario): number {
    const round = scenario.variants.reduce(
      (sum, variant) => sum + runSeconds(scenario, variant, this.#timing),
      0,
    );
    return round * this.#rounds;
  }

  async #findPeers(tools: PeerWorld["tools"], progress: Progress): Promise<void> {
    const peers = new Map(
      this.#scenarios.flatMap(({ variants }) => variants.map(({ peer }) => [peer.name, peer] as const)),
    );
    for (const [name, peer] of peers) {
      const presence = await peer.prepare({ tools, note: (line) => progress.note(line) });
      if ("absent" in presence) {
        this.#absent.set(name, presence.absent);
        progress.note(`${peer.title}: absent (${presence.absent})`);
      } else {
        this.#versions.set(name, presence.version);
        progress.note(`${peer.title}: ${presence.version}`);
      }
    }
  }

  async #measure(
    scenario: Scenario,
    world: PeerWorld,
    facts: MachineFacts,
    progress: Progress,
    begunSec: number,
  ): Promise<ScenarioResult | null> {
    const variants = scenario.variants.filter(({ peer }) => !this.#absent.has(peer.name));
    const remarks = scenario.variants
      .filter(({ peer }) => this.#absent.has(peer.name))
      .map(({ title, peer }) => `${title}: absent, ${this.#absent.get(peer.name)}`);
    if (
      variants.some(({ load }) => load.deflate) &&
      !(world.tools.hasZlib && (await offersDeflate(world, variants)))
    ) {
      progress.note(
        `${scenario.name}: skipped, ${world.tools.hasZlib ? "the server does not negotiate permessage-deflate" : "the swarm has no zlib (on Debian: apt install zlib1g-dev)"}`,
      );
      return null;
    }
    const rounds = new Map<Variant, (Figures | null)[]>(variants.map((variant) => [variant, []]));
    let done = begunSec;
    for (let round = 0; round < this.#rounds; round += 1) {
      for (let turn = 0; turn < variants.length; turn += 1) {
        // Each round begins with another one, so that nobody always follows the same neighbour's heat.
        const variant = variants[(turn + round) % variants.length];
        if (variant === undefined) continue;
        rounds.get(variant)?.push(await this.#once(scenario, variant, world, round, remarks, progress));
        done += runSeconds(scenario, variant, this.#timing);
        progress.update(Math.ceil(done));
      }
    }
    const versions = Object.fromEntries(
      [...new Set(variants.map(({ peer }) => peer))].map(({ name, title }) => [
        title,
        this.#versions.get(name) ?? "",
      ]),
    );
    return {
      title: scenario.title,
      command: this.#command,
      measuredAt: new Date().toISOString().slice(0, 10),
      timing: this.#timing,
      roundCount: this.#rounds,
      machine: { ...facts, ...versions },
      variants: variants.map((variant) => ({
        name: variant.name,
        title: variant.title,
        isOwn: isOwn(variant.peer),
        conflates: variant.peer === tapecastLatest,
        rounds: rounds.get(variant) ?? [],
      })),
      remarks,
    };
  }

  async #once(
    scenario: Scenario,
    variant: Variant,
    world: PeerWorld,
    round: number,
    remarks: string[],
    progress: Progress,
  ): Promise<Figures | null> {
    try {
      return await measures[scenario.kind](world, variant, this.#timing);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      remarks.push(
        `${variant.title}, round ${round + 1}: failed, ${reason.split("\n").slice(0, 3).join(" ")}`,
      );
      progress.note(`${scenario.name}, ${variant.title}: ${reason}`);
      return null;
    }
  }
}

/** The scenario with the peers and the number of connections that were asked for. */
function chosen(scenario: Scenario, flags: ComparisonFlags): Scenario {
  const isWanted = ({ peer }: Variant): boolean =>
    isOwn(peer) || flags.peers === undefined || flags.peers.some((each) => peer.name.startsWith(each));
  const idleMax = scenario.name === "p5" ? (flags.connections ?? Infinity) : Infinity;
  const connectionsMax = Math.min(idleMax, openFilesMax() - otherFiles);
  return {
    ...scenario,
    variants: scenario.variants.filter(isWanted).map((each) => limited(each, connectionsMax)),
  };
}

function limited(variant: Variant, connectionsMax: number): Variant {
  if (variant.load.connections <= connectionsMax) return variant;
  return { ...variant, load: { ...variant.load, connections: connectionsMax } };
}

/** Node raises the soft limit to the hard one when it starts, and what it starts inherits that. */
function openFilesMax(): number {
  const match = /^Max open files\s+\S+\s+(\d+)/mu.exec(readFileSync("/proc/self/limits", "utf8"));
  return match === null ? 20_000 : Number(match[1]);
}

function tell(scenario: Scenario, result: ScenarioResult, progress: Progress): void {
  for (const goal of scenario.goals) {
    const { summary, isMet } = judge(goal, result);
    const verdict = isMet === null ? "not measured" : isMet ? "met" : "missed";
    const limit = `${goal.bound === "atMost" ? "≤" : "≥"} ${readable(goal.limit)}`;
    progress.note(
      `${scenario.name}  ${goal.id}${goal.isStretch ? " stretch" : ""}, ${goal.text}: ${readableSummary(summary)} ${limit}, ${verdict}`,
    );
  }
}
