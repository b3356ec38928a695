/** The two ways to polling, measured: with connections that are kept, and with one for each request. */
import { AcceptedBooks } from "../publishing/accepted-books.ts";
import { SteadyPublisher } from "../publishing/steady-publisher.ts";
import { ProcessSampler } from "../run/process-sampler.ts";
import { Latency } from "../swarm/latency.ts";
import { latencyOf } from "../swarm/swarm.ts";
import type { SwarmTopic } from "../swarm/swarm-plan.ts";
import { poll } from "./pollers.ts";
import { startPollingServer } from "./polling-process.ts";
import { segmentsSent, type Variant, type VariantSecond } from "./variant.ts";

export interface VariantWishes {
  readonly users: number;
  readonly topics: readonly SwarmTopic[];
  readonly ratePerSec: number;
  readonly fillBytes: number;
  readonly seconds: number;
  readonly interrupted: AbortSignal;
  onSecond(second: number): void;
}

export async function pollingVariant(keepAlive: boolean, wishes: VariantWishes): Promise<Variant> {
  const { users, topics, ratePerSec, fillBytes, seconds, interrupted } = wishes;
  const server = await startPollingServer();
  try {
    const publisher = new SteadyPublisher(
      { url: server.url, key: null, topics, seconds: seconds + 1, ratePerSec: () => ratePerSec, fillBytes },
      new AcceptedBooks(topics.length),
    );
    interrupted.addEventListener("abort", () => publisher.stop());
    const clock = new AgeClock(server.pid, (second) => wishes.onSecond(second));
    const segments = segmentsSent();
    const [found] = await Promise.all([
      poll({ url: server.url, users, seconds, keepAlive, age: clock.age }),
      publisher.run(),
    ]);
    const { age, cpuSec, elapsedSec, residentMib, everySecond } = clock.stop();
    return {
      name: keepAlive ? "polling-keep-alive" : "polling-close",
      label: keepAlive ? "polling, keep-alive" : "polling, no keep-alive",
      elapsedSec,
      requests: found.requests,
      connections: found.connections,
      payloadBytes: found.bytesRead + found.bytesWritten,
      segments: segmentsSent() - segments,
      cpuSec,
      residentMib,
      changesSeen: found.changesSeen,
      age: age.summary(),
      everySecond,
      problems: found.errors === 0 ? [] : [`${found.errors} polls failed`],
    };
  } finally {
    await server.stop();
  }
}

/** Ages and CPU second by second. */
class AgeClock {
  readonly age = new Latency();
  readonly #taken: string[] = [];
  readonly #sampler: ProcessSampler;
  readonly #everySecond: VariantSecond[] = [];
  readonly #startMs = performance.now();
  readonly #startCpuSec: number;
  readonly #timer: NodeJS.Timeout;
  #lastCpuSec: number;

  constructor(pid: number, onSecond: (second: number) => void) {
    this.#sampler = new ProcessSampler(pid);
    this.#startCpuSec = this.#sampler.cpuSec();
    this.#lastCpuSec = this.#startCpuSec;
    this.#timer = setInterval(() => {
      this.#take();
      onSecond(this.#everySecond.length);
    }, 1000);
  }

  stop(): {
    age: Latency;
    cpuSec: number;
    elapsedSec: number;
    residentMib: number;
    everySecond: readonly VariantSecond[];
  } {
    clearInterval(this.#timer);
    this.#take();
    return {
      age: latencyOf(this.#taken),
      cpuSec: this.#lastCpuSec - this.#startCpuSec,
      elapsedSec: (performance.now() - this.#startMs) / 1000,
      residentMib: this.#sampler.residentMib(),
      everySecond: this.#everySecond,
    };
  }

  #take(): void {
    const { count, p50, p99 } = this.age.summary();
    this.#taken.push(this.age.take());
    const cpuSec = this.#sampler.cpuSec();
    this.#everySecond.push({
      cpuPercent: Math.round((cpuSec - this.#lastCpuSec) * 1000) / 10,
      ageP50Ms: count === 0 ? null : p50,
      ageP99Ms: count === 0 ? null : p99,
    });
    this.#lastCpuSec = cpuSec;
  }
}
