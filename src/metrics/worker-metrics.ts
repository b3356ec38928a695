/**
 * A worker's metrics: reads the plain integers of the layers when a snapshot is taken, and at no other time.
 * What each layer must offer is declared here (`WorkerSources`); the worker's composition root hands it over.
 */
import type { PlainHistogram } from "../base/plain-histogram.ts";
import { workerCatalogue, type WorkerMetric } from "./catalogue.ts";
import { EventLoopFigures } from "./event-loop-figures.ts";
import {
  byLabel,
  cpuSeconds,
  takeSnapshot,
  type CountsByLabel,
  type MetricsSnapshot,
  type Reading,
} from "./snapshot.ts";

/** As `ConnectionCounters` of src/connection/connection-counters.ts. */
export interface ConnectionSources {
  readonly open: number;
  readonly opened: number;
  readonly closed: CountsByLabel;
  readonly messagesIn: number;
  readonly reads: number;
  readonly bytesIn: number;
  readonly writes: number;
  readonly bytesOut: number;
  readonly pingsIn: number;
  readonly pended: number;
  readonly pendingBytes: number;
  readonly shed: number;
  readonly deflateAgreed: number;
}

/** As `TurnCounters` of src/base/turn-queue.ts. */
export interface TurnSources {
  readonly waiting: number;
  readonly waitingBytes: number;
  readonly cut: CountsByLabel;
}

/** As `deflateCounters` of src/codec/deflate-counters.ts. */
export interface DeflateSources {
  readonly deflated: number;
  readonly deflateBytesIn: number;
  readonly deflateBytesOut: number;
  readonly unshrinkable: number;
  readonly inflated: number;
  readonly inflateBytesIn: number;
  readonly inflateBytesOut: number;
}

/** As `FrontDoorCounters` of src/http/front-door-counters.ts. */
export interface FrontDoorSources {
  readonly accepted: number;
  readonly upgraded: number;
  readonly waiting: number;
  readonly httpOpen: number;
  readonly refused: CountsByLabel;
}

export interface SessionSources {
  readonly commandsByMethod: CountsByLabel;
  readonly errorsByCode: CountsByLabel;
}

export interface HubSources {
  readonly topics: number;
  readonly subscriptions: number;
  readonly audiences: number;
  readonly publications: number;
  readonly deliveries: number;
  readonly writes: number;
  readonly bytesOut: number;
  readonly flushes: number;
  readonly laggingReaders: number;
  readonly windowMs: number;
  readonly conflatedByClass: CountsByLabel;
  readonly sampledOut: number;
  readonly lostEvents: number;
  readonly historyGaps: number;
  readonly overruns: number;
  readonly flushDurationMs: PlainHistogram;
  readonly publishToWriteMs: PlainHistogram;
}

/** What is known of the open topics of one rule of the configuration. */
export interface RuleSources {
  /** The rule's pattern; `other` for all rules behind the first ones. */
  readonly rule: string;
  readonly topics: number;
  /** Those without a publication within the last minute. */
  readonly quietTopics: number;
  readonly publications: number;
  /** Age of the newest publication of all; null when there was none. */
  readonly newestAgeMs: number | null;
}

/** As `BrokerCounters` of src/broker/broker.ts. */
export interface BrokerSources {
  readonly topicsOpen: number;
  readonly publicationsReceived: number;
  readonly publicationsPublished: number;
  readonly publishFailures: number;
  readonly publicationsRejected: number;
  readonly duplicatesDropped: number;
  readonly gapsRepaired: number;
  readonly gapsUnrepaired: number;
  readonly reconnects: number;
  readonly redirectsMoved: number;
  readonly redirectsAsk: number;
}

/** As `HttpCounters` of src/http/http-counters.ts. */
export interface HttpSources {
  readonly publicationsAccepted: number;
  readonly publicationsRefused: CountsByLabel;
  /** By route name (`publish`, `page`), then by class of status (`2xx`). */
  readonly requests: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly clientErrors: number;
  readonly requestsInFlight: number;
  readonly answers: { readonly pendingBytes: number };
}

/** Functions, because a layer may replace its counter object; each is called once a snapshot. */
export interface WorkerSources {
  connections(): ConnectionSources;
  /** Bytes held of messages that are not whole. */
  arrivingBytes(): number;
  ringBytes(): number;
  turns(): TurnSources;
  deflate(): DeflateSources;
  /** As `limitCounters.reached` of src/base/limit-counters.ts. */
  limits(): CountsByLabel;
  frontDoor(): FrontDoorSources;
  sessions(): SessionSources;
  hub(): HubSources;
  broker(): BrokerSources;
  brokerReady(): boolean;
  brokerLagMs(): number | null;
  rules(): readonly RuleSources[];
  http(): HttpSources;
}

/** The metrics of one worker process. */
export class WorkerMetrics {
  readonly #slot: string;
  readonly #eventLoop = new EventLoopFigures();
  readonly #readings: Readonly<Record<WorkerMetric, () => Reading>>;

  /** @param slot the worker's place, the value of the label `worker`. */
  constructor(slot: number, sources: WorkerSources) {
    this.#slot = String(slot);
    this.#readings = workerReadings(sources, this.#eventLoop);
  }

  /** All figures now, to be sent to the primary each second. */
  snapshot(): MetricsSnapshot {
    return takeSnapshot(workerCatalogue, this.#readings, { worker: this.#slot });
  }

  stop(): void {
    this.#eventLoop.stop();
  }
}

function workerReadings(
  sources: WorkerSources,
  eventLoop: EventLoopFigures,
): Readonly<Record<WorkerMetric, () => Reading>> {
  return {
    ...connectionReadings(sources),
    limitsReached: () => byLabel("limit", sources.limits()),
    commands: () => byLabel("method", sources.sessions().commandsByMethod),
    commandErrors: () => byLabel("code", sources.sessions().errorsByCode),
    ...hubReadings(sources),
    ...brokerReadings(sources),
    ...ruleReadings(sources),
    publishesAccepted: () => sources.http().publicationsAccepted,
    publishesRefused: () => byLabel("code", sources.http().publicationsRefused),
    httpRequestsInFlight: () => sources.http().requestsInFlight,
    httpAnswerBytes: () => sources.http().answers.pendingBytes,
    httpClientErrors: () => sources.http().clientErrors,
    httpRequests: () =>
      Object.entries(sources.http().requests).flatMap(([route, byStatus]) =>
        Object.entries(byStatus).map(([status, value]) => ({ labels: { route, status }, value })),
      ),
    eventLoopDelay: () => byLabel("quantile", eventLoop.takeDelays()),
    eventLoopUtilization: () => eventLoop.takeUtilization(),
    residentMemory: () => process.memoryUsage.rss(),
    heapUsed: () => process.memoryUsage().heapUsed,
    externalMemory: () => process.memoryUsage().external,
    cpuSeconds,
  };
}

function connectionReadings(sources: WorkerSources) {
  return {
    socketsAccepted: () => sources.frontDoor().accepted,
    socketsWaiting: () => sources.frontDoor().waiting,
    handshakesAccepted: () => sources.frontDoor().upgraded,
    handshakesRefused: () => byLabel("reason", sources.frontDoor().refused),
    httpConnections: () => sources.frontDoor().httpOpen,
    connectionsOpen: () => sources.connections().open,
    connectionsOpened: () => sources.connections().opened,
    connectionsClosed: () => byLabel("reason", sources.connections().closed),
    messagesReceived: () => sources.connections().messagesIn,
    pingsReceived: () => sources.connections().pingsIn,
    deflateConnections: () => sources.connections().deflateAgreed,
    deflateMessages: () => sources.deflate().deflated,
    deflateBytesIn: () => sources.deflate().deflateBytesIn,
    deflateBytesOut: () => sources.deflate().deflateBytesOut,
    deflateUnshrinkable: () => sources.deflate().unshrinkable,
    inflateMessages: () => sources.deflate().inflated,
    inflateBytesIn: () => sources.deflate().inflateBytesIn,
    inflateBytesOut: () => sources.deflate().inflateBytesOut,
    bytesReceived: () => sources.connections().bytesIn,
    bytesSent: () => sources.connections().bytesOut,
    socketReads: () => sources.connections().reads,
    socketWrites: () => sources.connections().writes,
    socketWritesPended: () => sources.connections().pended,
    pendingBytes: () => sources.connections().pendingBytes,
    arrivingBytes: () => sources.arrivingBytes(),
    ringBytes: () => sources.ringBytes(),
    turnsCut: () => byLabel("reason", sources.turns().cut),
    connectionsWaitingTurn: () => sources.turns().waiting,
    waitingTurnBytes: () => sources.turns().waitingBytes,
    connectionsShed: () => sources.connections().shed,
  };
}

function hubReadings(sources: WorkerSources) {
  return {
    topics: () => sources.hub().topics,
    subscriptions: () => sources.hub().subscriptions,
    audiences: () => sources.hub().audiences,
    publicationsIn: () => sources.hub().publications,
    deliveries: () => sources.hub().deliveries,
    hubWrites: () => sources.hub().writes,
    hubBytesOut: () => sources.hub().bytesOut,
    flushes: () => sources.hub().flushes,
    flushDuration: () => sources.hub().flushDurationMs,
    publishToWrite: () => sources.hub().publishToWriteMs,
    laggingReaders: () => sources.hub().laggingReaders,
    flushWindow: () => sources.hub().windowMs / 1000,
    conflated: () => byLabel("rate_class_ms", sources.hub().conflatedByClass),
    sampledOut: () => sources.hub().sampledOut,
    lostEvents: () => sources.hub().lostEvents,
    historyGaps: () => sources.hub().historyGaps,
    overruns: () => sources.hub().overruns,
  };
}

function ruleReadings(sources: WorkerSources) {
  const byRule = (value: (rule: RuleSources) => number) =>
    sources.rules().map((rule) => ({ labels: { rule: rule.rule }, value: value(rule) }));
  return {
    ruleTopics: () => byRule(({ topics }) => topics),
    ruleQuietTopics: () => byRule(({ quietTopics }) => quietTopics),
    rulePublications: () => byRule(({ publications }) => publications),
    ruleFreshness: () =>
      sources
        .rules()
        .flatMap(({ rule, newestAgeMs }) =>
          newestAgeMs === null ? [] : [{ labels: { rule }, value: newestAgeMs / 1000 }],
        ),
  };
}

/** What was not measured gives no series. */
function secondsOrNone(ms: number | null): Reading {
  return ms === null ? [] : ms / 1000;
}

function brokerReadings(sources: WorkerSources) {
  return {
    brokerReady: () => (sources.brokerReady() ? 1 : 0),
    brokerLag: () => secondsOrNone(sources.brokerLagMs()),
    brokerTopicsOpen: () => sources.broker().topicsOpen,
    brokerReceived: () => sources.broker().publicationsReceived,
    brokerPublished: () => sources.broker().publicationsPublished,
    brokerPublishFailures: () => sources.broker().publishFailures,
    brokerRejected: () => sources.broker().publicationsRejected,
    brokerDuplicates: () => sources.broker().duplicatesDropped,
    brokerGapsRepaired: () => sources.broker().gapsRepaired,
    brokerGapsUnrepaired: () => sources.broker().gapsUnrepaired,
    brokerReconnects: () => sources.broker().reconnects,
    brokerRedirects: () => [
      { labels: { reason: "moved" }, value: sources.broker().redirectsMoved },
      { labels: { reason: "ask" }, value: sources.broker().redirectsAsk },
    ],
  };
}
