/** A broker's counters at its start. */
import type { BrokerCounters } from "./broker.ts";

/** All zero. One object for the life of a broker, changed in place and read by the metrics. */
export function newBrokerCounters(): BrokerCounters {
  return {
    topicsOpen: 0,
    publicationsReceived: 0,
    publicationsPublished: 0,
    publishFailures: 0,
    publicationsRejected: 0,
    duplicatesDropped: 0,
    gapsRepaired: 0,
    gapsUnrepaired: 0,
    reconnects: 0,
    redirectsMoved: 0,
    redirectsAsk: 0,
  };
}
