/**
 * The node:http server behind the API: its limits and time limits, and what it says to bytes that are not HTTP.
 * It never listens itself; the front door hands it sockets with `emit("connection", socket)`.
 */
import http from "node:http";
import type { Socket } from "node:net";
import { commonFieldLines } from "./common-fields.ts";
import { errorBody, type HttpErrorCode } from "./http-refusal.ts";
import { securityHeaders } from "./security-headers.ts";
import { pipelinedMax, ServedSockets } from "./served-sockets.ts";

/**
 * Most header lines of a request. Node drops lines past `maxHeadersCount` without a word, and with them perhaps
 * `Authorization` or `X-Forwarded-For`; so Node is told a higher number, and a request past ours is refused.
 */
export const headerLinesMax = 128;

/**
 * How often Node looks for connections past their time limit. Its default of 30 s would let a slow sender stay
 * four times as long as it may.
 */
const timeoutCheckMs = 1000;
/** How long the sender of what is no request may go on sending before the connection is destroyed. */
const lingerMs = 1000;

/** Longer than the 60 s after which common load balancers drop an idle connection, so that they close first. */
const keepAliveTimeoutMs = 65_000;

export interface HttpServerOptions {
  readonly headBytesMax: number;
  /** From the first byte of a request to the end of its head. */
  readonly headTimeoutMs: number;
  /** From the first byte of a request to the end of its body. */
  readonly requestTimeoutMs: number;
  /** Time in which nothing is taken of the answers of a connection; null for no limit. */
  readonly pendingAgeMsMax: number | null;
  /** A connection had more requests to be answered than it may. */
  readonly onTooMany: () => void;
}

type Response = Parameters<http.RequestListener>[1];

/** Creates the server with its time limits running */
export function createHttpServer(options: HttpServerOptions, handler: http.RequestListener): http.Server {
  const served = new ServedSockets(options.pendingAgeMsMax);
  function take(request: http.IncomingMessage, response: Response, handle: http.RequestListener): void {
    const verdict = served.begin(request, response);
    if (verdict === "good") handle(request, response);
    if (verdict !== "tooMany") return;
    options.onTooMany();
    refuseMore(response);
  }
  const server = http.createServer(
    {
      maxHeaderSize: options.headBytesMax,
      headersTimeout: options.headTimeoutMs,
      requestTimeout: Math.max(options.headTimeoutMs, options.requestTimeoutMs),
      connectionsCheckingInterval: timeoutCheckMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      // Node's own answer has no body; head-check.ts refuses what has no Host.
      requireHostHeader: false,
    },
    (request, response) => take(request, response, handler),
  );
  server.maxHeadersCount = headerLinesMax * 2;
  // The body of an "Expect: 100-continue" request is invited by the route that wants it, after it judged the head.
  server.on("checkContinue", (request, response) => server.emit("request", request, response));
  // Node's own answer has no body; head-check.ts refuses an expectation that nobody here meets.
  server.on("checkExpectation", (request, response) => server.emit("request", request, response));
  // Without a listener Node cuts the connection without a word. Before answers that are still to come it has to.
  server.on("connect", ({ socket }) => {
    if (served.isAnswering(socket)) socket.destroy();
    else answerAndEnd(socket, 405, "method_not_allowed", "this is no proxy", "allow: GET, HEAD, POST\r\n");
  });
  // A server that never listens enforces no time limit until it believes that it does (measured on Node 20).
  server.emit("listening");
  return server;
}

/** True when the request has more header lines than are taken; some may already be lost. */
export function hasTooManyHeaders(request: http.IncomingMessage): boolean {
  return request.rawHeaders.length > headerLinesMax * 2;
}

/** The last answer of a connection that sends too many requests ahead. */
function refuseMore(response: http.ServerResponse): void {
  const message = `at most ${pipelinedMax} requests of a connection wait for their answers: read them first`;
  const body = errorBody("unavailable", message);
  response.writeHead(503, {
    ...securityHeaders,
    "cache-control": "no-store",
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(body),
    "retry-after": "1",
    connection: "close",
  });
  response.end(body);
}

/**
 * Answers what Node's parser or its timeouts refused, and closes. There is no request to answer to, so the response is
 * written by hand.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  // Answered already: what comes behind is thrown away.
  if (socket.writableEnded && !socket.destroyed && error.code !== "ECONNRESET") return;
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  answerAndEnd(socket, ...clientErrorAnswer(error.code ?? ""));
}

/** @param fieldLines further header lines, each with its CR LF. */
function answerAndEnd(
  socket: Socket,
  status: number,
  code: HttpErrorCode,
  message: string,
  fieldLines = "",
): void {
  const body = errorBody(code, message);
  const head =
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${fieldLines}` +
    `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n` +
    `connection: close\r\n${commonFieldLines()}\r\n`;
  socket.on("error", () => socket.destroy());
  socket.end(head + body);
  // RFC 9112 §9.6: "If a server performs an immediate close of a TCP connection, there is a significant risk that the
  // client will not be able to read the last HTTP response": it may still be sending. So we read on for a while.
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("end", () => socket.destroy());
  socket.once("close", () => clearTimeout(timer));
  socket.resume();
}

function clientErrorAnswer(code: string): [number, HttpErrorCode, string] {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return [408, "request_timeout", "the request came too slowly"];
    case "HPE_HEADER_OVERFLOW":
      return [431, "too_large", "the request's head is too large"];
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return [413, "too_large", "the body's chunk extensions are too large"];
    default:
      return [400, "bad_request", "this is not an HTTP/1.1 request that we can read"];
  }
}
