/** What happens, second by second, while a scenario runs: the swarm's counts and the server's CPU and memory. */
import { Latency } from "../swarm/latency.ts";
import { latencyOf, type Swarm, type SwarmTotals } from "../swarm/swarm.ts";
import type { Moment, Plot } from "./load-result.ts";
import type { ProcessSampler } from "./process-sampler.ts";

interface Second {
  readonly at: number;
  readonly totals: SwarmTotals;
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  readonly elapsedSec: number;
  readonly cpuSec: number | null;
  readonly residentMib: number | null;
}

const restSecMin = 0.5;

export class Timeline {
  readonly #swarm: Swarm;
  readonly #sampler: ProcessSampler | null;
  readonly #onSecond: (second: number) => void;
  readonly #startMs = performance.now();
  readonly #seconds: Second[] = [];
  readonly #moments: Moment[] = [];
  readonly #latency = new Latency();
  readonly #opening = new Latency();
  readonly #timer: NodeJS.Timeout;
  /** The server's memory when it began, MiB; null when it is not known. */
  readonly residentMibBefore: number | null;
  #lastCpuSec: number;
  #lastMs = this.#startMs;
  #taking: Promise<void> | null = null;
  #failure: unknown = null;

  /** @param sampler null when the server's processes are not known. */
  constructor(swarm: Swarm, sampler: ProcessSampler | null, onSecond: (second: number) => void) {
    this.#swarm = swarm;
    this.#sampler = sampler;
    this.#onSecond = onSecond;
    this.#lastCpuSec = sampler?.cpuSec() ?? 0;
    this.residentMibBefore = sampler?.residentMib() ?? null;
    // A second that takes longer than one, because the machine is busy, swallows the next.
    this.#timer = setInterval(() => {
      this.#taking ??= this.#take().finally(() => (this.#taking = null));
    }, 1000);
  }

  /** Seconds since the start. */
  get elapsedSec(): number {
    return (performance.now() - this.#startMs) / 1000;
  }

  note(what: string): void {
    this.#moments.push({ second: Math.round(this.elapsedSec * 10) / 10, what });
  }

  /** Takes the rest. @throws what went wrong while it ran. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#taking;
    if (this.#failure === null) await this.#take();
    if (this.#failure !== null) throw this.#failure;
  }

  /** Ends without the rest. */
  abandon(): void {
    clearInterval(this.#timer);
  }

  get latency(): Latency {
    return this.#latency;
  }

  get opening(): Latency {
    return this.#opening;
  }

  get moments(): readonly Moment[] {
    return this.#moments;
  }

  get atSeconds(): number[] {
    return this.#drawn().map(({ at }) => at);
  }

  sum(pick: (totals: SwarmTotals) => number): number {
    return this.#seconds.reduce((sum, { totals }) => sum + pick(totals), 0);
  }

  /** CPU seconds of the server; null when it is not known. */
  get cpuSec(): number | null {
    if (this.#sampler === null) return null;
    return this.#seconds.reduce((sum, { cpuSec }) => sum + (cpuSec ?? 0), 0);
  }

  get residentMibs(): number[] {
    return this.#seconds.flatMap(({ residentMib }) => residentMib ?? []);
  }

  /** The p99 of each second that began in `[from, to)`, milliseconds. */
  p99s(from: number, to: number): number[] {
    return this.#seconds.flatMap(({ at, latency }) => (at > from && at <= to && latency ? latency.p99 : []));
  }

  /** For a comparison with what has no swarm. */
  everySecond(): { cpuPercent: number | null; ageP50Ms: number | null; ageP99Ms: number | null }[] {
    return this.#seconds.map(({ cpuSec, elapsedSec, latency }) => ({
      cpuPercent: cpuSec === null ? null : rounded((cpuSec / elapsedSec) * 100, 1),
      ageP50Ms: latency?.p50 ?? null,
      ageP99Ms: latency?.p99 ?? null,
    }));
  }

  plots(): Plot[] {
    const line = (label: string, value: (second: Second) => number | null): Plot["lines"][number] => ({
      label,
      values: this.#drawn().map((second) => value(second)),
    });
    const rate = (label: string, pick: (totals: SwarmTotals) => number, digits = 0): Plot["lines"][number] =>
      line(label, ({ totals, elapsedSec }) => rounded(pick(totals) / elapsedSec, digits));
    return [
      {
        title: "Latency, publish to arrival",
        unit: "ms",
        lines: [
          line("p50", ({ latency }) => latency?.p50 ?? null),
          line("p99", ({ latency }) => latency?.p99 ?? null),
          line("max", ({ latency }) => latency?.max ?? null),
        ],
      },
      {
        title: "Throughput",
        unit: "per second",
        lines: [
          rate("publications", ({ publications }) => publications),
          rate("frames", ({ frames }) => frames),
          rate("told lost", ({ toldLost }) => toldLost),
        ],
      },
      {
        title: "Bytes to the clients",
        unit: "MB per second",
        lines: [rate("read", ({ bytesRead }) => bytesRead / 1_000_000, 3)],
      },
      {
        title: "Connections",
        unit: "",
        lines: [
          line("open", ({ totals }) => totals.open),
          line("reconnects in this second", ({ totals }) => totals.reconnects),
        ],
      },
      ...(this.#sampler === null
        ? []
        : [
            {
              title: "Server CPU, all its processes",
              unit: "% of one core",
              lines: [
                line("CPU", ({ cpuSec, elapsedSec }) => rounded(((cpuSec ?? 0) / elapsedSec) * 100, 1)),
              ],
            },
            {
              title: "Server memory, all its processes",
              unit: "MiB resident",
              lines: [line("memory", ({ residentMib }) => residentMib)],
            },
          ]),
    ];
  }

  /** The rest after the last whole second counts, but as a rate it would be a drop that was none. */
  #drawn(): readonly Second[] {
    return this.#seconds.filter(({ elapsedSec }, index) => index === 0 || elapsedSec >= restSecMin);
  }

  async #take(): Promise<void> {
    try {
      const totals = await this.#swarm.stats();
      const nowMs = performance.now();
      const cpuSec = this.#sampler?.cpuSec() ?? null;
      const { count, p50, p99, max } = latencyOf(totals.latencies).summary();
      for (const text of totals.latencies) this.#latency.add(text);
      for (const text of totals.openings) this.#opening.add(text);
      this.#seconds.push({
        at: Math.round((nowMs - this.#startMs) / 100) / 10,
        totals,
        latency: count === 0 ? null : { p50, p99, max },
        elapsedSec: Math.max(0.001, (nowMs - this.#lastMs) / 1000),
        cpuSec: cpuSec === null ? null : cpuSec - this.#lastCpuSec,
        residentMib: this.#sampler?.residentMib() ?? null,
      });
      this.#lastMs = nowMs;
      this.#lastCpuSec = cpuSec ?? 0;
      this.#onSecond(Math.round(this.elapsedSec));
    } catch (error) {
      this.#failure ??= error;
    }
  }
}

function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
