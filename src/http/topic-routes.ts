/**
 * `GET /api/topics/<topic>` and its `/history`. Bodies are put together from bytes, since `data` goes out as it was
 * published; the shapes are those of the WebSocket protocol (docs/PROTOCOL.md).
 */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { RequestError } from "../base/errors.ts";
import type { BrokerTopic, HistoryPage, Position, Publication } from "../broker/broker.ts";
import type { HttpBackend } from "./http-backend.ts";
import { sendJson } from "./http-refusal.ts";
import { historyLimitDefault, historySchema, valueSchema } from "./openapi-schemas.ts";
import { bearerOf, clientAddressOf } from "./request-facts.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

interface TopicParams {
  readonly topic: string;
}

/** As checked and converted by the route's schema. */
interface HistoryQuery {
  readonly epoch?: string;
  readonly since?: number;
  readonly limit?: number;
}

/** @param historyBytesMax most bytes of `data` in one history answer; at least one message is always given */
export function topicRoutes(
  app: FastifyInstance,
  backend: HttpBackend,
  proxies: TrustedProxies,
  historyBytesMax: number,
): void {
  app.get<{ Params: TopicParams }>(
    "/api/topics/:topic",
    { config: { httpRoute: "value" }, schema: valueSchema },
    async (request, reply) => {
      const topic = await readableTopic(request, backend, proxies);
      if (topic.history === null) return sendJson(reply, JSON.stringify({ topic: topic.name }));
      return sendJson(reply, valueBody(topic, await backend.history(topic, null, 1)));
    },
  );

  app.get<{ Params: TopicParams; Querystring: HistoryQuery }>(
    "/api/topics/:topic/history",
    { config: { httpRoute: "history" }, schema: historySchema },
    async (request, reply) => {
      const topic = await readableTopic(request, backend, proxies);
      if (topic.history === null) {
        throw new RequestError("bad_request", "this topic is live only: its rule keeps no history");
      }
      const since = sinceOf(request.query);
      const page = await backend.history(topic, since, request.query.limit ?? historyLimitDefault);
      return sendJson(reply, historyBody(topic, page, since !== null, historyBytesMax));
    },
  );
}

/** @throws RequestError `bad_topic`, `unknown_topic`, `unauthorized` or `forbidden` */
async function readableTopic(
  request: FastifyRequest<{ Params: TopicParams }>,
  backend: HttpBackend,
  proxies: TrustedProxies,
): Promise<BrokerTopic> {
  const token = bearerOf(request.headers);
  const identity = await backend.identify(token, clientAddressOf(request.raw, proxies));
  const topic = backend.topic(request.params.topic);
  if (!identity.maySubscribe(topic.name)) {
    if (token === null)
      throw new RequestError("unauthorized", "this topic needs a token: Authorization: Bearer …");
    throw new RequestError("forbidden", "the token does not allow to read this topic");
  }
  return topic;
}

/** @throws RequestError when only one half of a position is there */
function sinceOf(query: HistoryQuery): Position | null {
  const { epoch, since } = query;
  if (epoch === undefined && since === undefined) return null;
  if (epoch === undefined || since === undefined) {
    throw new RequestError("bad_request", "epoch and since are one position: send both or neither");
  }
  // What the schema lets through as a number: Infinity is one to it, below every limit and above.
  if (!Number.isSafeInteger(since)) throw new RequestError("bad_request", "since must be integer");
  return { epoch, seq: since };
}

function valueBody(topic: BrokerTopic, page: HistoryPage): Buffer {
  const last = page.entries.at(-1);
  // Without a value: nothing was published yet, or what was is older than the rule's ttlMs.
  if (last === undefined) return Buffer.from(`${opening(topic, page.position)}}`);
  return Buffer.concat([
    Buffer.from(`${opening(topic, page.position)},"data":`),
    last.data,
    Buffer.from("}"),
  ]);
}

function historyBody(topic: BrokerTopic, page: HistoryPage, recovering: boolean, bytesMax: number): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`${opening(topic, page.position)},"messages":[`)];
  let separator = "";
  for (const entry of withinBytes(page.entries, recovering, bytesMax)) {
    parts.push(Buffer.from(`${separator}{"seq":${entry.seq},"data":`), entry.data, Buffer.from("}"));
    separator = ",";
  }
  parts.push(Buffer.from(recovering ? `],"recovered":${page.complete}}` : "]}"));
  return Buffer.concat(parts);
}

/**
 * The entries that fit: the first ones when the reader goes on from a position (it asks again from the last it got),
 * the newest ones otherwise.
 */
function withinBytes(
  entries: readonly Publication[],
  fromStart: boolean,
  bytesMax: number,
): readonly Publication[] {
  const ordered = fromStart ? entries : entries.toReversed();
  let bytes = 0;
  let fitting = 0;
  for (const entry of ordered) {
    bytes += entry.data.length;
    if (fitting > 0 && bytes > bytesMax) break;
    fitting += 1;
  }
  return fromStart ? entries.slice(0, fitting) : entries.slice(entries.length - fitting);
}

/** `{"topic":…,"epoch":…,"seq":…` without the closing brace. */
function opening(topic: BrokerTopic, position: Position): string {
  return JSON.stringify({ topic: topic.name, epoch: position.epoch, seq: position.seq }).slice(0, -1);
}
