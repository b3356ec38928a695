/**
 * The schemas of the routes: parameters and queries are checked by them, bodies and answers described. One source for
 * the checks and for /openapi.json (@fastify/swagger). JSON Schema as OpenAPI 3.1 has it.
 */
import { publishLinesMax } from "./publish-batch.ts";

/** Messages in a history answer when the query does not say. */
export const historyLimitDefault = 50;

/** Most messages that a history query may ask for. */
const historyLimitMax = 1000;

/** Name under which the shape of every error body is registered. */
export const errorSchemaId = "Error";

/** `{"error":{"code","message"}}`. */
export const errorSchema = {
  $id: errorSchemaId,
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message"],
      properties: {
        code: { type: "string", description: "Stable, for programs. docs/HTTP.md lists them." },
        message: { type: "string", description: "For people; may change." },
      },
    },
  },
} as const;

const topicText = { type: "string", examples: ["quote.AAPL"] } as const;
const epochText = {
  type: "string",
  description: "Names one life of the topic's log; positions of different epochs do not compare.",
} as const;
const seqNumber = {
  type: "integer",
  minimum: 0,
  description: "Grows by one with each publication of an epoch.",
} as const;
const anyJson = { description: "Any JSON value, byte for byte as it was published." } as const;
const topicParams = {
  type: "object",
  properties: { topic: { ...topicText, description: "Topic name, URL-encoded." } },
  required: ["topic"],
} as const;
const noQuery = { type: "object", properties: {}, additionalProperties: false } as const;

const publishMessage = {
  type: "object",
  required: ["topic", "data"],
  additionalProperties: false,
  properties: { topic: topicText, data: { description: "Any JSON value; kept byte for byte." } },
} as const;

const publishResult = {
  type: "object",
  description:
    "`epoch` and `seq` when stored; neither when the topic keeps no history; `line` and `error` when refused.",
  properties: {
    topic: topicText,
    epoch: epochText,
    seq: seqNumber,
    line: { type: "integer", minimum: 1 },
    error: {
      type: "object",
      required: ["code", "message"],
      properties: {
        code: { type: "string" },
        message: { type: "string" },
        temporary: { type: "boolean", description: "true when the same line may be accepted later." },
      },
    },
  },
} as const;

/** POST /api/publish */
export const publishSchema = {
  summary: "Publish one message, or a batch",
  description:
    `application/json holds one message, application/x-ndjson at most ${publishLinesMax}, one a line. Of a batch, ` +
    "lines that are refused are named with their reason and the others are published.",
  tags: ["publish"],
  security: [{ publishKey: [] }, {}],
  headers: {
    type: "object",
    properties: {
      "idempotency-key": {
        type: "string",
        minLength: 1,
        maxLength: 128,
        description: "Repeating a request with the same key within 5 minutes stores its messages once.",
      },
    },
  },
  body: {
    content: {
      "application/json": { schema: publishMessage },
      "application/x-ndjson": {
        schema: { type: "string", description: "One message a line, as application/json." },
      },
    },
  },
  response: {
    200: json("What became of each message, in line order", {
      type: "object",
      required: ["results"],
      properties: { results: { type: "array", items: publishResult } },
    }),
    400: refused("bad_request, bad_topic: the message says what would be right"),
    401: refused("unauthorized: no key, or a wrong one"),
    403: refused("forbidden: publishing is not open to this sender"),
    404: refused("unknown_topic: no rule of the configuration matches"),
    408: refused("request_timeout: the request came too slowly"),
    413: refused("too_large"),
    415: refused("unsupported_media_type"),
    429: refused("rate_limited, limit: try again after Retry-After seconds"),
    503: refused("unavailable: the broker cannot take it; try again after Retry-After seconds"),
    ...always(),
  },
} as const;

/** GET /api/topics/:topic */
export const valueSchema = {
  summary: "The last value of a topic",
  tags: ["topics"],
  security: [{ token: [] }, {}],
  params: topicParams,
  querystring: noQuery,
  response: {
    200: json("`epoch` and `seq` when the topic has history; `data` when it has a value", {
      type: "object",
      required: ["topic"],
      properties: { topic: topicText, epoch: epochText, seq: seqNumber, data: anyJson },
    }),
    ...topicRefusals(),
  },
} as const;

/** GET /api/topics/:topic/history */
export const historySchema = {
  summary: "Messages of a topic's history, oldest first",
  tags: ["topics"],
  security: [{ token: [] }, {}],
  params: topicParams,
  querystring: {
    type: "object",
    additionalProperties: false,
    properties: {
      epoch: {
        type: "string",
        minLength: 1,
        maxLength: 64,
        description: "Epoch of the position to go on from, as an answer gave it; together with `since`.",
      },
      since: {
        type: "integer",
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: "The last `seq` that the reader has.",
      },
      limit: {
        type: "integer",
        minimum: 1,
        maximum: historyLimitMax,
        description: `How many messages at most; ${historyLimitDefault} when absent.`,
      },
    },
  },
  response: {
    200: json("`seq` is where the topic stands; `recovered` when a position was given", {
      type: "object",
      required: ["topic", "epoch", "seq", "messages"],
      properties: {
        topic: topicText,
        epoch: epochText,
        seq: seqNumber,
        messages: {
          type: "array",
          items: { type: "object", required: ["seq", "data"], properties: { seq: seqNumber, data: anyJson } },
        },
        recovered: {
          type: "boolean",
          description: "true: the messages begin right after `since`, none missing.",
        },
      },
    }),
    ...topicRefusals(),
  },
} as const;

/** GET /healthz */
export const healthSchema = {
  summary: "The process lives",
  tags: ["operation"],
  response: { 200: json("Always, while there is somebody to answer", statusBody("ok")), ...always() },
} as const;

/** GET /readyz */
export const readySchema = {
  summary: "The worker can serve: send it traffic",
  tags: ["operation"],
  response: {
    200: json("Ready", statusBody("ready")),
    503: refused("unavailable: not ready, with the reason"),
    ...always(),
  },
} as const;

/** GET /openapi.json */
export const openapiSchema = {
  summary: "This description",
  tags: ["operation"],
  response: { 200: json("OpenAPI 3.1", { type: "object" }), ...always() },
} as const;

/** GET / and GET /demo/* */
export const pageSchema = {
  summary: "A page or one of its parts",
  tags: ["pages"],
  response: {
    200: { description: "The file, with an ETag", content: { "text/html": { schema: { type: "string" } } } },
    304: { description: "The reader has it already", type: "null" },
    404: refused("not_found: no such file, or it was not built"),
    ...always(),
  },
} as const;

/** GET of a WebSocket endpoint without an upgrade. */
export const websocketSchema = {
  summary: "A WebSocket endpoint",
  description: "docs/PROTOCOL.md describes what is spoken here.",
  tags: ["websocket"],
  response: {
    101: { description: "The WebSocket handshake was accepted", type: "null" },
    426: refused("upgrade_required: this is no WebSocket handshake"),
    ...always(),
  },
} as const;

function topicRefusals() {
  return {
    400: refused("bad_topic, bad_request: the message says what would be right"),
    401: refused("unauthorized: no token where one is needed, or a bad one"),
    403: refused("forbidden: the token does not cover the topic"),
    404: refused("unknown_topic: no rule of the configuration matches"),
    503: refused("unavailable: the broker cannot be reached"),
    ...always(),
  } as const;
}

/** What every route may answer. */
function always() {
  return {
    405: refused("method_not_allowed: Allow names what is"),
    431: refused("too_large: the request's head has too many lines or bytes"),
    500: refused("internal"),
  } as const;
}

function statusBody(status: string) {
  return {
    type: "object",
    required: ["status"],
    properties: { status: { type: "string", const: status } },
  } as const;
}

function json(description: string, schema: object) {
  return { description, content: { "application/json": { schema } } } as const;
}

function refused(description: string) {
  return json(description, { $ref: `${errorSchemaId}#` });
}
