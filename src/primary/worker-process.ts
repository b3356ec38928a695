/**
 * One worker process as the primary sees it: typed messages in and out, its state, and one call when it is gone for
 * good. Deliberately no policy: who is started, killed or replaced when is the supervisor's.
 */
import cluster, { type Worker } from "node:cluster";

import type { InsightAnswer, InsightQuestion } from "../base/insight.ts";
import type { PrimaryMessage, WorkerMessage } from "../base/worker-messages.ts";
import type { BusPort } from "../broker/bus-messages.ts";
import type { Config } from "../config/schema.ts";
import type { MetricsSnapshot } from "../metrics/snapshot.ts";
import type { ShareHolder } from "./accept-shares.ts";
import { ListenerHandles } from "./listener-handles.ts";

export type WorkerState = "starting" | "ready" | "draining" | "gone";

/** How a worker ended: an exit code, or the signal that ended it. */
export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** Declared by what watches a worker. */
export interface WorkerObserver {
  /** The worker is about to be given this TCP listener. */
  onListener(handle: object): void;
  onMessage(worker: WorkerProcess, message: WorkerMessage<MetricsSnapshot>): void;
  /** The process ended and everything it had sent was received. Once, and nothing follows. */
  onGone(worker: WorkerProcess, end: WorkerEnd): void;
}

/** How long messages of a dead process may still be on their way. */
const lastMessagesMs = 1000;

/** Questions of an operator that may wait for a worker: each kind twice. */
const questionsMax = 18;

/** A forked worker. */
export class WorkerProcess implements ShareHolder {
  readonly slot: number;
  readonly startedMs: number;
  state: WorkerState;
  /** When the process said anything last. */
  heardMs: number;
  /** Null until it was ready. */
  readyMs: number | null;
  /** How many it had open when it said so last. */
  sockets: number;
  /** What it reported last about its own readiness. */
  status: { readonly ready: boolean; readonly reason: string | null };
  /** Why we killed it, if we did. */
  killedBecause: "stalled" | "deadline" | null;
  readonly #worker: Worker;
  readonly #listenerHandles: ListenerHandles;
  readonly #whenGone: (() => void)[] = [];
  #onBus: ((payload: unknown) => void) | null = null;
  #questionId = 0;
  readonly #questions = new Map<number, (answer: InsightAnswer | null) => void>();

  /** Forks; `cluster.setupPrimary` was called before. */
  constructor(slot: number, config: Config, observer: WorkerObserver) {
    this.slot = slot;
    this.startedMs = performance.now();
    this.state = "starting";
    this.heardMs = this.startedMs;
    this.readyMs = null;
    this.sockets = 0;
    this.status = { ready: false, reason: "starting" };
    this.killedBecause = null;
    this.#worker = cluster.fork();
    this.#listenerHandles = new ListenerHandles(this.#worker.process, (handle) =>
      observer.onListener(handle),
    );
    this.#observe(observer, { type: "start", slot, config });
  }

  /** Number of the process, never used again for another. */
  get id(): number {
    return this.#worker.id;
  }

  /** Whether it takes new connections. */
  get isAccepting(): boolean {
    return this.state === "ready";
  }

  sendShare(sockets: number | null): void {
    this.send({ type: "share", sockets });
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  /**
   * Sends a message; to a process whose channel is closed it sends nothing.
   * @returns false when messages pile up because the process does not read.
   */
  send(message: PrimaryMessage<Config>): boolean {
    if (!this.#worker.isConnected()) return true;
    return this.#worker.process.send(message);
  }

  /** Ends the process now, whatever it is doing. */
  kill(because: WorkerProcess["killedBecause"]): void {
    this.killedBecause ??= because;
    this.#worker.process.kill("SIGKILL");
  }

  /** Calls `callback` after the observer was told that the process is gone. The process is not gone yet. */
  whenGone(callback: () => void): void {
    this.#whenGone.push(callback);
  }

  /**
   * Asks something of the process. Null when it does not answer in time, is gone, or has as many questions unanswered
   * already as it may have: one that stands still is not given more to do.
   */
  inspect(question: InsightQuestion, timeoutMs: number): Promise<InsightAnswer | null> {
    if (this.#questions.size >= questionsMax || !this.#worker.isConnected()) return Promise.resolve(null);
    this.#questionId += 1;
    const id = this.#questionId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), timeoutMs);
      // Kept beyond the time: only its answer, or its end, tells that the process came so far.
      this.#questions.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.send({ type: "inspect", id, question });
    });
  }

  /** The broker's traffic with this process, for the memory broker's host. */
  busPort(): BusPort {
    return {
      send: (payload) => {
        this.send({ type: "bus", payload });
      },
      onMessage: (listener) => {
        this.#onBus = listener;
      },
      onClose: (listener) => this.whenGone(listener),
    };
  }

  #answered(id: number, answer: InsightAnswer): void {
    this.#questions.get(id)?.(answer);
    this.#questions.delete(id);
  }

  #observe(observer: WorkerObserver, start: PrimaryMessage<Config>): void {
    const worker = this.#worker;
    // A send to a process that died a moment ago; its exit follows and tells all there is to tell.
    worker.on("error", () => {});
    worker.on("message", (message: WorkerMessage<MetricsSnapshot>) => {
      this.heardMs = performance.now();
      if (message.type === "booted") this.send(start);
      else if (message.type === "bus") this.#onBus?.(message.payload);
      else if (message.type === "wantHandles") this.#listenerHandles.send(message.kind, message.count);
      else if (message.type === "inspected") this.#answered(message.id, message.answer);
      else if (this.state !== "gone") observer.onMessage(this, message);
    });
    worker.once("exit", (code, signal) => {
      const gone = (): void => {
        if (this.state === "gone") return;
        this.state = "gone";
        for (const answer of this.#questions.values()) answer(null);
        this.#questions.clear();
        observer.onGone(this, { code, signal });
        for (const callback of this.#whenGone) callback();
      };
      // `exit` may come before the last messages, `disconnect` comes after them.
      if (!worker.isConnected()) {
        gone();
        return;
      }
      const timer = setTimeout(gone, lastMessagesMs);
      worker.once("disconnect", () => {
        clearTimeout(timer);
        gone();
      });
    });
  }
}
