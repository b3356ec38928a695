/** Several processes of subscribers, as one. One process could read what a server of two workers sends only barely. */
import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { Latency } from "./latency.ts";
import { mergedReports, type BooksReport } from "./subscriber-books.ts";
import {
  readyId,
  splitClients,
  type AcceptedSummary,
  type Share,
  type SwarmAnswers,
  type SwarmPlan,
  type SwarmRequest,
  type SwarmStats,
} from "./swarm-plan.ts";

const entry = fileURLToPath(new URL("swarm-process.ts", import.meta.url));

export type SwarmWishes = Omit<SwarmPlan, "firstClient">;

/** What all clients got since the last time it was asked. */
export interface SwarmTotals extends Omit<SwarmStats, "latency" | "opening"> {
  /** To be added up by whoever wants the whole run. */
  readonly latencies: readonly string[];
  readonly openings: readonly string[];
}

export class Swarm {
  readonly #processes: SwarmProcess[];

  private constructor(processes: SwarmProcess[]) {
    this.#processes = processes;
  }

  /** Resolves when all processes can be asked. */
  static async start(processCount: number): Promise<Swarm> {
    const processes = Array.from({ length: processCount }, () => new SwarmProcess());
    await Promise.all(processes.map(({ ready }) => ready));
    return new Swarm(processes);
  }

  get pids(): readonly number[] {
    return this.#processes.map(({ pid }) => pid);
  }

  /** Resolves when all are subscribed. @throws CliError when not all can. */
  async open(wishes: SwarmWishes): Promise<void> {
    let firstClient = 0;
    const parts = splitClients(wishes.topicsOf, this.#processes.length);
    const opens = this.#processes.map((each, part) => {
      const topicsOf = parts[part] ?? [];
      const plan = { ...wishes, topicsOf, firstClient };
      firstClient += topicsOf.length;
      return each.ask({ kind: "open", plan });
    });
    const answers = await Promise.all(opens);
    const opened = answers.reduce((sum, answer) => sum + answer.opened, 0);
    if (opened === wishes.topicsOf.length) return;
    const { problems } = await this.behind([]);
    const why = problems[0] ?? `${opened} of ${wishes.topicsOf.length} subscribed in time`;
    throw new CliError(exitCode.unavailable, why.replace(/^(subscriber \d+): /u, "$1 cannot subscribe: "));
  }

  async stall(share: Share): Promise<void> {
    await this.#askAll({ kind: "stall", share });
  }

  async resume(): Promise<void> {
    await this.#askAll({ kind: "resume" });
  }

  /** Resolves with how many were cut. */
  async cut(share: Share, spreadMs: number): Promise<number> {
    const answers = await this.#askAll({ kind: "cut", share, spreadMs });
    return answers.reduce((sum, { cut }) => sum + cut, 0);
  }

  async stats(): Promise<SwarmTotals> {
    const answers = await this.#askAll({ kind: "stats" });
    const sum = (pick: (stats: SwarmStats) => number): number =>
      answers.reduce((total, stats) => total + pick(stats), 0);
    return {
      open: sum(({ open }) => open),
      publications: sum(({ publications }) => publications),
      frames: sum(({ frames }) => frames),
      bytesRead: sum(({ bytesRead }) => bytesRead),
      bytesWritten: sum(({ bytesWritten }) => bytesWritten),
      toldLost: sum(({ toldLost }) => toldLost),
      reconnects: sum(({ reconnects }) => reconnects),
      unansweredSoFar: sum(({ unansweredSoFar }) => unansweredSoFar),
      latencies: answers.map(({ latency }) => latency),
      openings: answers.map(({ opening }) => opening),
    };
  }

  async behind(
    accepted: readonly AcceptedSummary[],
  ): Promise<{ behind: number; problems: readonly string[] }> {
    const answers = await this.#askAll({ kind: "behind", accepted });
    return {
      behind: answers.reduce((sum, { behind }) => sum + behind, 0),
      problems: answers.flatMap(({ problems }) => problems),
    };
  }

  async books(seqs: readonly Float64Array[]): Promise<{ report: BooksReport; problems: readonly string[] }> {
    const answers = await this.#askAll({ kind: "books", seqs });
    return {
      report: mergedReports(answers.map(({ report }) => report)),
      problems: answers.flatMap(({ problems }) => problems),
    };
  }

  /** Says good-bye and ends the processes. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.stop()));
  }

  async #askAll<Kind extends SwarmRequest["kind"]>(
    request: Extract<SwarmRequest, { readonly kind: Kind }>,
  ): Promise<SwarmAnswers[Kind][]> {
    return await Promise.all(this.#processes.map((each) => each.ask(request)));
  }
}

/** Adds up histograms. */
export function latencyOf(texts: Iterable<string>): Latency {
  const sum = new Latency();
  for (const text of texts) sum.add(text);
  return sum;
}

const stopMs = 2000;

class SwarmProcess {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(result: never): void; reject(error: Error): void }>();
  readonly #exited: Promise<void>;
  /** Rejects when it ends before. */
  readonly ready: Promise<unknown>;
  #nextId = readyId + 1;
  #hasExited = false;

  constructor() {
    // Structured clones carry typed arrays as they are.
    this.#child = fork(entry, [], { serialization: "advanced" });
    this.ready = new Promise((resolve, reject) => this.#waiting.set(readyId, { resolve, reject }));
    const kill = (): void => void this.#child.kill("SIGKILL");
    process.once("exit", kill);
    this.#child.on("message", ({ id, result }: { id: number; result: never }) => {
      this.#waiting.get(id)?.resolve(result);
      this.#waiting.delete(id);
    });
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => {
        this.#hasExited = true;
        process.off("exit", kill);
        const error = new CliError(
          exitCode.failed,
          `a swarm process ended: ${signal ?? `exit code ${code}`}`,
        );
        for (const waiting of this.#waiting.values()) waiting.reject(error);
        this.#waiting.clear();
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask<Kind extends SwarmRequest["kind"]>(
    request: Extract<SwarmRequest, { readonly kind: Kind }>,
  ): Promise<SwarmAnswers[Kind]> {
    return new Promise((resolve, reject) => {
      if (this.#hasExited) {
        reject(new CliError(exitCode.failed, "a swarm process has ended"));
        return;
      }
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, request });
    });
  }

  async stop(): Promise<void> {
    if (this.#hasExited) return;
    const force = setTimeout(() => this.#child.kill("SIGKILL"), stopMs);
    // Not opened, or ended meanwhile: nobody is there to say good-bye to.
    await this.ask({ kind: "close" }).catch(() => undefined);
    // The close frames have a moment to leave.
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
    clearTimeout(force);
  }
}
