/**
 * The primary process: joins supervision, metrics, the admin port, the memory broker's log and the demo replay, and
 * ends them in order. It serves no client: what is slow or dangerous happens in the workers.
 */
import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

import type { Logger } from "pino";

import { systemClock } from "../base/clock.ts";
import { listenProblem } from "../base/system-problem.ts";
import { exitConfig, exitUnavailable } from "../base/worker-messages.ts";
import { MemoryBrokerHost } from "../broker/memory-broker-host.ts";
import { limitNumber, type Config } from "../config/schema.ts";
import { ClusterMetrics, expositionContentType } from "../metrics/cluster-metrics.ts";
import { PrimaryMetrics } from "../metrics/primary-metrics.ts";
import type { MetricsSnapshot } from "../metrics/snapshot.ts";
import { AdminServer } from "./admin-server.ts";
import { startDemoReplay, type DemoReplay } from "./demo-replay.ts";
import { createInsightRoutes } from "./insight-routes.ts";
import { Inspector } from "./inspector.ts";
import { kernelAdvice } from "./kernel-advice.ts";
import { createLogger } from "./log.ts";
import { packageVersion } from "../base/package-version.ts";
import { listenToSignals } from "./signals.ts";
import { Supervisor, type SendBufferBound, type SupervisorListener } from "./supervisor.ts";
import { listWorkers, type WorkerList } from "./worker-list.ts";
import type { WorkerProcess } from "./worker-process.ts";

export interface PrimaryOptions {
  /** Bounds the send buffers of a listener's connections (http/send-buffers.ts); without it the kernel does. */
  readonly boundSendBuffer?: SendBufferBound;
  /** File that a worker process runs; for tests. */
  readonly workerExec?: string;
  /** A worker that says nothing for this long is killed and replaced; for tests. */
  readonly stallTimeoutMs?: number;
}

/** RS9 of the abuse list: noticed within seconds, replaced after this. */
const stallTimeoutMsDefault = 10_000;
/** Loading the code of a worker on a busy machine. */
const startTimeoutMs = 30_000;

/**
 * Runs a server until a signal ends it.
 * @returns the process's exit code: 0 after an orderly end; 69 when an address cannot be had, 78 when the
 * configuration cannot work, 1 when a worker did not start for another reason. No child process is left then.
 */
export function runPrimary(config: Config, options: PrimaryOptions = {}): Promise<number> {
  return new Primary(config, options).run();
}

class Primary implements SupervisorListener {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #supervisor: Supervisor;
  readonly #clusterMetrics = new ClusterMetrics();
  readonly #metrics: PrimaryMetrics;
  readonly #admin: AdminServer;
  /** The memory broker's log; null with Redis. */
  readonly #brokerHost: MemoryBrokerHost | null;
  #replay: DemoReplay | null = null;
  /** When each slot's figures came last. */
  readonly #snapshotMs = new Map<number, number>();
  readonly #stopped: Promise<void>;
  #stop: () => void = () => {};
  #stopping = false;

  constructor(config: Config, options: PrimaryOptions) {
    this.#config = config;
    this.#log = createLogger(config, { process: "primary" });
    this.#stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
    this.#brokerHost =
      config.broker.kind === "memory"
        ? new MemoryBrokerHost(systemClock, limitNumber(config.broker.memory.logBytesMax))
        : null;
    const workerCount = config.workers === "auto" ? availableParallelism() : config.workers;
    this.#supervisor = new Supervisor(
      {
        config,
        workerCount,
        workerExec: options.workerExec ?? defaultWorkerExec(),
        log: this.#log,
        boundSendBuffer: options.boundSendBuffer ?? null,
        stallTimeoutMs: options.stallTimeoutMs ?? stallTimeoutMsDefault,
        startTimeoutMs,
      },
      this,
    );
    this.#metrics = new PrimaryMetrics({
      version: packageVersion(),
      workersConfigured: workerCount,
      workersReady: () => this.#supervisor.readyCount(),
      workerRestarts: () => this.#supervisor.restarts(),
      memoryLogs: () => ({
        bytes: this.#brokerHost?.logBytes ?? 0,
        dropped: this.#brokerHost?.logsDropped ?? 0,
      }),
      snapshotAges: () => this.#snapshotAges(),
    });
    this.#admin = new AdminServer({
      metricsContentType: expositionContentType,
      metrics: () => this.#clusterMetrics.exposition(this.#metrics.snapshot()),
      problems: () => this.#supervisor.problems(),
      insight: createInsightRoutes(new Inspector(() => this.#supervisor.processes()), () =>
        this.#listWorkers(workerCount),
      ),
    });
  }

  async run(): Promise<number> {
    const ignoreSignals = listenToSignals({
      onStop: (signal) => {
        this.#stopping = true;
        this.#log.info({ signal }, "shutting down; once more ends at once");
        this.#stop();
      },
      onStopAgain: () => this.#supervisor.killAll(),
      onReplace: () => void this.#supervisor.replaceAll(this.#config.shutdown.drainTimeoutMs),
    });
    try {
      return await this.#serve();
    } finally {
      await this.#replay?.stop();
      await this.#supervisor.stop();
      this.#brokerHost?.stop();
      await this.#admin.close();
      this.#metrics.stop();
      ignoreSignals();
    }
  }

  onForked(worker: WorkerProcess): void {
    this.#brokerHost?.attach(worker.busPort());
  }

  onMetrics(worker: WorkerProcess, snapshot: MetricsSnapshot): void {
    this.#clusterMetrics.update(worker.id, snapshot);
    this.#snapshotMs.set(worker.slot, performance.now());
  }

  onGone(worker: WorkerProcess): void {
    this.#clusterMetrics.retire(worker.id);
  }

  async #serve(): Promise<number> {
    const { host, port } = this.#config.admin;
    let adminAddress: string;
    try {
      adminAddress = await this.#admin.listen(host, port);
    } catch (error) {
      return fail(`admin.port: ${host}:${port} ${listenProblem(error, "admin.port")}`, exitUnavailable);
    }
    try {
      this.#replay = await startDemoReplay(this.#config, this.#brokerHost, this.#log);
    } catch (error) {
      return fail(`demo.replay: ${messageOf(error)}`, exitConfig);
    }
    // A signal during the start ends it, so the start is not waited for then.
    const started = await Promise.race([this.#supervisor.start(), this.#stopped]);
    if (started !== undefined && !started.ok && !this.#stopping)
      return fail(started.message, started.exitCode);
    if (started?.ok === true) this.#announce([...started.addresses], adminAddress);
    await this.#stopped;
    await this.#replay?.stop();
    await this.#supervisor.drain(this.#config.shutdown.drainTimeoutMs);
    this.#log.info({}, "stopped");
    return 0;
  }

  #announce(addresses: readonly string[], adminAddress: string): void {
    const lines = [...addresses.map((address) => `listening ${address}`), `admin ${adminAddress}`];
    process.stdout.write(`${lines.join("\n")}\n`);
    this.#log.info({ workers: this.#supervisor.readyCount(), version: packageVersion() }, "ready");
    if (this.#replay !== null) {
      const { speed, loop } = this.#config.demo;
      this.#log.info({ publications: this.#replay.length, speed, loop }, "replaying recorded prices");
      const page = pageAddress(addresses);
      if (page !== undefined) this.#log.info({}, `open ${page} in a browser to watch them`);
    }
    const advice = kernelAdvice(this.#config.listen.reusePort ? null : this.#config.listen.sendBufferBytes);
    if (advice !== null) this.#log.info({}, advice);
    if (this.#config.auth.publishKeys.length === 0) {
      this.#log.warn(
        {},
        "no publish key is configured (auth.publishKeys): publishing over HTTP is open to this machine only",
      );
    }
  }

  #listWorkers(workersConfigured: number): WorkerList {
    return listWorkers({
      workersConfigured,
      readyCount: this.#supervisor.readyCount(),
      processes: this.#supervisor.processes(),
      restarts: this.#supervisor.restarts(),
      figures: ({ id, slot }) => {
        const snapshot = this.#clusterMetrics.latest(id);
        const atMs = this.#snapshotMs.get(slot);
        return snapshot === null || atMs === undefined ? null : { snapshot, atMs };
      },
    });
  }

  #snapshotAges(): { slot: number; seconds: number }[] {
    const nowMs = performance.now();
    return Array.from(this.#snapshotMs, ([slot, atMs]) => ({ slot, seconds: (nowMs - atMs) / 1000 }));
  }
}

/** An address that a browser on this machine can open. */
function pageAddress(addresses: readonly string[]): string | undefined {
  const address = addresses.find((each) => each.startsWith("http"));
  return address?.replace(/\/\/(?:0\.0\.0\.0|\[::\])/u, "//127.0.0.1");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** One clear line instead of a stack: what failed is the operator's to repair. */
function fail(message: string, exitCode: number): number {
  process.stderr.write(`tapecast: ${message}\n`);
  return exitCode;
}

function defaultWorkerExec(): string {
  // The same extension as this file: .js in dist, .ts where a loader runs the sources.
  const extension = extname(fileURLToPath(import.meta.url));
  return fileURLToPath(new URL(`../worker/worker-main${extension}`, import.meta.url));
}
