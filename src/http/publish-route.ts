/**
 * `POST /api/publish`. The request is judged before its body is read: credentials, then type, encoding and length.
 * One JSON message is answered by the HTTP status; of an NDJSON batch every line has a result of its own
 * (docs/HTTP.md, "Publishing").
 */
import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { RequestError } from "../base/errors.ts";
import type { Arrivals } from "./arrivals.ts";
import { type BodyBudget, type BodyShare, bodyTooLarge, readBody } from "./body-reader.ts";
import type { HttpBackend } from "./http-backend.ts";
import type { HttpCounters } from "./http-counters.ts";
import { HttpRefusal, refusalOf, sendJson, sendRefusal, unsupportedMediaType } from "./http-refusal.ts";
import { publishSchema } from "./openapi-schemas.ts";
import {
  envelopeBytesMax,
  publishBatch,
  type PublishBatchOptions,
  type PublishOutcome,
  splitLines,
} from "./publish-batch.ts";
import { publishFacts } from "./request-facts.ts";
import type { TrustedProxies } from "./trusted-proxies.ts";

/** Visible characters of ASCII (RFC 5234 VCHAR), at most 128: a key is stored by the broker for five minutes. */
const idempotencyKeyPattern = /^[\x21-\x7e]{1,128}$/;

/**
 * How much of the time between a request's head and its last byte counts against the answer: the most that the body may
 * have waited for us to be read, where it did not come slowly.
 */
const bodyMsMax = 500;

export interface PublishRouteOptions {
  readonly messageBytesMax: number;
  readonly publishBodyBytesMax: number;
  readonly counters: HttpCounters;
  readonly proxies: TrustedProxies;
  readonly bodies: BodyBudget;
  readonly arrivals: Arrivals;
  /** Told of what nobody expected. */
  readonly onError: (error: unknown) => void;
}

type BodyKind = "json" | "ndjson";

/** Registers the route in a scope of its own, where bodies stay bytes. */
export async function publishRoute(
  app: FastifyInstance,
  backend: HttpBackend,
  options: PublishRouteOptions,
): Promise<void> {
  const bytesMaxOf: Readonly<Record<BodyKind, number>> = {
    json: Math.min(options.publishBodyBytesMax, options.messageBytesMax + envelopeBytesMax),
    ndjson: options.publishBodyBytesMax,
  };

  const shares = new WeakMap<FastifyRequest, BodyShare>();
  /** When the heads of requests came. */
  const heads = new WeakMap<FastifyRequest, number>();

  await app.register(async (scope) => {
    scope.addContentTypeParser("*", (request: FastifyRequest, payload: IncomingMessage) =>
      readBody(payload, bytesMaxOf[kindOf(request)], shares.get(request) ?? options.bodies.open()),
    );
    scope.route({
      method: "POST",
      url: "/api/publish",
      config: { httpRoute: "publish" },
      schema: publishSchema,
      // The body is bytes, which its schema does not describe; readMessage checks them.
      validatorCompiler: () => () => true,
      onRequest: async (request) => {
        heads.set(request, options.arrivals.earliestMs);
        judgeSender(request, backend, options.proxies);
      },
      preParsing: async (request, reply, payload) => {
        judgeBodyHead(request, bytesMaxOf[kindOf(request)]);
        const share = options.bodies.open();
        shares.set(request, share);
        reply.raw.once("close", () => share.release());
        invitesBody(request, reply);
        return payload;
      },
      handler: async (request, reply) => {
        const wholeMs = performance.now();
        // A sender that takes its time with the body is not yet waiting for us.
        const arrivedMs = Math.max(heads.get(request) ?? wholeMs, wholeMs - bodyMsMax);
        return publish(request, reply, backend, { ...options, arrivedMs });
      },
    });
  });
}

function judgeSender(request: FastifyRequest, backend: HttpBackend, proxies: TrustedProxies): void {
  const refused = backend.mayPublish(publishFacts(request.raw, proxies));
  if (refused !== null) throw refused;
}

/** @throws HttpRefusal 415 for a coded body, 413 for one that says of itself that it is too long */
function judgeBodyHead(request: FastifyRequest, bytesMax: number): void {
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    throw new HttpRefusal(
      415,
      "unsupported_media_type",
      "send the body without Content-Encoding",
      // RFC 9110 §12.5.3: how a 415 says which codings would have been taken.
      { "accept-encoding": "identity" },
    );
  }
  if (Number(request.headers["content-length"]) > bytesMax) throw bodyTooLarge(bytesMax);
}

/** RFC 9110 §10.1.1: a sender that expects 100 waits with its body until it is told that it will be read. */
function invitesBody(request: FastifyRequest, reply: FastifyReply): void {
  if (request.headers.expect === undefined) return;
  reply.removeHeader("connection");
  reply.raw.writeContinue();
}

/** @throws HttpRefusal 415 for a type or a charset that is not taken */
function kindOf(request: FastifyRequest): BodyKind {
  const [type, ...parameters] = (request.headers["content-type"] ?? "").toLowerCase().split(";");
  for (const parameter of parameters) {
    const [name, value] = parameter.split("=");
    if (name?.trim() === "charset" && !/^"?utf-?8"?$/.test(value?.trim() ?? "")) throw unsupportedMediaType();
  }
  switch ((type ?? "").trim()) {
    case "application/json":
      return "json";
    case "application/x-ndjson":
      return "ndjson";
    default:
      throw unsupportedMediaType();
  }
}

async function publish(
  request: FastifyRequest,
  reply: FastifyReply,
  backend: HttpBackend,
  options: PublishRouteOptions & { readonly arrivedMs: number },
): Promise<FastifyReply> {
  const key = idempotencyKeyOf(request);
  const body = request.body instanceof Uint8Array ? request.body : new Uint8Array(0);
  const single = kindOf(request) === "json";
  const batchOptions: PublishBatchOptions = {
    messageBytesMax: options.messageBytesMax,
    idempotencyKeyOf: (line) => (key === null || single ? (key ?? undefined) : `${key}:${line}`),
    arrivedMs: options.arrivedMs,
    onError: options.onError,
  };
  const lines = single ? [{ number: 1, bytes: body }] : splitLines(body);
  const tooFast = backend.takePublishes(publishFacts(request.raw, options.proxies), lines.length);
  if (tooFast !== null) throw tooFast;
  const outcomes = await publishBatch(lines, backend, batchOptions);

  if (single) {
    const [outcome] = outcomes;
    // Counted where every error of the route is, by its error handler.
    if (outcome !== undefined && "error" in outcome) throw outcome.error;
  }
  count(outcomes, options.counters);
  const refused = wholeRefusal(outcomes);
  if (refused !== null) return sendRefusal(reply, refusalOf(refused));
  return sendJson(reply, JSON.stringify({ results: outcomes.map(resultOf) }));
}

function idempotencyKeyOf(request: FastifyRequest): string | null {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return null;
  // Two fields of the name arrive joined by a comma and a space, which is not visible.
  if (typeof key === "string" && idempotencyKeyPattern.test(key)) return key;
  throw new RequestError("bad_request", "an Idempotency-Key has 1 to 128 visible ASCII characters");
}

/**
 * "503 while the broker cannot take it, never a 200": when no line was accepted and the broker is why at least one
 * was not, the batch is answered as a whole, so that a sender that looks at the status alone sends it again.
 */
function wholeRefusal(outcomes: readonly PublishOutcome[]): RequestError | null {
  let unavailable: RequestError | null = null;
  for (const outcome of outcomes) {
    if (!("error" in outcome)) return null;
    if (outcome.error.code === "unavailable") unavailable ??= outcome.error;
  }
  return unavailable;
}

function resultOf(outcome: PublishOutcome): unknown {
  if ("error" in outcome) {
    const { code, message, temporary } = outcome.error;
    return { line: outcome.line, error: temporary ? { code, message, temporary } : { code, message } };
  }
  if (outcome.position === null) return { topic: outcome.topic.name };
  return { topic: outcome.topic.name, epoch: outcome.position.epoch, seq: outcome.position.seq };
}

function count(outcomes: readonly PublishOutcome[], counters: HttpCounters): void {
  for (const outcome of outcomes) {
    if ("error" in outcome) counters.publicationsRefused[outcome.error.code] += 1;
    else counters.publicationsAccepted += 1;
  }
}
