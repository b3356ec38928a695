/** The layers' real counters as a worker hands them to its metrics; the type check holds the shapes together. */
import { limitCounters } from "../../src/base/limit-counters.ts";
import { TurnCounters } from "../../src/base/turn-queue.ts";
import { newBrokerCounters } from "../../src/broker/counters.ts";
import { deflateCounters } from "../../src/codec/deflate-counters.ts";
import { ConnectionCounters } from "../../src/connection/connection-counters.ts";
import { createHttpCounters } from "../../src/http/http-counters.ts";
import { FrontDoorCounters } from "../../src/http/front-door-counters.ts";
import { HubCounters } from "../../src/hub/hub-counters.ts";
import type { WorkerSources } from "../../src/metrics/worker-metrics.ts";

export function realCounters() {
  return {
    connections: new ConnectionCounters(),
    turns: new TurnCounters(),
    frontDoor: new FrontDoorCounters(),
    sessions: { commandsByMethod: { subscribe: 0, publish: 0 }, errorsByCode: { rate_limited: 0 } },
    hub: new HubCounters(),
    broker: newBrokerCounters(),
    http: createHttpCounters(),
    rules: [{ rule: "quote.**", topics: 2, quietTopics: 1, publications: 5, newestAgeMs: 250 }],
  };
}

export function sourcesOf(counters: ReturnType<typeof realCounters>): WorkerSources {
  return {
    connections: () => counters.connections,
    ringBytes: () => 77,
    arrivingBytes: () => 77,
    turns: () => counters.turns,
    deflate: () => deflateCounters,
    limits: () => limitCounters.reached,
    frontDoor: () => counters.frontDoor,
    sessions: () => counters.sessions,
    hub: () => counters.hub,
    broker: () => counters.broker,
    brokerReady: () => true,
    brokerLagMs: () => 2,
    rules: () => counters.rules,
    http: () => counters.http,
  };
}
