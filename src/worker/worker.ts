/**
 * A worker: where the layers are joined. The two ways of a message through Tapecast can be read here:
 *
 *   IN   socket → FrontDoor → Connection → codec → NativeSession → Hub.open → (first reader) Broker.open
 *   OUT  Broker → HubIntake (below) → Hub.publish → audiences → HubPacer: Hub.turn → Connection.write → kernel
 *
 * Nothing is decided here; every layer gets what it needs by its constructor.
 */
import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import type { Authenticator } from "../auth/authenticator.ts";
import { CredentialGuard, GuardedAuthenticator } from "../auth/credential-guard.ts";
import { PublishKeys } from "../auth/publish-keys.ts";
import { deflateCounters } from "../codec/deflate-counters.ts";
import { systemClock } from "../base/clock.ts";
import { ConfigError } from "../base/errors.ts";
import { KeyedBuckets } from "../base/keyed-buckets.ts";
import type { ListenerKind } from "../base/worker-messages.ts";
import { limitCounters } from "../base/limit-counters.ts";
import { readProblem } from "../base/system-problem.ts";
import { TokenBucket } from "../base/token-bucket.ts";
import { RateLimitedLog, type Log } from "../base/log.ts";
import type { InsightAnswer, InsightQuestion } from "../base/insight.ts";
import type { Arrival, ArrivalReceiver } from "../broker/arrival.ts";
import type { Broker, BrokerListener, BrokerStatus } from "../broker/broker.ts";
import type { Config } from "../config/schema.ts";
import { limitNumber } from "../config/schema.ts";
import { Connections } from "../connection/connections.ts";
import { probeHandleTransport } from "../connection/handle-trial.ts";
import type { AcceptPort } from "../http/accepting.ts";
import { FrontDoor } from "../http/front-door.ts";
import { createHttpApi, type HttpApi } from "../http/http-api.ts";
import { TrustedProxies } from "../http/trusted-proxies.ts";
import { Hub } from "../hub/hub.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import type { WorkerSources } from "../metrics/worker-metrics.ts";
import { WaitingTotal } from "../session/command-queue.ts";
import { SessionCounters, type SessionServices } from "../session/session-services.ts";
import { TopicAccess } from "../session/topic-access.ts";
import { UserLimits } from "../session/user-limits.ts";
import { closePaced, sleep } from "./drain.ts";
import { createRouter, type SessionBook } from "./endpoints.ts";
import { HubPacer } from "./hub-pacer.ts";
import { socketsMax } from "./open-files.ts";
import { answerInsight } from "./insight.ts";
import { RuleFigures } from "./rule-figures.ts";
import { WorkerHttpBackend } from "./worker-http-backend.ts";

/** What a worker is made of besides its configuration. */
export interface WorkerParts {
  readonly broker: Broker;
  readonly auth: Authenticator;
  readonly log: Log;
  readonly version: string;
  /** The primary, which shares its listening sockets; null: it listens by itself. */
  readonly acceptPort: AcceptPort | null;
  /** Told of every change of `Worker.status`. */
  readonly onStatus: (status: BrokerStatus) => void;
}

/** A topic that nobody wants stays open this long, so that page reloads cost no round trip to the broker. */
const topicLingerMs = 5000;
/** A subscribe waits this long for a broker that does not answer: answered within 4 s, a busy machine's half second included. */
const openTimeoutMs = 3500;
/** At a drain, who has connected and said nothing yet is waited for so long, or a quarter of the deadline. */
const lastHeadsMsMax = 1000;
/** A reader that returns is given at most this much in one write. */
const catchUpBytesMax = 262_144;

/** What WebSocket and HTTP have in common. */
interface WorkerShared {
  readonly topics: TopicAccess;
  readonly auth: GuardedAuthenticator;
  readonly proxies: TrustedProxies;
  readonly http: HttpApi;
}

export class Worker {
  readonly #config: Config;
  readonly #parts: WorkerParts;
  readonly #connections: Connections;
  readonly #sessions: SessionBook = new Map();
  readonly #sessionCounters = new SessionCounters();
  readonly #pacer: HubPacer;
  readonly #hub: Hub;
  readonly #http: HttpApi;
  readonly #door: FrontDoor;
  readonly #rules: RuleFigures;
  #isDraining = false;

  /** @throws ConfigError when a file of the configuration cannot be read. */
  static async create(config: Config, parts: WorkerParts): Promise<Worker> {
    const topics = new TopicAccess(config.topics, config.auth.required);
    const guard = new CredentialGuard(config.limits.badCredentialsPerAddressPerSecMax, systemClock);
    const auth = new GuardedAuthenticator(parts.auth, guard);
    const proxies = new TrustedProxies(config.listen.trustedProxies);
    const backend = new WorkerHttpBackend({
      broker: parts.broker,
      topics,
      keys: new PublishKeys(config.auth.publishKeys),
      auth,
      guard,
      publishes: new KeyedBuckets(config.limits.httpPublishesPerSecMax),
      clock: systemClock,
      status: () => worker.status(),
    });
    const peerLog = new RateLimitedLog(parts.log, systemClock);
    const http = await createHttpApi(backend, {
      messageBytesMax: limitNumber(config.limits.messageBytesMax),
      headBytesMax: config.limits.headBytesMax ?? 1_048_576,
      headTimeoutMs: config.limits.headTimeoutMs ?? 60_000,
      proxies,
      bodyBytesInFlightMax: limitNumber(config.limits.httpBodyBytesInFlightMax),
      answerBytesTotalMax: limitNumber(config.limits.httpAnswerBytesTotalMax),
      pendingAgeMsMax: config.limits.pendingAgeMsMax,
      requestsInFlightMax: limitNumber(config.limits.httpRequestsInFlightMax),
      requestsPerAddressPerSecMax: config.limits.httpRequestsPerAddressPerSecMax,
      version: parts.version,
      onError: (error, route) => peerLog.error({ err: error, route }, "an HTTP request failed"),
    });
    const worker = new Worker(config, parts, { topics, auth, proxies, http });
    return worker;
  }

  private constructor(config: Config, parts: WorkerParts, { topics, auth, proxies, http }: WorkerShared) {
    this.#config = config;
    this.#parts = parts;
    this.#http = http;
    this.#connections = new Connections(
      systemClock,
      limitNumber(config.limits.pendingBytesTotalMax),
      limitNumber(config.limits.arrivingBytesTotalMax),
      config.limits.workMsPerSecMax,
    );
    this.#rules = new RuleFigures(config.topics);
    const { broker } = parts;
    this.#pacer = new HubPacer(systemClock, config.flush.windowMsMax, config.flush.batchWindowMsMax);
    this.#hub = new Hub(
      {
        ringMessagesMax: config.flush.ringMessagesMax,
        ringBytesMax: limitNumber(config.limits.ringBytesTotalMax),
        onRingEmptied: () => limitCounters.hit("ringBytesTotalMax"),
        lingerMs: topicLingerMs,
        openTimeoutMs,
        catchUpBytesMax: Math.min(catchUpBytesMax, limitNumber(config.limits.pendingBytesMax) / 2),
        random: Math.random,
        wake: (dueMs) => this.#pacer.wake(dueMs),
      },
      {
        open: (topic, log) => broker.open(topic, new HubIntake(this.#hub, log)),
        close: (topic) => broker.close(topic),
      },
    );
    this.#pacer.drive(this.#hub);
    this.#door = new FrontDoor(
      { ...doorOptions(config, proxies), exclusive: parts.acceptPort === null },
      this.#connections,
      createRouter(config, this.#sessionServices(topics, auth), this.#sessions),
      http.server,
      parts.acceptPort,
    );
  }

  /** Connects to the broker and opens the listeners. Returns their addresses. @throws ConfigError */
  async start(): Promise<string[]> {
    const hub = this.#hub;
    const listener: BrokerListener = {
      onOpened: (topic, { position, entries, formers = [] }) => {
        hub.linked(topic, formers);
        hub.opened(topic, position, entries, systemClock.nowMs());
      },
      onGap: (topic, position, lostCount) => hub.gap(topic, position, lostCount, systemClock.nowMs()),
      onEpoch: (topic, epoch) => hub.renamed(topic, epoch),
      onStatus: () => this.#parts.onStatus(this.status()),
    };
    if (this.#config.listen.directHandles) {
      const problem = await probeHandleTransport();
      if (problem !== null) this.#parts.log.info({ problem }, "WebSockets are served on node's own sockets");
    }
    this.#connections.start();
    await this.#parts.broker.start(listener);
    const addresses = await this.#door.listen();
    this.#parts.onStatus(this.status());
    return addresses;
  }

  /** Whether this worker should be sent traffic, and why not. */
  status(): BrokerStatus {
    return this.#isDraining ? { ready: false, reason: "draining" } : this.#parts.broker.status();
  }

  /**
   * Goes away: takes no new connections, tells the clients, closes paced, finishes writes; what is left after
   * `deadlineMs` is cut.
   */
  async drain(deadlineMs: number): Promise<void> {
    if (this.#isDraining) return;
    this.#isDraining = true;
    const endMs = systemClock.nowMs() + deadlineMs;
    this.#parts.onStatus(this.status());
    this.#door.stopAccepting();
    await this.#door.hearLast(Math.min(lastHeadsMsMax, deadlineMs / 4));
    const targets = [...this.#sessions].map(([connection, session]) => ({
      depart: (reconnectAfterMs: number) => session.depart(reconnectAfterMs),
      close: (code: number, reason: string) => connection.close(code, reason),
    }));
    await closePaced(targets, deadlineMs);
    while (this.#connections.counters.open > 0 && systemClock.nowMs() < endMs) await sleep(20);
    await this.stop(Math.max(0, endMs - systemClock.nowMs()));
  }

  /** Ends everything. @param httpGraceMs how long requests in progress may take to finish. */
  async stop(httpGraceMs: number): Promise<void> {
    await this.#http.close(httpGraceMs);
    await this.#door.stop();
    this.#connections.stop();
    this.#pacer.stop();
    await this.#parts.broker.stop();
  }

  /** Sockets of every kind that are open. */
  get socketCount(): number {
    return this.#door.socketCount;
  }

  /** A copy of a listening socket's handle, from the primary. */
  takeListenerHandle(kind: ListenerKind, handle: unknown): void {
    this.#door.takeListenerHandle(kind, handle);
  }

  /** With more sockets than this the other workers go first. */
  setShare(sockets: number | null): void {
    this.#door.setShare(sockets);
  }

  /** Where the metrics read. */
  sources(): WorkerSources {
    const { broker } = this.#parts;
    return {
      connections: () => this.#connections.counters,
      ringBytes: () => this.#hub.ringBytes,
      arrivingBytes: () => this.#connections.arriving.counters.pendingBytes,
      turns: () => this.#connections.turns.counters,
      deflate: () => deflateCounters,
      limits: () => limitCounters.reached,
      frontDoor: () => this.#door.counters,
      sessions: () => this.#sessionCounters,
      hub: () => this.#hub.counters,
      broker: () => broker.counters,
      brokerReady: () => broker.status().ready,
      brokerLagMs: () => broker.lagMs(),
      rules: () => this.#rules.read(this.#hub.logs(), systemClock.nowMs()),
      http: () => this.#http.counters,
    };
  }

  /** What an operator asked about this worker. */
  inspect(question: InsightQuestion): Promise<InsightAnswer> {
    return answerInsight(
      {
        clock: systemClock,
        sessions: this.#sessions,
        hub: this.#hub,
        ratePerSec: (log) => this.#rules.ratePerSec(log),
        pause: () => setImmediate(),
      },
      question,
    );
  }

  #sessionServices(topics: TopicAccess, auth: GuardedAuthenticator): SessionServices {
    const { limits, heartbeat } = this.#config;
    const { broker, log } = this.#parts;
    const peerLog = new RateLimitedLog(log, systemClock);
    return {
      hub: this.#hub,
      broker,
      topics,
      auth,
      users: new UserLimits(limits.connectionsPerUserMax, limits.clientPublishesPerUserPerSecMax),
      commandBudget: new TokenBucket(limits.commandsPerWorkerPerSecMax, systemClock.nowMs()),
      clock: systemClock,
      wheel: this.#connections.wheel,
      limits: {
        topicsPerConnectionMax: limits.topicsPerConnectionMax,
        messageBytesMax: limitNumber(limits.messageBytesMax),
        clientPublishesPerSecMax: limits.clientPublishesPerSecMax,
        clientPublishesPerUserPerSecMax: limits.clientPublishesPerUserPerSecMax,
        topicsPerWorkerMax: limits.topicsPerWorkerMax,
        commandsPerWorkerPerSecMax: limits.commandsPerWorkerPerSecMax,
        pendingBytesMax: limitNumber(limits.pendingBytesMax),
        waitingCommandBytesMax: limitNumber(limits.waitingCommandBytesMax),
      },
      waiting: new WaitingTotal(limitNumber(limits.waitingCommandBytesTotalMax)),
      heartbeatMs: heartbeat.intervalMs,
      counters: this.#sessionCounters,
      onUnexpected: (error) => peerLog.error({ err: error }, "a session failed in an unexpected way"),
    };
  }
}

/** A topic's way from the broker into the hub. */
class HubIntake implements ArrivalReceiver {
  readonly #hub: Hub;
  readonly #log: TopicLog;

  constructor(hub: Hub, log: TopicLog) {
    this.#hub = hub;
    this.#log = log;
  }

  onArrival({ seq, bytes, origin, receivedMs, start, end }: Arrival): void {
    this.#hub.publish(this.#log, seq, bytes, origin, receivedMs, start, end);
  }
}

function doorOptions(
  config: Config,
  trustedProxies: TrustedProxies,
): ConstructorParameters<typeof FrontDoor>[0] {
  const { listen, limits, auth } = config;
  return {
    host: listen.host,
    port: listen.port,
    unixSocket: listen.unixSocket,
    reusePort: listen.reusePort,
    tls:
      listen.tls === null
        ? null
        : {
            cert: readPem("listen.tls.cert", listen.tls.cert),
            key: readPem("listen.tls.key", listen.tls.key),
          },
    allowedOrigins: auth.allowedOrigins,
    trustedProxies,
    headBytesMax: limitNumber(limits.headBytesMax),
    headTimeoutMs: limitNumber(limits.headTimeoutMs),
    socketsMax: socketsMax(),
    connectionsMax: limits.connectionsMax,
    connectionsPerAddressMax: limits.connectionsPerAddressMax,
    handshakesPerSecMax: limits.handshakesPerSecMax,
    handshakesPerAddressPerSecMax: limits.handshakesPerAddressPerSecMax,
    workMsPerAddressPerSecMax: limits.workMsPerAddressPerSecMax,
  };
}

function readPem(path: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ConfigError([{ path, message: `${file}: ${readProblem(error)}` }]);
  }
}
