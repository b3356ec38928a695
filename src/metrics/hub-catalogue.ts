/** What a worker reports about its hub: what it has, what it gave to readers, and what they missed. */

import { counter, gauge, histogram, type MetricDefinition } from "./metric-definition.ts";

export const hubCatalogue = {
  topics: gauge("tapecast_topics", "Topics that somebody on the worker wants now."),
  subscriptions: gauge("tapecast_subscriptions", "Subscriptions now, one for each connection and topic."),
  audiences: gauge(
    "tapecast_audiences",
    "Audiences now: groups of connections that share one sealed buffer a flush.",
  ),
  publicationsIn: counter("tapecast_publications_in_total", "Publications the hub took from the broker."),
  deliveries: counter(
    "tapecast_deliveries_total",
    "Publications handed to connections, one for each reader.",
  ),
  hubWrites: counter(
    "tapecast_hub_writes_total",
    "Writes of sealed publications to connections. Deliveries over writes is what a system call carries.",
  ),
  hubBytesOut: counter("tapecast_hub_sent_bytes_total", "Bytes of publications handed to connections."),
  flushes: counter("tapecast_flushes_total", "Flushes of the hub."),
  flushDuration: histogram(
    "tapecast_flush_duration_seconds",
    "Time one turn of the hub wrote: a flush, several, or a slice of a large one.",
  ),
  publishToWrite: histogram(
    "tapecast_publish_to_write_seconds",
    "From a publication's arrival in the worker until its last reader's socket was given it, where readers want everything at once; of each turn the oldest. The way to the worker is `tapecast_broker_lag_seconds`.",
  ),
  flushWindow: {
    ...gauge(
      "tapecast_flush_window_seconds",
      "Least time between two flushes to one audience. 0 while there is little to do, at most `flush.windowMsMax`; that of readers of batches is as many times as wide as `flush.batchWindowMsMax` is.",
    ),
    aggregator: "max",
  },
  ringBytes: gauge(
    "tapecast_ring_bytes",
    "Bytes of publications kept for those who fall behind or come back (`limits.ringBytesTotalMax`).",
  ),
  laggingReaders: gauge(
    "tapecast_lagging_readers",
    "Connections now whose last write the kernel has not taken.",
  ),
  conflated: counter(
    "tapecast_conflated_total",
    "Publications of `latest` topics that a reader did not get because a newer one took their place.",
    "rate_class_ms",
  ),
  sampledOut: counter(
    "tapecast_sampled_out_total",
    "Publications of `sample` topics left out because of the rate limit, one for each topic and worker.",
  ),
  lostEvents: counter("tapecast_lost_events_total", "`lost` events sent to readers."),
  historyGaps: counter(
    "tapecast_history_gaps_total",
    "Readers closed with 4003 because what they missed could not be replayed.",
  ),
  overruns: counter(
    "tapecast_overruns_total",
    "Publications of `every` topics without history that a slow reader missed and was told of.",
  ),
} as const satisfies Record<string, MetricDefinition>;
