/**
 * Counters of the HTTP API: plain integers under closed lists of names, read by the metrics. No label comes from
 * a peer: a path that is none of ours counts as `other`.
 */
import type { HttpErrorCode } from "./http-refusal.ts";

/** What a request was for. */
export type HttpRoute =
  | "publish"
  | "value"
  | "history"
  | "health"
  | "ready"
  | "openapi"
  | "page"
  | "websocket"
  | "other";

/** First digit of the status. */
export type HttpStatusClass = "2xx" | "3xx" | "4xx" | "5xx";

export interface HttpCounters {
  /** Messages that the broker stored (or was handed, on a live-only topic). */
  publicationsAccepted: number;
  /** Messages that were refused, by code; a request that was refused before its lines were read counts once. */
  readonly publicationsRefused: Record<HttpErrorCode, number>;
  /** Requests that were answered. */
  readonly requests: Record<HttpRoute, Record<HttpStatusClass, number>>;
  /** Connections that were closed because what they sent was not HTTP, too large a head, or too slow. */
  clientErrors: number;
  /** Requests being worked on now. */
  requestsInFlight: number;
  /** Of answers that were not taken yet, and how many of them were given up to make room. */
  readonly answers: { pendingBytes: number; shed: number };
}

/** Counters at zero, every name present. */
export function createHttpCounters(): HttpCounters {
  return {
    publicationsAccepted: 0,
    publicationsRefused: {
      bad_request: 0,
      bad_topic: 0,
      unknown_topic: 0,
      unauthorized: 0,
      forbidden: 0,
      limit: 0,
      rate_limited: 0,
      too_large: 0,
      unavailable: 0,
      internal: 0,
      not_found: 0,
      method_not_allowed: 0,
      unsupported_media_type: 0,
      upgrade_required: 0,
      request_timeout: 0,
    },
    requests: {
      publish: noRequests(),
      value: noRequests(),
      history: noRequests(),
      health: noRequests(),
      ready: noRequests(),
      openapi: noRequests(),
      page: noRequests(),
      websocket: noRequests(),
      other: noRequests(),
    },
    clientErrors: 0,
    requestsInFlight: 0,
    answers: { pendingBytes: 0, shed: 0 },
  };
}

/** The class of a final status; what Node could send beside the four counts as `5xx`. */
export function statusClassOf(status: number): HttpStatusClass {
  if (status >= 200 && status < 300) return "2xx";
  if (status >= 300 && status < 400) return "3xx";
  if (status >= 400 && status < 500) return "4xx";
  return "5xx";
}

function noRequests(): Record<HttpStatusClass, number> {
  return { "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0 };
}
