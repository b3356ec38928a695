/** Runs a scenario from start to report, and ends everything that it started. */
import { randomBytes } from "node:crypto";

import { createProgress } from "../../src/cli/progress.ts";
import { machineFacts } from "../bench/machine.ts";
import { OwnServer } from "../own-server.ts";
import { AcceptedBooks } from "../publishing/accepted-books.ts";
import type { PublishSummary } from "../publishing/publishing.ts";
import { Swarm } from "../swarm/swarm.ts";
import { commonFigures } from "./common-figures.ts";
import { countFigure } from "./figure-kinds.ts";
import { resultFormat, type LoadResult } from "./load-result.ts";
import { checkOpenFiles } from "./open-files.ts";
import { ProcessSampler } from "./process-sampler.ts";
import { prepareOutput, publishResult } from "./publish-result.ts";
import type { CommonFlags } from "./scenario-flags.ts";
import type { Running, Scenario, ScenarioPlan } from "./scenario.ts";
import { deliveryProblems, settled } from "./settling.ts";
import { Timeline } from "./timeline.ts";

/** As a shell reports SIGINT. */
export const exitInterrupted = 130;

/** Returns the exit code. */
export async function runScenario<Flags extends CommonFlags>(
  scenario: Scenario<Flags>,
  flags: Flags,
): Promise<number> {
  return await interruptible(async (interrupted) => {
    const plan = scenario.plan(flags, randomBytes(4).toString("hex"));
    checkOpenFiles(plan.topicsOf.length);
    prepareOutput(flags);
    const server = flags.url === undefined ? await OwnServer.start(serverSettings(flags, plan)) : null;
    const swarm = await Swarm.start(flags.processes);
    try {
      if (flags.redis !== undefined) await server?.ready(flags.redis);
      const found = await measure({ scenario, flags, plan, server, swarm, interrupted });
      if (found === null) return exitInterrupted;
      publishResult(found, flags);
      return found.ok ? 0 : 1;
    } finally {
      await swarm.stop();
      await server?.stop();
    }
  });
}

/** Calls `work` with a signal of Ctrl-C, which is then not the end of the process. */
export async function interruptible(work: (interrupted: AbortSignal) => Promise<number>): Promise<number> {
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    const code = await work(interruption.signal);
    return interruption.signal.aborted ? exitInterrupted : code;
  } catch (error) {
    // What an interruption breaks is no failure.
    if (interruption.signal.aborted) return exitInterrupted;
    throw error;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** `--set` of the server that is started here. */
export function serverSettings(
  { workers, redis }: Pick<CommonFlags, "workers" | "redis">,
  { settings }: Pick<ScenarioPlan, "settings">,
): string[] {
  const broker = redis === undefined ? [] : ["broker.kind=redis", `broker.redis.url=${redis}`];
  // All clients come from one address, faster than people.
  return [`workers=${workers}`, "limits.handshakesPerSecMax=null", ...broker, ...settings];
}

interface Parts<Flags extends CommonFlags> {
  readonly scenario: Scenario<Flags>;
  readonly flags: Flags;
  readonly plan: ScenarioPlan;
  readonly server: OwnServer | null;
  readonly swarm: Swarm;
  readonly interrupted: AbortSignal;
}

/** Null when it was interrupted. */
async function measure<Flags extends CommonFlags>(parts: Parts<Flags>): Promise<LoadResult | null> {
  const { scenario, flags, plan, server, swarm, interrupted } = parts;
  if (interrupted.aborted) return null;
  const url = server?.url ?? flags.url ?? "";
  const books = new AcceptedBooks(plan.topics.length);
  const publishing = plan.publishing(url, books);
  interrupted.addEventListener("abort", () => publishing.stop());
  const { topics, topicsOf, query, atOnce, mayReconnect } = plan;
  const open = (): Promise<void> => swarm.open({ url, topics, topicsOf, query, atOnce, mayReconnect });
  if (!plan.opensMeanwhile) await open();
  if (interrupted.aborted) return null;
  const startedAt = new Date().toISOString();
  console.log(`${topicsOf.length} subscribers at ${url}; publishing for ${flags.seconds} s`);
  const pid = server?.pid ?? flags.pid;
  const progress = createProgress(`${scenario.name}, seconds`, flags.seconds);
  const sampler = pid === undefined ? null : new ProcessSampler(pid);
  const timeline = new Timeline(swarm, sampler, (second) => progress.update(Math.min(second, flags.seconds)));
  const running: Running = { swarm, timeline, server };
  let summary: PublishSummary;
  try {
    const opening = plan.opensMeanwhile ? open() : Promise.resolve();
    const acting = act(plan, flags.seconds, running, interrupted);
    // The first that fails is told; the others are ended with the swarm.
    [summary] = await Promise.all([publishing.run(), opening, acting]);
    await timeline.stop();
  } catch (error) {
    publishing.stop();
    timeline.abandon();
    throw error;
  } finally {
    progress.stop();
  }
  if (interrupted.aborted) return null;
  const problems = await settled(swarm, books, { mayReconnect, settleSec: flags.settleSec }, interrupted);
  const { open: back, unansweredSoFar } = await swarm.stats();
  if (back < topicsOf.length) problems.push(`${back} of ${topicsOf.length} connections are open at the end`);
  // A client that gave up and came back lost nothing, but without its patience it would wait for good.
  if (unansweredSoFar > 0) problems.push(`${unansweredSoFar} connects got no answer and were given up`);
  const { report } = await swarm.books(books.seqs());
  problems.push(...deliveryProblems(report, books.accepted), ...plan.problems(running));
  return {
    format: resultFormat,
    scenario: scenario.name,
    startedAt,
    command: `npm run load -- ${process.argv.slice(2).join(" ")}`,
    seconds: flags.seconds,
    options: scenario.options(flags),
    machine: machineFacts(),
    ok: problems.length === 0,
    problems,
    figures: [
      ...commonFigures(timeline, summary, report, books.accepted, flags.seconds),
      countFigure("unanswered", "connects without an answer", unansweredSoFar, "lower"),
      ...plan.figures(running),
    ],
    publishing: summary,
    deliveries: { accepted: books.accepted, ...report },
    atSeconds: timeline.atSeconds,
    plots: timeline.plots(),
    moments: timeline.moments,
    table: null,
  };
}

async function act(
  { acts }: ScenarioPlan,
  seconds: number,
  running: Running,
  interrupted: AbortSignal,
): Promise<void> {
  await Promise.all(
    acts.map(async (each) => {
      const { atPart, what } = each;
      const isDue = (): boolean => running.timeline.elapsedSec >= atPart * seconds;
      while (!isDue() && !interrupted.aborted) await new Promise((resolve) => setTimeout(resolve, 20));
      if (interrupted.aborted) return;
      if (what !== null) running.timeline.note(what);
      await each.run(running);
    }),
  );
}
