/** A broker's counters: at its start, and what becomes of a publish. */
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

/** Waits for a publish of a broker, and counts what became of it. */
export async function countPublish<Result>(
  counters: BrokerCounters,
  publish: Promise<Result>,
): Promise<Result> {
  try {
    const result = await publish;
    counters.publicationsPublished++;
    return result;
  } catch (error) {
    counters.publishFailures++;
    throw error;
  }
}
