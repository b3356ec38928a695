/**
 * What a worker process runs: the cluster's IPC channel on one side, a `Worker` on the other. The messages are
 * described in base/worker-messages.ts.
 */
import { Authenticator } from "../auth/authenticator.ts";
import { systemClock } from "../base/clock.ts";
import { BrokerError, ConfigError } from "../base/errors.ts";
import type { InsightQuestion } from "../base/insight.ts";
import { exitConfig, exitUnavailable, heartbeatIntervalMs } from "../base/worker-messages.ts";
import type { PrimaryMessage, WorkerMessage } from "../base/worker-messages.ts";
import type { Log } from "../base/log.ts";
import type { Broker } from "../broker/broker.ts";
import type { BusPort } from "../broker/bus-messages.ts";
import { MemoryBroker } from "../broker/memory-broker.ts";
import { createRedisBroker } from "../broker/redis-broker.ts";
import type { Config } from "../config/schema.ts";
import { limitNumber } from "../config/schema.ts";
import { WorkerMetrics } from "../metrics/worker-metrics.ts";
import { packageVersion } from "../base/package-version.ts";
import { createLogger } from "./log.ts";
import { warmUp } from "./warm-up.ts";
import { Worker } from "./worker.ts";

type Incoming = PrimaryMessage<Config>;

/** A problem of these is an address that cannot be had, not a configuration that cannot be right. */
const addressKeys: ReadonlySet<string> = new Set(["listen.port", "listen.unixSocket"]);

let onBus: (payload: unknown) => void = () => undefined;
let worker: Worker | null = null;
let metrics: WorkerMetrics | null = null;

function send(message: WorkerMessage): void {
  if (process.connected) process.send?.(message);
}

const busPort: BusPort = {
  send: (payload) => send({ type: "bus", payload }),
  onMessage: (listener) => {
    onBus = listener;
  },
  // Without its primary this process ends, see below: nobody is left to tell.
  onClose: () => undefined,
};

function createBroker(config: Config, log: Log): Broker {
  if (config.broker.kind === "memory") return new MemoryBroker(busPort);
  const messageBytesMax = limitNumber(config.limits.messageBytesMax);
  return createRedisBroker({ ...config.broker.redis, messageBytesMax }, log);
}

async function start(slot: number, config: Config): Promise<void> {
  const log = createLogger(config, { process: "worker", slot });
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "uncaught: this worker ends and is replaced");
    log.flush(() => process.exit(1));
  });
  try {
    await prepare(config, log);
    worker = await Worker.create(config, {
      broker: createBroker(config, log),
      auth: new Authenticator({ ...config.auth, clock: systemClock }),
      log,
      version: packageVersion(),
      acceptPort: {
        wantHandles: (kind, count) => send({ type: "wantHandles", kind, count }),
        tellSockets: (sockets) => send({ type: "heartbeat", sockets }),
      },
      onStatus: ({ ready, reason }) => send({ type: "status", ready, reason }),
    });
    const figures = new WorkerMetrics(slot, worker.sources());
    metrics = figures;
    setInterval(() => {
      send({ type: "heartbeat", sockets: worker?.socketCount ?? 0 });
      send({ type: "metrics", snapshot: figures.snapshot() });
    }, heartbeatIntervalMs);
    const addresses = await worker.start();
    // Before `ready`, so that whoever scrapes a server that is ready finds every metric.
    send({ type: "metrics", snapshot: figures.snapshot() });
    send({ type: "ready", addresses });
  } catch (error) {
    fail(error);
  }
}

async function prepare(config: Config, log: Log): Promise<void> {
  const count = config.listen.warmUpConnections;
  if (count === 0) return;
  const { served, problem } = await warmUp(config, count);
  if (problem !== null) log.info({ served, problem }, "this worker begins before it has warmed up");
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const isAddress = error instanceof ConfigError && error.problems.some(({ path }) => addressKeys.has(path));
  const isConfig = error instanceof ConfigError || (error instanceof BrokerError && !error.retryable);
  const exitCode = isAddress ? exitUnavailable : isConfig ? exitConfig : 1;
  send({ type: "startFailed", message, exitCode });
  process.disconnect();
}

async function drain(deadlineMs: number): Promise<void> {
  await worker?.drain(deadlineMs);
  if (metrics !== null) send({ type: "metrics", snapshot: metrics.snapshot() });
  send({ type: "drained" });
}

/** A worker that has not started yet has nothing to tell, and is not asked. */
async function inspect(id: number, question: InsightQuestion): Promise<void> {
  if (worker !== null) send({ type: "inspected", id, answer: await worker.inspect(question) });
}

// The terminal sends these to the whole group; the primary decides what they mean.
for (const signal of ["SIGINT", "SIGHUP", "SIGTERM"] as const) process.on(signal, () => undefined);

process.on("disconnect", () => process.exit());
process.on("message", (message: Incoming, handle: unknown) => {
  if (message.type === "listenerHandle") worker?.takeListenerHandle(message.kind, handle);
  else if (message.type === "share") worker?.setShare(message.sockets);
  else if (message.type === "bus") onBus(message.payload);
  else if (message.type === "start") void start(message.slot, message.config);
  else if (message.type === "drain") void drain(message.deadlineMs);
  else if (message.type === "inspect") void inspect(message.id, message.question);
  else process.disconnect();
});
send({ type: "booted" });
