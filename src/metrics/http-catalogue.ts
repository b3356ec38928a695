/** What a worker reports about its HTTP API. */

import { counter, gauge, type MetricDefinition } from "./metric-definition.ts";

export const httpCatalogue = {
  publishesAccepted: counter(
    "tapecast_http_publishes_accepted_total",
    "Messages accepted by POST /api/publish.",
  ),
  publishesRefused: counter(
    "tapecast_http_publishes_refused_total",
    "Messages refused by POST /api/publish, by error code.",
    "code",
  ),
  httpRequests: counter(
    "tapecast_http_requests_total",
    "HTTP requests answered, by route (a name of the API, never the URL) and class of status.",
    "route",
    "status",
  ),
  httpRequestsInFlight: gauge("tapecast_http_requests_in_flight", "HTTP requests that have no answer yet."),
  httpAnswerBytes: gauge(
    "tapecast_http_answer_bytes",
    "Bytes of HTTP answers of more than 1 KiB that were not taken yet (`limits.httpAnswerBytesTotalMax`).",
  ),
  httpClientErrors: counter(
    "tapecast_http_client_errors_total",
    "HTTP connections closed because what they sent was not HTTP, too large a head, too slow, or too many requests ahead.",
  ),
} as const satisfies Record<string, MetricDefinition>;
