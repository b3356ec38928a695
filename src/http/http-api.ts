/**
 * The HTTP API: fastify on a server that never listens (DESIGN: the front door feeds it sockets). This file joins the
 * routes, sets what every answer has, and holds the life of requests from the first to the last; docs/HTTP.md is its
 * contract. Not here: handshakes, upgrades and listening sockets.
 */
import type { Server } from "node:http";
import { fastifySwagger } from "@fastify/swagger";
import {
  fastify,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { RequestError } from "../base/errors.ts";
import { limitCounters } from "../base/limit-counters.ts";
import { AddressRate } from "./address-rate.ts";
import { Arrivals } from "./arrivals.ts";
import { BodyBudget } from "./body-reader.ts";
import { headRefusal } from "./head-check.ts";
import type { HttpBackend } from "./http-backend.ts";
import { createHttpCounters, type HttpCounters, type HttpRoute } from "./http-counters.ts";
import { HttpRefusal, refusalOf, sendRefusal } from "./http-refusal.ts";
import { answerClientError, createHttpServer } from "./http-server.ts";
import { errorSchema, errorSchemaId } from "./openapi-schemas.ts";
import { operationRoutes } from "./operation-routes.ts";
import { pageRoutes } from "./page-routes.ts";
import { packageRoot, readPages } from "./page-table.ts";
import { publishLinesMax } from "./publish-batch.ts";
import { publishRoute } from "./publish-route.ts";
import { PendingAnswers } from "./pending-answers.ts";
import { RequestTracker } from "./request-tracker.ts";
import { RoutePaths } from "./route-paths.ts";
import { securityHeaders } from "./security-headers.ts";
import { topicRoutes } from "./topic-routes.ts";
import { TrustedProxies } from "./trusted-proxies.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** What the route's requests count as. */
    httpRoute?: HttpRoute;
  }
}

export interface HttpApiOptions {
  /** Largest `data` of a publication (`limits.messageBytesMax`). */
  readonly messageBytesMax: number;
  /** Largest head of a request (`limits.headBytesMax`). */
  readonly headBytesMax: number;
  /** Time for a request's head (`limits.headTimeoutMs`). */
  readonly headTimeoutMs: number;
  /** Time for a whole request, its body included; 20 s more than `headTimeoutMs` when absent. */
  readonly requestTimeoutMs?: number;
  /** Largest NDJSON body; when absent what the largest batch needs, at most 16 MiB. */
  readonly publishBodyBytesMax?: number;
  /** Memory of all bodies together (`limits.httpBodyBytesInFlightMax`); no limit when absent. */
  readonly bodyBytesInFlightMax?: number;
  /** Bytes of all answers that are not taken yet (`limits.httpAnswerBytesTotalMax`); no limit when absent. */
  readonly answerBytesTotalMax?: number;
  /** Time in which none of its answers is taken of a connection (`limits.pendingAgeMsMax`); null or absent: no limit. */
  readonly pendingAgeMsMax?: number | null;
  /** Requests at once (`limits.httpRequestsInFlightMax`); no limit when absent. */
  readonly requestsInFlightMax?: number;
  /** Requests of an address (`limits.httpRequestsPerAddressPerSecMax`); no limit when absent or null. */
  readonly requestsPerAddressPerSecMax?: number | null;
  /** Most bytes of `data` in one history answer; 16 MiB when absent. */
  readonly historyBytesMax?: number;
  /** Whose word about clients counts; nobody's when absent. */
  readonly proxies?: TrustedProxies;
  /** Version of Tapecast, for /openapi.json. */
  readonly version: string;
  /** Where `src/web/static` and `dist` lie; the package this file belongs to when absent. */
  readonly root?: string;
  /** Told of errors that nobody expected; the peer sees a 500 without a detail. */
  onError(error: unknown, route: HttpRoute): void;
}

export interface HttpApi {
  /** Give it sockets with `emit("connection", socket)`. It has no `upgrade` listener of its own. */
  readonly server: Server;
  readonly counters: HttpCounters;
  readonly bodies: BodyBudget;
  /**
   * Ends the API: idle connections at once, busy ones after their answer (which says `Connection: close`), what is
   * left after `graceMs` by force. No socket may be handed over afterwards.
   */
  close(graceMs?: number): Promise<void>;
}

const mebibyte = 1_048_576;

/** Builds the API over a backend and reads the pages. @throws what a broken route registration throws */
export async function createHttpApi(backend: HttpBackend, options: HttpApiOptions): Promise<HttpApi> {
  const counters = createHttpCounters();
  const requests = new RequestTracker(counters, options.requestsInFlightMax ?? Number.POSITIVE_INFINITY);
  const answers = new PendingAnswers(
    options.answerBytesTotalMax ?? Number.POSITIVE_INFINITY,
    counters.answers,
  );
  const arrivals = new Arrivals();
  arrivals.start();
  const bodies = new BodyBudget(options.bodyBytesInFlightMax ?? Number.POSITIVE_INFINITY);
  const proxies = options.proxies ?? new TrustedProxies([]);
  const app = fastify({
    logger: false,
    serverFactory: (handler) =>
      createHttpServer(
        {
          headBytesMax: options.headBytesMax,
          headTimeoutMs: options.headTimeoutMs,
          requestTimeoutMs: options.requestTimeoutMs ?? options.headTimeoutMs + 20_000,
          pendingAgeMsMax: options.pendingAgeMsMax ?? null,
          onTooMany: () => {
            counters.clientErrors += 1;
          },
        },
        handler,
      ),
    clientErrorHandler: (error, socket) => {
      // RFC 9112 §9.6: with "close" a client has said that nothing follows. What does is not looked at, and the answer
      // that it waits for goes out and ends the connection.
      if (error.code === "HPE_CLOSED_CONNECTION") return;
      counters.clientErrors += 1;
      if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") limitCounters.hit("headTimeoutMs");
      if (error.code === "HPE_HEADER_OVERFLOW") limitCounters.hit("headBytesMax");
      answerClientError(error, socket);
    },
    frameworkErrors: (error, _request, reply) => {
      // A target that the router cannot read: as in head-check.ts, one answer and no more.
      reply.headers(securityHeaders).header("connection", "close");
      sendRefusal(reply, refusalOf(error));
    },
    // A topic that is too long gets the answer about topics, not the router's.
    routerOptions: { maxParamLength: options.headBytesMax },
    return503OnClosing: false,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, strictSchema: false } },
    schemaErrorFormatter: (errors) => {
      const [first] = errors;
      const name = first?.instancePath.slice(1) ?? "";
      return new HttpRefusal(
        400,
        "bad_request",
        `${name === "" ? "the query" : name} ${first?.message ?? "is wrong"}`,
      );
    },
  });

  // Bodies are read by the one route that wants them, as bytes.
  app.removeAllContentTypeParsers();
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  const addresses = new AddressRate(options.requestsPerAddressPerSecMax ?? null, proxies);
  followRequests(app, requests, answers, addresses);
  answerErrors(app, counters, options);
  await describeApi(app, options.version);

  await publishRoute(app, backend, {
    messageBytesMax: options.messageBytesMax,
    publishBodyBytesMax:
      options.publishBodyBytesMax ??
      Math.min(publishLinesMax * (options.messageBytesMax + 1024), 16 * mebibyte),
    counters,
    proxies,
    bodies,
    arrivals,
    onError: (error) => options.onError(error, "publish"),
  });
  topicRoutes(app, backend, proxies, options.historyBytesMax ?? 16 * mebibyte);
  operationRoutes(app, backend);
  pageRoutes(app, await readPages(options.root ?? packageRoot()));
  await app.ready();

  return {
    server: app.server,
    counters,
    bodies,
    close: async (graceMs = 5000) => {
      arrivals.stop();
      const drained = requests.drain(graceMs);
      app.server.closeIdleConnections();
      await drained;
      app.server.closeAllConnections();
      app.server.close();
      await app.close();
    },
  };
}

/** What every request goes through before its route, and every answer carries. */
function followRequests(
  app: FastifyInstance,
  requests: RequestTracker,
  answers: PendingAnswers,
  addresses: AddressRate,
): void {
  app.addHook("onRequest", async (request, reply) => {
    const route = request.routeOptions.config.httpRoute ?? "other";
    const isWelcome = requests.begin(route, reply.raw);
    reply.headers(securityHeaders);
    // Answers about topics and health are true for a moment; pages and their parts say otherwise themselves.
    reply.header("cache-control", "no-store");
    // A sender that waits to be invited may not send its body after another answer: the connection cannot go on.
    if (request.headers.expect !== undefined) reply.header("connection", "close");
    if (!isWelcome) throw tooManyRequests();
    const refusal = addresses.refusal(request.raw, route, performance.now()) ?? headRefusal(request.raw);
    if (refusal !== null) throw refusal;
  });
  // Last of all, since a drain may have begun while the request was worked on.
  app.addHook("onSend", async (_request, reply, payload) => {
    if (requests.draining) reply.header("connection", "close");
    requests.answered(reply.raw);
    answers.add(reply.raw, bytesOf(payload));
    return payload;
  });
}

/** All of our answers are text or bytes. */
function bytesOf(payload: unknown): number {
  if (typeof payload === "string") return Buffer.byteLength(payload);
  return payload instanceof Uint8Array ? payload.length : 0;
}

function tooManyRequests(): HttpRefusal {
  const message = "too many requests are being worked on at once: try again in a second";
  return new HttpRefusal(503, "unavailable", message, { "retry-after": "1", connection: "close" });
}

/** Every error of every route ends in one of these two, and both in `sendRefusal`. */
function answerErrors(app: FastifyInstance, counters: HttpCounters, options: HttpApiOptions): void {
  const paths = new RoutePaths();
  app.addHook("onRoute", (route) => paths.add(route.url, [route.method].flat()));

  app.setErrorHandler((error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
    const refusal = refusalOf(error);
    const route = request.routeOptions.config.httpRoute ?? "other";
    if (refusal.code === "internal" && !(error instanceof RequestError)) options.onError(error, route);
    if (route === "publish") counters.publicationsRefused[refusal.code] += 1;
    // fastify closes the connection after a body error. Node reads the rest of a refused body and throws it away,
    // within the request's time limit; closing first would reset the connection and lose the answer.
    if (request.headers.expect === undefined) reply.removeHeader("connection");
    return sendRefusal(reply, refusal);
  });

  app.setNotFoundHandler((request, reply) => {
    const methods = paths.methodsOf(request.url);
    if (methods.length === 0)
      return sendRefusal(reply, new HttpRefusal(404, "not_found", "there is nothing here"));
    const allow = methods.join(", ");
    // RFC 9110 §15.5.6: "The origin server MUST generate an Allow header field in a 405 response"
    return sendRefusal(
      reply,
      new HttpRefusal(405, "method_not_allowed", `allowed here: ${allow}`, { allow }),
    );
  });
}

/** /openapi.json, generated from the schemas of the routes that are registered after this call. */
async function describeApi(app: FastifyInstance, version: string): Promise<void> {
  app.addSchema(errorSchema);
  await app.register(fastifySwagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Tapecast",
        version,
        description: "Live topics over HTTP. docs/HTTP.md has the examples.",
      },
      components: {
        securitySchemes: {
          publishKey: { type: "http", scheme: "bearer", description: "One of auth.publishKeys" },
          token: { type: "http", scheme: "bearer", description: "A JWT, where auth.jwt is configured" },
        },
      },
    },
    refResolver: {
      buildLocalReference: (schema) => (typeof schema["$id"] === "string" ? schema["$id"] : errorSchemaId),
    },
    // OpenAPI wants a named parameter for what fastify writes as *.
    transform: ({ schema, url }) => ({
      url: url.replace("*", ":path"),
      schema: url.includes("*") ? { ...schema, params: wildcardParams } : schema,
    }),
  });
}

const wildcardParams = {
  type: "object",
  required: ["path"],
  properties: { path: { type: "string", description: "A topic below /raw, a file below /demo." } },
} as const;
