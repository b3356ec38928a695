/**
 * Keeps every slot filled with a living worker: starts, restarts with backoff, kills what stands still, replaces one
 * by one without a pause, drains. A first start that fails is an answer, not a loop: the operator must repair it.
 */
import cluster from "node:cluster";

import type { Log } from "../base/log.ts";
import { heartbeatIntervalMs, type WorkerMessage } from "../base/worker-messages.ts";
import type { Config } from "../config/schema.ts";
import type { MetricsSnapshot } from "../metrics/snapshot.ts";
import { AcceptShares } from "./accept-shares.ts";
import { RestartBackoff } from "./restart-backoff.ts";
import { firstFailureOrAll, portOf, type StartResult } from "./start-result.ts";
import { workerFlags } from "./worker-flags.ts";
import { WorkerProcess, type WorkerEnd, type WorkerObserver } from "./worker-process.ts";

/** Told of everything that concerns others than the supervisor. */
export interface SupervisorListener {
  onForked(worker: WorkerProcess): void;
  onMetrics(worker: WorkerProcess, snapshot: MetricsSnapshot): void;
  onGone(worker: WorkerProcess): void;
}

/**
 * Bounds what the kernel takes for each connection that is accepted on a listener from now on.
 * @returns null, or why that is not to be had.
 */
export type SendBufferBound = (listener: object, bytes: number) => string | null;

export interface SupervisorOptions {
  readonly config: Config;
  readonly workerCount: number;
  /** File that a worker process runs. */
  readonly workerExec: string;
  readonly log: Log;
  readonly boundSendBuffer: SendBufferBound | null;
  /** A worker that says nothing for this long is killed. */
  readonly stallTimeoutMs: number;
  /** A new worker may say nothing for this long. */
  readonly startTimeoutMs: number;
}

interface Slot {
  readonly index: number;
  readonly backoff: RestartBackoff;
  /** The worker that counts; a replacement takes this place when it is ready. */
  current: WorkerProcess | null;
  restartTimer: NodeJS.Timeout | null;
  restartsExited: number;
  restartsStalled: number;
}

type Phase = "starting" | "running" | "stopping";

/** After this many milliseconds of silence a worker no longer counts as ready. */
const silenceMs = 3 * heartbeatIntervalMs;
/** A worker that ended its drain still has its last lines to write before it is cut. */
const drainGraceMs = 1000;
/** A restart waits no longer than this while nobody listens: then it is not one slot that is missing but the server. */
const closedDoorMsMax = 1000;

/** Supervises the workers of one server. One per process: node:cluster has one setting. */
export class Supervisor implements WorkerObserver {
  readonly #options: SupervisorOptions;
  readonly #listener: SupervisorListener;
  readonly #slots: readonly Slot[];
  readonly #processes = new Set<WorkerProcess>();
  readonly #shares = new AcceptShares(() => [...this.#processes]);
  readonly #waiting = new Map<WorkerProcess, (result: StartResult) => void>();
  #config: Config;
  #chosenPort: number | null = null;
  #phase: Phase = "starting";
  #watchTimer: NodeJS.Timeout | null = null;
  #watchedMs = 0;
  #replacing = false;
  #onEmpty: (() => void)[] = [];

  constructor(options: SupervisorOptions, listener: SupervisorListener) {
    this.#options = options;
    this.#listener = listener;
    this.#config = options.config;
    this.#slots = Array.from({ length: options.workerCount }, (_, index) => ({
      index,
      backoff: new RestartBackoff(),
      current: null,
      restartTimer: null,
      restartsExited: 0,
      restartsStalled: 0,
    }));
  }

  /** Starts all workers. Resolves when all are ready, or when the first of them cannot be; then none is left. */
  async start(): Promise<StartResult> {
    // The workers accept by themselves (docs/adr/0005-accepting.md). The primary's round robin costs both half of a
    // handshake, and hands a worker one socket in each turn of its event loop.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({
      exec: this.#options.workerExec,
      execArgv: [
        ...process.execArgv,
        ...workerFlags(process.versions.v8, [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""]),
      ],
      args: [],
      serialization: "advanced",
    });
    this.#watchedMs = performance.now();
    this.#watchTimer = setInterval(() => this.#watch(), heartbeatIntervalMs / 2);
    const starts = this.#slots.map((slot) => {
      slot.current = this.#fork(slot.index);
      return this.#started(slot.current);
    });
    const result = await firstFailureOrAll(starts);
    if (!result.ok) await this.stop();
    else if (this.#phase === "starting") this.#phase = "running";
    return result;
  }

  /** What keeps the cluster from being ready, one line for each slot concerned; empty when all is well. */
  problems(): readonly string[] {
    const nowMs = performance.now();
    if (this.#phase === "stopping") return ["shutting down"];
    return this.#slots.flatMap(({ index, current }) => {
      const problem = workerProblem(current, nowMs);
      return problem === null ? [] : [`worker ${index}: ${problem}`];
    });
  }

  /** Slots whose worker listens. */
  readyCount(): number {
    return this.#slots.filter(({ current }) => current?.state === "ready").length;
  }

  /** Every living process, those that start or drain among them, by slot. */
  processes(): readonly WorkerProcess[] {
    return [...this.#processes].sort((left, right) => left.slot - right.slot || left.id - right.id);
  }

  /** Unasked ends by slot and cause. */
  restarts(): readonly { readonly slot: number; readonly cause: string; readonly count: number }[] {
    return this.#slots.flatMap(({ index, restartsExited, restartsStalled }) => [
      { slot: index, cause: "exited", count: restartsExited },
      { slot: index, cause: "stalled", count: restartsStalled },
    ]);
  }

  /**
   * Replaces all workers one by one: the new one listens before the old one drains. When a new one cannot start,
   * the old one stays and the rest is left as it is.
   */
  async replaceAll(drainTimeoutMs: number): Promise<void> {
    const { log } = this.#options;
    if (this.#replacing || this.#phase !== "running") {
      log.warn({}, "workers are not replaced: a start, a replacement or a shutdown is going on");
      return;
    }
    this.#replacing = true;
    log.info({}, "replacing workers");
    for (const slot of this.#slots) {
      if (!(await this.#replace(slot, drainTimeoutMs))) break;
    }
    this.#replacing = false;
  }

  /** Drains all workers, cutting what is left at the deadline, and resolves when no process is left. */
  async drain(timeoutMs: number): Promise<void> {
    this.#beginStopping();
    const deadline = setTimeout(() => this.killAll(), timeoutMs + drainGraceMs);
    for (const worker of this.#processes) this.#drainWorker(worker, timeoutMs);
    await this.#empty();
    clearTimeout(deadline);
  }

  /** Ends all workers at once and resolves when no process is left. */
  async stop(): Promise<void> {
    this.#beginStopping();
    this.killAll();
    await this.#empty();
  }

  /** Sends SIGKILL to every worker; returns at once. */
  killAll(): void {
    for (const worker of this.#processes) worker.kill("deadline");
  }

  onMessage(worker: WorkerProcess, message: WorkerMessage<MetricsSnapshot>): void {
    switch (message.type) {
      case "ready":
        if (this.#isOnWrongPort(worker, message.addresses)) break;
        if (worker.state === "starting") worker.state = "ready";
        worker.readyMs = performance.now();
        if (worker.status.reason === "starting") worker.status = { ready: true, reason: null };
        this.#settle(worker, { ok: true, addresses: message.addresses });
        break;
      case "startFailed":
        if (this.#phase === "running") {
          this.#options.log.error({ worker: worker.slot, cause: message.message }, "worker could not start");
        }
        this.#settle(worker, { ok: false, message: message.message, exitCode: message.exitCode });
        break;
      case "status":
        worker.status = { ready: message.ready, reason: message.reason };
        break;
      case "metrics":
        this.#listener.onMetrics(worker, message.snapshot);
        break;
      case "drained":
        worker.send({ type: "exit" });
        break;
      case "heartbeat":
        worker.sockets = message.sockets;
        if (this.#phase === "running") this.#shares.changed();
        break;
      // Heard, which is all that these are for here; the bus has its own listener.
      case "booted":
      case "bus":
      case "wantHandles":
      case "inspected":
        break;
    }
  }

  onListener(handle: object): void {
    const { boundSendBuffer } = this.#options;
    const { sendBufferBytes } = this.#config.listen;
    if (boundSendBuffer === null || sendBufferBytes === null) return;
    const problem = boundSendBuffer(handle, sendBufferBytes);
    if (problem === null || this.#phase !== "starting") return;
    this.#options.log.warn({ cause: problem }, "listen.sendBufferBytes has no effect here");
  }

  onGone(worker: WorkerProcess, end: WorkerEnd): void {
    this.#processes.delete(worker);
    if (this.#phase === "running") this.#shares.changed();
    this.#listener.onGone(worker);
    const message = `a worker ended before it was ready (${describeEnd(end)})`;
    this.#settle(worker, { ok: false, message, exitCode: 1 });
    const slot = this.#slots[worker.slot];
    if (slot?.current === worker) {
      slot.current = null;
      // A worker that never was ready in the first start is that start's answer and is not tried again.
      const mayRestart = this.#phase === "running" || (this.#phase === "starting" && worker.readyMs !== null);
      if (mayRestart) this.#restartLater(slot, worker, end);
    }
    if (this.#processes.size > 0) return;
    for (const resolve of this.#onEmpty) resolve();
    this.#onEmpty = [];
  }

  #fork(slotIndex: number): WorkerProcess {
    if (this.#processes.size === 0) this.#keepPort();
    const worker = new WorkerProcess(slotIndex, this.#config, this);
    this.#processes.add(worker);
    this.#listener.onForked(worker);
    return worker;
  }

  /**
   * With `listen.port` 0 the system chooses a port when the first worker listens, and node:cluster shares it for as
   * long as any worker lives. When none is left, the next one asks for that port by its number.
   */
  #keepPort(): void {
    if (this.#config.listen.port !== 0 || this.#chosenPort === null) return;
    this.#config = { ...this.#config, listen: { ...this.#config.listen, port: this.#chosenPort } };
  }

  /**
   * A worker may be started while another one lives, and that one be gone before the first listens: then the system
   * chooses again, and nobody knows the new port. Such a worker is ended, and comes back on the right one.
   */
  #isOnWrongPort(worker: WorkerProcess, addresses: readonly string[]): boolean {
    const port = portOf(addresses);
    this.#chosenPort ??= port;
    if (port === this.#chosenPort || this.#chosenPort === null) return false;
    this.#config = { ...this.#config, listen: { ...this.#config.listen, port: this.#chosenPort } };
    worker.kill(null);
    return true;
  }

  #started(worker: WorkerProcess): Promise<StartResult> {
    return new Promise((resolve) => {
      this.#waiting.set(worker, resolve);
    });
  }

  #settle(worker: WorkerProcess, result: StartResult): void {
    this.#waiting.get(worker)?.(result);
    this.#waiting.delete(worker);
  }

  #restartLater(slot: Slot, worker: WorkerProcess, end: WorkerEnd): void {
    const stalled = worker.killedBecause === "stalled";
    if (stalled) slot.restartsStalled++;
    else slot.restartsExited++;
    const readyForMs = worker.readyMs === null ? 0 : performance.now() - worker.readyMs;
    const delayMs = slot.backoff.nextDelayMs(readyForMs);
    const restartInMs = this.readyCount() === 0 ? Math.min(delayMs, closedDoorMsMax) : delayMs;
    const cause = stalled ? "its event loop stood still" : describeEnd(end);
    this.#options.log.error(
      { worker: slot.index, pid: worker.pid, cause, restartInMs },
      "worker ended; starting it again",
    );
    slot.restartTimer = setTimeout(() => this.#restart(slot), restartInMs);
    if (this.readyCount() > 0) return;
    // What waited in other slots while this one served need not wait any longer either.
    for (const other of this.#slots) {
      if (other === slot || other.restartTimer === null) continue;
      clearTimeout(other.restartTimer);
      other.restartTimer = setTimeout(() => this.#restart(other), restartInMs);
    }
  }

  #restart(slot: Slot): WorkerProcess {
    if (slot.restartTimer !== null) clearTimeout(slot.restartTimer);
    slot.restartTimer = null;
    return (slot.current = this.#fork(slot.index));
  }

  async #replace(slot: Slot, drainTimeoutMs: number): Promise<boolean> {
    const old = slot.current;
    if (this.#phase !== "running") return false;
    if (old === null) {
      // It waits to be started again, maybe for half a minute. Whoever asks for new workers wants it now, and the next
      // slot may not be drained before it is there.
      if (slot.restartTimer !== null) await this.#started(this.#restart(slot));
      return true;
    }
    const next = this.#fork(slot.index);
    const result = await this.#started(next);
    if (!result.ok) {
      this.#options.log.error(
        { worker: slot.index, cause: result.message },
        "worker not replaced; the old one stays",
      );
      next.kill("deadline");
      return false;
    }
    // The old one may have died meanwhile, and its restart be due or done, which is not needed any more.
    const restarted = slot.current === old ? null : slot.current;
    slot.current = next;
    if (slot.restartTimer !== null) clearTimeout(slot.restartTimer);
    slot.restartTimer = null;
    if (restarted !== null) void this.#drained(restarted, drainTimeoutMs);
    this.#options.log.info({ worker: slot.index, pid: next.pid }, "worker replaced; the old one drains");
    await this.#drained(old, drainTimeoutMs);
    return true;
  }

  /** Drains one worker and resolves when it is gone. */
  #drained(worker: WorkerProcess, timeoutMs: number): Promise<void> {
    if (worker.state === "gone") return Promise.resolve();
    return new Promise((resolve) => {
      const deadline = setTimeout(() => worker.kill("deadline"), timeoutMs + drainGraceMs);
      worker.whenGone(() => {
        clearTimeout(deadline);
        resolve();
      });
      this.#drainWorker(worker, timeoutMs);
    });
  }

  #drainWorker(worker: WorkerProcess, timeoutMs: number): void {
    // One that is not ready yet has no clients to tell.
    if (worker.state === "starting") worker.kill("deadline");
    if (worker.state !== "ready") return;
    worker.state = "draining";
    worker.send({ type: "drain", deadlineMs: timeoutMs });
  }

  #beginStopping(): void {
    this.#phase = "stopping";
    this.#shares.stop();
    if (this.#watchTimer !== null) clearInterval(this.#watchTimer);
    for (const slot of this.#slots) {
      if (slot.restartTimer !== null) clearTimeout(slot.restartTimer);
      slot.restartTimer = null;
    }
  }

  #empty(): Promise<void> {
    if (this.#processes.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
    });
  }

  /** Kills workers that have been silent for too long. */
  #watch(): void {
    const nowMs = performance.now();
    // When this process itself stood still (stopped and continued, an overloaded machine), what the workers said is
    // still unread, and their silence says nothing.
    const wasAsleep = nowMs - this.#watchedMs > 2 * heartbeatIntervalMs;
    this.#watchedMs = nowMs;
    for (const worker of this.#processes) {
      if (wasAsleep) worker.heardMs = nowMs;
      const silentMs = nowMs - worker.heardMs;
      const { stallTimeoutMs, startTimeoutMs } = this.#options;
      const timeoutMs = worker.heardMs === worker.startedMs ? startTimeoutMs : stallTimeoutMs;
      if (silentMs > timeoutMs && worker.state !== "draining") worker.kill("stalled");
    }
  }
}

/** What keeps a worker from being ready, for people; null when nothing does. */
export function workerProblem(worker: WorkerProcess | null, nowMs: number): string | null {
  if (worker === null) return "ended, waiting to be started again";
  if (worker.state === "starting") return "starting";
  if (worker.killedBecause !== null) return "killed, waiting to be started again";
  const silentForMs = nowMs - worker.heardMs;
  if (silentForMs > silenceMs) return `silent for ${Math.round(silentForMs / 1000)} s`;
  return worker.status.ready ? null : (worker.status.reason ?? "not ready");
}

function describeEnd({ code, signal }: WorkerEnd): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}
