/**
 * Every metric once: name with its unit, type, labels and help. docs/METRICS.md is written from this table, the
 * Grafana dashboard and the alerts are checked against it. Label sets are closed: nothing that a peer, a publisher or
 * a topic brings ever becomes a label's value, so the number of series is known before the server starts.
 *
 * Nothing is counted here: the layers keep plain integers, `worker-metrics.ts` reads them when asked.
 */

/** Rules of the configuration that have series of their own; there may be a thousand. */
export const ruleLabelsMax = 20;

export interface MetricDefinition {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Beside `worker`, which every worker metric carries. */
  readonly labels: readonly string[];
  readonly help: string;
  /** How two processes of one slot are joined while one replaces the other. `sum` unless said otherwise. */
  readonly aggregator?: "max" | "min";
}

/** What a worker reports. Each series has the label `worker`: the number of its slot, not its pid. */
export const workerCatalogue = {
  connectionsOpen: {
    name: "tapecast_connections_open",
    type: "gauge",
    labels: [],
    help: "WebSocket connections open now.",
  },
  connectionsOpened: {
    name: "tapecast_connections_opened_total",
    type: "counter",
    labels: [],
    help: "WebSocket connections opened.",
  },
  connectionsClosed: {
    name: "tapecast_connections_closed_total",
    type: "counter",
    labels: ["reason"],
    help: "WebSocket connections closed, by the first reason that closed them.",
  },
  messagesReceived: {
    name: "tapecast_messages_received_total",
    type: "counter",
    labels: [],
    help: "Whole WebSocket messages received from clients.",
  },
  pingsReceived: {
    name: "tapecast_pings_received_total",
    type: "counter",
    labels: [],
    help: "WebSocket pings received from clients.",
  },
  deflateConnections: {
    name: "tapecast_deflate_connections_total",
    type: "counter",
    labels: [],
    help: "WebSocket connections that agreed on permessage-deflate.",
  },
  deflateMessages: {
    name: "tapecast_deflate_messages_total",
    type: "counter",
    labels: [],
    help: "Messages compressed, each once however many readers it went to.",
  },
  deflateBytesIn: {
    name: "tapecast_deflate_input_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes of the compressed messages before compression.",
  },
  deflateBytesOut: {
    name: "tapecast_deflate_output_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes of the compressed messages after compression, frame headers included.",
  },
  deflateUnshrinkable: {
    name: "tapecast_deflate_unshrinkable_total",
    type: "counter",
    labels: [],
    help: "Messages that compression would not have made a quarter smaller: sent as they were.",
  },
  inflateMessages: {
    name: "tapecast_inflate_messages_total",
    type: "counter",
    labels: [],
    help: "Compressed messages received from clients.",
  },
  inflateBytesIn: {
    name: "tapecast_inflate_input_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes of the compressed messages received, as they came.",
  },
  inflateBytesOut: {
    name: "tapecast_inflate_output_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes of the compressed messages received, inflated.",
  },
  bytesReceived: {
    name: "tapecast_received_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes read from WebSocket connections.",
  },
  bytesSent: {
    name: "tapecast_sent_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes given to WebSocket connections, replies and control frames included.",
  },
  socketWrites: {
    name: "tapecast_socket_writes_total",
    type: "counter",
    labels: [],
    help: "Writes to WebSocket connections, one system call each in the usual case.",
  },
  socketReads: {
    name: "tapecast_socket_reads_total",
    type: "counter",
    labels: [],
    help: "Reads from WebSocket connections.",
  },
  socketWritesPended: {
    name: "tapecast_socket_writes_pended_total",
    type: "counter",
    labels: [],
    help: "Writes that the kernel did not take whole at once: the reader is slower than we are.",
  },
  pendingBytes: {
    name: "tapecast_pending_bytes",
    type: "gauge",
    labels: [],
    help: "Bytes given to the sockets of all connections and not taken by the kernel when each was last looked at.",
  },
  arrivingBytes: {
    name: "tapecast_arriving_bytes",
    type: "gauge",
    labels: [],
    help: "Memory held for messages of all WebSocket connections that are not whole yet (`limits.arrivingBytesTotalMax`).",
  },
  turnsCut: {
    name: "tapecast_turns_cut_total",
    type: "counter",
    labels: ["reason"],
    help: "How often what a connection asked for had to wait for a later turn of the event loop, by `reason`: `slice` (its part of this turn was over), `share` (`limits.workMsPerSecMax`).",
  },
  connectionsWaitingTurn: {
    name: "tapecast_connections_waiting_turn",
    type: "gauge",
    labels: [],
    help: "Connections now whose work waits for a later turn, or that rest.",
  },
  waitingTurnBytes: {
    name: "tapecast_waiting_turn_bytes",
    type: "gauge",
    labels: [],
    help: "Bytes that wait for a later turn: read and not decoded, or large messages not given to the socket yet.",
  },
  connectionsShed: {
    name: "tapecast_connections_shed_total",
    type: "counter",
    labels: [],
    help: "WebSocket connections ended because `limits.pendingBytesTotalMax` was reached; part of the reason `slow_consumer`.",
  },
  socketsAccepted: {
    name: "tapecast_sockets_accepted_total",
    type: "counter",
    labels: [],
    help: "TCP, TLS and unix socket connections accepted, whatever they spoke.",
  },
  socketsWaiting: {
    name: "tapecast_sockets_waiting",
    type: "gauge",
    labels: [],
    help: "Connections now whose request head has not come whole, or whose refusal is on its way.",
  },
  httpConnections: {
    name: "tapecast_http_connections_open",
    type: "gauge",
    labels: [],
    help: "Connections now that speak HTTP.",
  },
  handshakesAccepted: {
    name: "tapecast_handshakes_accepted_total",
    type: "counter",
    labels: [],
    help: "WebSocket handshakes answered with 101.",
  },
  handshakesRefused: {
    name: "tapecast_handshakes_refused_total",
    type: "counter",
    labels: ["reason"],
    help: "Connections that asked for a WebSocket or sent no whole request head, and were refused, by reason.",
  },
  limitsReached: {
    name: "tapecast_limits_reached_total",
    type: "counter",
    labels: ["limit"],
    help: "How often a limit of the configuration stopped somebody, by its key in `limits`.",
  },
  commands: {
    name: "tapecast_commands_total",
    type: "counter",
    labels: ["method"],
    help: "Commands received from clients, by method.",
  },
  commandErrors: {
    name: "tapecast_command_errors_total",
    type: "counter",
    labels: ["code"],
    help: "Commands answered with an error, by its code.",
  },
  topics: {
    name: "tapecast_topics",
    type: "gauge",
    labels: [],
    help: "Topics that somebody on the worker wants now.",
  },
  subscriptions: {
    name: "tapecast_subscriptions",
    type: "gauge",
    labels: [],
    help: "Subscriptions now, one for each connection and topic.",
  },
  audiences: {
    name: "tapecast_audiences",
    type: "gauge",
    labels: [],
    help: "Audiences now: groups of connections that share one sealed buffer a flush.",
  },
  publicationsIn: {
    name: "tapecast_publications_in_total",
    type: "counter",
    labels: [],
    help: "Publications the hub took from the broker.",
  },
  deliveries: {
    name: "tapecast_deliveries_total",
    type: "counter",
    labels: [],
    help: "Publications handed to connections, one for each reader.",
  },
  hubWrites: {
    name: "tapecast_hub_writes_total",
    type: "counter",
    labels: [],
    help: "Writes of sealed publications to connections. Deliveries over writes is what a system call carries.",
  },
  hubBytesOut: {
    name: "tapecast_hub_sent_bytes_total",
    type: "counter",
    labels: [],
    help: "Bytes of publications handed to connections.",
  },
  flushes: {
    name: "tapecast_flushes_total",
    type: "counter",
    labels: [],
    help: "Flushes of the hub.",
  },
  flushDuration: {
    name: "tapecast_flush_duration_seconds",
    type: "histogram",
    labels: [],
    help: "Time one turn of the hub wrote: a flush, several, or a slice of a large one.",
  },
  publishToWrite: {
    name: "tapecast_publish_to_write_seconds",
    type: "histogram",
    labels: [],
    help: "From a publication's arrival in the worker until its last reader's socket was given it, where readers want everything at once; of each turn the oldest. The way to the worker is `tapecast_broker_lag_seconds`.",
  },
  flushWindow: {
    name: "tapecast_flush_window_seconds",
    type: "gauge",
    labels: [],
    help: "Least time between two flushes to one audience. 0 while there is little to do, at most `flush.windowMsMax`; that of readers of batches is as many times as wide as `flush.batchWindowMsMax` is.",
    aggregator: "max",
  },
  ringBytes: {
    name: "tapecast_ring_bytes",
    type: "gauge",
    labels: [],
    help: "Bytes of publications kept for those who fall behind or come back (`limits.ringBytesTotalMax`).",
  },
  laggingReaders: {
    name: "tapecast_lagging_readers",
    type: "gauge",
    labels: [],
    help: "Connections now whose last write the kernel has not taken.",
  },
  conflated: {
    name: "tapecast_conflated_total",
    type: "counter",
    labels: ["rate_class_ms"],
    help: "Publications of `latest` topics that a reader did not get because a newer one took their place.",
  },
  sampledOut: {
    name: "tapecast_sampled_out_total",
    type: "counter",
    labels: [],
    help: "Publications of `sample` topics left out because of the rate limit, one for each topic and worker.",
  },
  lostEvents: {
    name: "tapecast_lost_events_total",
    type: "counter",
    labels: [],
    help: "`lost` events sent to readers.",
  },
  historyGaps: {
    name: "tapecast_history_gaps_total",
    type: "counter",
    labels: [],
    help: "Readers closed with 4003 because what they missed could not be replayed.",
  },
  overruns: {
    name: "tapecast_overruns_total",
    type: "counter",
    labels: [],
    help: "Publications of `every` topics without history that a slow reader missed and was told of.",
  },
  brokerReady: {
    name: "tapecast_broker_ready",
    type: "gauge",
    labels: [],
    aggregator: "min",
    help: "1 while the worker's broker can take and give publications, else 0.",
  },
  brokerLag: {
    name: "tapecast_broker_lag_seconds",
    type: "gauge",
    labels: [],
    aggregator: "max",
    help: "How long a message of the worker's own took to Redis and back, tried each second; what is under way counts. Missing with broker.kind memory.",
  },
  brokerTopicsOpen: {
    name: "tapecast_broker_topics_open",
    type: "gauge",
    labels: [],
    help: "Topics open at the broker now, one Redis subscription each with broker.kind redis.",
  },
  brokerReceived: {
    name: "tapecast_broker_received_total",
    type: "counter",
    labels: [],
    help: "Publications received from the broker.",
  },
  brokerPublished: {
    name: "tapecast_broker_published_total",
    type: "counter",
    labels: [],
    help: "Publications given to the broker and stored or handed on.",
  },
  brokerPublishFailures: {
    name: "tapecast_broker_publish_failures_total",
    type: "counter",
    labels: [],
    help: "Publications the broker did not confirm in time.",
  },
  brokerRejected: {
    name: "tapecast_broker_rejected_total",
    type: "counter",
    labels: [],
    help: "Messages from the broker that were dropped: no valid JSON, too large, a malformed envelope, or of an epoch that the log does not have.",
  },
  brokerDuplicates: {
    name: "tapecast_broker_duplicates_total",
    type: "counter",
    labels: [],
    help: "Publications that arrived twice from the broker and were delivered once.",
  },
  brokerGapsRepaired: {
    name: "tapecast_broker_gaps_repaired_total",
    type: "counter",
    labels: [],
    help: "Jumps in a topic's sequence that were closed from its history.",
  },
  brokerGapsUnrepaired: {
    name: "tapecast_broker_gaps_unrepaired_total",
    type: "counter",
    labels: [],
    help: "Jumps in a topic's sequence that could not be closed; readers were told.",
  },
  brokerReconnects: {
    name: "tapecast_broker_reconnects_total",
    type: "counter",
    labels: [],
    help: "Connections to the broker that had to be made again.",
  },
  brokerRedirects: {
    name: "tapecast_broker_redirects_total",
    type: "counter",
    labels: ["reason"],
    help: "Answers of a Redis Cluster that a slot is elsewhere: `moved`, or on its way: `ask`. All were followed.",
  },
  ruleTopics: {
    name: "tapecast_rule_topics",
    type: "gauge",
    labels: ["rule"],
    help: "Open topics, by the rule of the configuration that they fall under.",
  },
  ruleQuietTopics: {
    name: "tapecast_rule_quiet_topics",
    type: "gauge",
    labels: ["rule"],
    help: "Open topics without a publication within the last minute, by rule.",
  },
  rulePublications: {
    name: "tapecast_rule_publications_total",
    type: "counter",
    labels: ["rule"],
    help: "Publications that came, by rule. Counted once a second: what comes in the last second of a topic that is closed is missing.",
  },
  ruleFreshness: {
    name: "tapecast_rule_freshness_seconds",
    type: "gauge",
    labels: ["rule"],
    aggregator: "min",
    help: "Age of the newest publication of all open topics of a rule. Missing until the first one comes.",
  },
  publishesAccepted: {
    name: "tapecast_http_publishes_accepted_total",
    type: "counter",
    labels: [],
    help: "Messages accepted by POST /api/publish.",
  },
  publishesRefused: {
    name: "tapecast_http_publishes_refused_total",
    type: "counter",
    labels: ["code"],
    help: "Messages refused by POST /api/publish, by error code.",
  },
  httpRequests: {
    name: "tapecast_http_requests_total",
    type: "counter",
    labels: ["route", "status"],
    help: "HTTP requests answered, by route (a name of the API, never the URL) and class of status.",
  },
  httpRequestsInFlight: {
    name: "tapecast_http_requests_in_flight",
    type: "gauge",
    labels: [],
    help: "HTTP requests being worked on now.",
  },
  httpAnswerBytes: {
    name: "tapecast_http_answer_bytes",
    type: "gauge",
    labels: [],
    help: "Bytes of HTTP answers of more than 1 KiB that were not taken yet (`limits.httpAnswerBytesTotalMax`).",
  },
  httpClientErrors: {
    name: "tapecast_http_client_errors_total",
    type: "counter",
    labels: [],
    help: "HTTP connections closed because what they sent was not HTTP, too large a head, or too slow.",
  },
  eventLoopDelay: {
    name: "tapecast_event_loop_delay_seconds",
    type: "gauge",
    labels: ["quantile"],
    aggregator: "max",
    help: "How late the event loop came to its timers within the last second: median, 99th percentile, longest (1).",
  },
  eventLoopUtilization: {
    name: "tapecast_event_loop_utilization_ratio",
    type: "gauge",
    labels: [],
    aggregator: "max",
    help: "Share of the last second in which the event loop was busy, 0 to 1.",
  },
  residentMemory: {
    name: "tapecast_resident_memory_bytes",
    type: "gauge",
    labels: [],
    help: "Resident memory of the process.",
  },
  heapUsed: {
    name: "tapecast_heap_used_bytes",
    type: "gauge",
    labels: [],
    help: "JavaScript heap in use.",
  },
  externalMemory: {
    name: "tapecast_external_memory_bytes",
    type: "gauge",
    labels: [],
    help: "Memory of buffers outside of the JavaScript heap.",
  },
  cpuSeconds: {
    name: "tapecast_cpu_seconds_total",
    type: "counter",
    labels: ["mode"],
    help: "Processor time of the process, user and system.",
  },
} as const satisfies Record<string, MetricDefinition>;

/** What the primary reports about itself and its workers. */
export const primaryCatalogue = {
  buildInfo: {
    name: "tapecast_build_info",
    type: "gauge",
    labels: ["version", "node"],
    help: "Always 1; which Tapecast and which Node are running.",
  },
  workersConfigured: {
    name: "tapecast_workers_configured",
    type: "gauge",
    labels: [],
    help: "Worker slots.",
  },
  workersReady: {
    name: "tapecast_workers_ready",
    type: "gauge",
    labels: [],
    help: "Slots whose worker is listening now.",
  },
  workerRestarts: {
    name: "tapecast_worker_restarts_total",
    type: "counter",
    labels: ["worker", "cause"],
    help: "Workers that ended unasked and were replaced: exited, or stalled (its event loop stood still).",
  },
  workerSnapshotAge: {
    name: "tapecast_worker_snapshot_age_seconds",
    type: "gauge",
    labels: ["worker"],
    help: "Age of the figures of a slot. It stays below 2 unless the worker's event loop stands still.",
  },
  primaryResidentMemory: {
    name: "tapecast_primary_resident_memory_bytes",
    type: "gauge",
    labels: [],
    help: "Resident memory of the primary process; with broker.kind memory it holds the history.",
  },
  memoryLogBytes: {
    name: "tapecast_memory_log_bytes",
    type: "gauge",
    labels: [],
    help: "With broker.kind memory: what the history of all topics takes, about (`broker.memory.logBytesMax`).",
  },
  memoryLogsDropped: {
    name: "tapecast_memory_logs_dropped_total",
    type: "counter",
    labels: [],
    help: "Topics whose history was given up because `broker.memory.logBytesMax` was reached.",
  },
  primaryCpuSeconds: {
    name: "tapecast_primary_cpu_seconds_total",
    type: "counter",
    labels: ["mode"],
    help: "Processor time of the primary process, user and system.",
  },
  primaryEventLoopDelay: {
    name: "tapecast_primary_event_loop_delay_seconds",
    type: "gauge",
    labels: ["quantile"],
    help: "How late the primary's event loop came to its timers since the last scrape.",
  },
} as const satisfies Record<string, MetricDefinition>;

export type WorkerMetric = keyof typeof workerCatalogue;
export type PrimaryMetric = keyof typeof primaryCatalogue;

/** All definitions, workers' first, with the labels that a scrape shows. */
export function allMetrics(): readonly MetricDefinition[] {
  const ofWorkers = Object.values<MetricDefinition>(workerCatalogue).map((metric) =>
    Object.assign({}, metric, { labels: ["worker", ...metric.labels] }),
  );
  return [...ofWorkers, ...Object.values<MetricDefinition>(primaryCatalogue)];
}

/** Names of all series that a scrape can hold: a histogram gives three. */
export function seriesNames(): ReadonlySet<string> {
  return new Set(
    allMetrics().flatMap(({ name, type }) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
}

/** docs/METRICS.md, whole. */
export function metricsMarkdown(): string {
  const workerCount = Object.keys(workerCatalogue).length;
  const metrics = allMetrics();
  return `# Metrics

Generated from \`src/metrics/catalogue.ts\` by \`npm run docs\`; do not edit.

\`GET /metrics\` on the admin port (\`admin.host\`, \`admin.port\`) answers for the whole cluster. Workers send their
figures to the primary each second and the primary answers from the last ones it has, so a worker that stands still
delays no scrape (\`tapecast_worker_snapshot_age_seconds\` shows it). The label \`worker\` is the slot: a replacement
goes on with the totals of the worker it replaces, and what a crashed worker counted in its last second is lost.
Label values come from closed lists, never from topics, users or addresses. \`rule\` is the pattern of a rule as the
configuration has it; the rules behind the first ${ruleLabelsMax} are \`other\` together.

## Of each worker

${table(metrics.slice(0, workerCount))}

## Of the primary

${table(metrics.slice(workerCount))}
`;
}

function table(metrics: readonly MetricDefinition[]): string {
  const rows = metrics.map(({ name, type, labels, help }) => {
    const labelNames = labels.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${type} | ${labelNames} | ${help} |`;
  });
  return ["| metric | type | labels | what it says |", "|---|---|---|---|", ...rows].join("\n");
}
