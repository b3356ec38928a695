/**
 * What the primary and its workers say to each other over the cluster's IPC channel (`serialization: 'advanced'`,
 * so bytes travel as bytes). Both sides know these types and nothing else of each other. The configuration is a type
 * parameter because this layer knows no other.
 *
 * The life of a worker:
 *   primary forks → worker loads its code, listens for messages and says `booted` → `start` → worker listens →
 *   `ready` (or `startFailed`) → `heartbeat` and `metrics` each second, `status` when it changes → `drain` → worker
 *   closes what it has → last `metrics`, `drained` → `exit` → worker exits by itself.
 * `booted` is needed because what node:cluster delivers before the worker's module has run is lost (tried).
 * A worker ignores SIGINT and SIGHUP (a terminal sends them to the whole group; the primary decides), and ends when
 * the IPC channel closes.
 */

import type { InsightAnswer, InsightQuestion } from "./insight.ts";

/** How often a worker sends `heartbeat` and `metrics`. */
export const heartbeatIntervalMs = 1000;

/** Exit code of a start that failed because of an address, a file or a permission (sysexits EX_UNAVAILABLE). */
export const exitUnavailable = 69;
/** Exit code of a configuration that cannot work (sysexits EX_CONFIG). */
export const exitConfig = 78;

/** A worker has one listener of each at most. */
export type ListenerKind = "tcp" | "unix";

/** Broker traffic. `payload` belongs to the memory broker's two halves and is opaque to everybody in between. */
export interface BusMessage {
  readonly type: "bus";
  readonly payload: unknown;
}

/** Primary to worker. */
export type PrimaryMessage<Configuration> =
  | {
      readonly type: "start";
      /** Number of the worker's place, from 0; a replacement gets the place of the one it replaces. */
      readonly slot: number;
      readonly config: Configuration;
    }
  /**
   * One more copy of the handle of a listening socket, which travels with the message; the answer to `wantHandles`.
   */
  | { readonly type: "listenerHandle"; readonly kind: ListenerKind }
  /** With more sockets than this the worker lets the others accept; null for no such limit. */
  | { readonly type: "share"; readonly sockets: number | null }
  /** Stop accepting, tell the clients, close paced; whatever is left at the deadline is cut. */
  | { readonly type: "drain"; readonly deadlineMs: number }
  /** The answer to `drained`: nothing follows. */
  | { readonly type: "exit" }
  /** An operator asks; `inspected` with the same number follows. */
  | { readonly type: "inspect"; readonly id: number; readonly question: InsightQuestion }
  | BusMessage;

/** Worker to primary. */
export type WorkerMessage<Snapshot = unknown> =
  /** The worker's code runs and listens for messages; `start` follows. */
  | { readonly type: "booted" }
  /** Listening. `addresses` as people read them: `http://127.0.0.1:8080`, `unix:/run/tapecast.sock`. */
  | { readonly type: "ready"; readonly addresses: readonly string[] }
  /** Cannot listen or cannot work with this configuration; the worker exits by itself afterwards. */
  | { readonly type: "startFailed"; readonly message: string; readonly exitCode: number }
  /** Also sent, at most every 50 ms, while connections are accepted. `sockets`: how many are open. */
  | { readonly type: "heartbeat"; readonly sockets: number }
  /** Asks for copies of the handle of a socket at which this worker listens. */
  | { readonly type: "wantHandles"; readonly kind: ListenerKind; readonly count: number }
  /** The figures of `snapshot()` in src/metrics/worker-metrics.ts; once more right before `drained`. */
  | { readonly type: "metrics"; readonly snapshot: Snapshot }
  /** Whether the worker can do all its work. `reason` is for people, without secrets; null when ready. */
  | { readonly type: "status"; readonly ready: boolean; readonly reason: string | null }
  /** The drain is over; on `exit` the worker exits with 0. */
  | { readonly type: "drained" }
  /** The answer to `inspect`. */
  | { readonly type: "inspected"; readonly id: number; readonly answer: InsightAnswer }
  | BusMessage;
