/** What a worker reports about its broker, and about topics by the rules of the configuration. */

import { counter, gauge, type MetricDefinition } from "./metric-definition.ts";

export const brokerCatalogue = {
  brokerReady: {
    ...gauge("tapecast_broker_ready", "1 while the worker's broker can take and give publications, else 0."),
    aggregator: "min",
  },
  brokerLag: {
    ...gauge(
      "tapecast_broker_lag_seconds",
      "How long a message of the worker's own took to Redis and back, tried each second; what is under way counts. Missing with broker.kind memory.",
    ),
    aggregator: "max",
  },
  brokerTopicsOpen: gauge(
    "tapecast_broker_topics_open",
    "Topics open at the broker now, one Redis subscription each with broker.kind redis.",
  ),
  brokerReceived: counter("tapecast_broker_received_total", "Publications received from the broker."),
  brokerPublished: counter(
    "tapecast_broker_published_total",
    "Publications given to the broker and stored or handed on.",
  ),
  brokerPublishFailures: counter(
    "tapecast_broker_publish_failures_total",
    "Publications the broker did not confirm in time.",
  ),
  brokerRejected: counter(
    "tapecast_broker_rejected_total",
    "Messages from the broker that were dropped: no valid JSON, too large, a malformed envelope, or of an epoch that the log does not have.",
  ),
  brokerDuplicates: counter(
    "tapecast_broker_duplicates_total",
    "Publications that arrived twice from the broker and were delivered once.",
  ),
  brokerGapsRepaired: counter(
    "tapecast_broker_gaps_repaired_total",
    "Jumps in a topic's sequence that were closed from its history.",
  ),
  brokerGapsUnrepaired: counter(
    "tapecast_broker_gaps_unrepaired_total",
    "Jumps in a topic's sequence that could not be closed; readers were told.",
  ),
  brokerReconnects: counter(
    "tapecast_broker_reconnects_total",
    "Connections to the broker that had to be made again.",
  ),
  brokerRedirects: counter(
    "tapecast_broker_redirects_total",
    "Answers of a Redis Cluster that a slot is elsewhere: `moved`, or on its way: `ask`. All were followed.",
    "reason",
  ),
  ruleTopics: gauge(
    "tapecast_rule_topics",
    "Open topics, by the rule of the configuration that they fall under.",
    "rule",
  ),
  ruleQuietTopics: gauge(
    "tapecast_rule_quiet_topics",
    "Open topics without a publication within the last minute, by rule.",
    "rule",
  ),
  rulePublications: counter(
    "tapecast_rule_publications_total",
    "Publications that came, by rule. Counted once a second: what comes in the last second of a topic that is closed is missing.",
    "rule",
  ),
  ruleFreshness: {
    ...gauge(
      "tapecast_rule_freshness_seconds",
      "Age of the newest publication of all open topics of a rule. Missing until the first one comes.",
      "rule",
    ),
    aggregator: "min",
  },
} as const satisfies Record<string, MetricDefinition>;
