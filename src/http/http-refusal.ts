/**
 * The one place that turns an error into an HTTP answer. Everything that the API refuses ends here: RequestError by
 * its code, BrokerError as 503, fastify's own errors by their status, and whatever else as 500 without a detail.
 * The body is always `{"error":{"code","message"}}`; a message never repeats what the peer sent.
 */
import type { FastifyReply } from "fastify";
import { BrokerError, RequestError, type RequestErrorCode } from "../base/errors.ts";

/** Codes of HTTP error bodies: those of the protocol and what only HTTP has. docs/HTTP.md lists them. */
export type HttpErrorCode =
  | RequestErrorCode
  | "not_found"
  | "method_not_allowed"
  | "unsupported_media_type"
  | "upgrade_required"
  | "request_timeout";

/** A request that is answered with an error status. Thrown within `http`, never past it. */
export class HttpRefusal extends Error {
  override readonly name = "HttpRefusal";
  readonly status: number;
  readonly code: HttpErrorCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: HttpErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

const statusOfCode: Readonly<Record<RequestErrorCode, number>> = {
  bad_request: 400,
  bad_topic: 400,
  unknown_topic: 404,
  unauthorized: 401,
  forbidden: 403,
  limit: 429,
  rate_limited: 429,
  too_large: 413,
  unavailable: 503,
  internal: 500,
};

const headersOfStatus: ReadonlyMap<number, Readonly<Record<string, string>>> = new Map<
  number,
  Readonly<Record<string, string>>
>([
  // RFC 9110 §15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate header field"
  [401, { "www-authenticate": 'Bearer realm="tapecast"' }],
  // Limits have a burst of one second's worth and brokers reconnect within seconds.
  [429, { "retry-after": "1" }],
  [503, { "retry-after": "1" }],
]);

/**
 * The answer to an error, whatever was thrown.
 * @returns an `internal` refusal, 500 and without a detail, for what nobody expected: the caller logs the error itself.
 */
export function refusalOf(error: unknown): HttpRefusal {
  if (error instanceof HttpRefusal) return error;
  if (error instanceof RequestError) return refusalOfRequestError(error);
  if (error instanceof BrokerError) return refusalOfRequestError(unavailable());
  switch (statusCodeOf(error)) {
    case 400:
      return new HttpRefusal(400, "bad_request", "the request cannot be read");
    case 413:
      return new HttpRefusal(413, "too_large", "the body is too large");
    case 415:
      return unsupportedMediaType();
    default:
      return new HttpRefusal(500, "internal", "an error of the server, which its log explains");
  }
}

/** What a peer is told when the broker fails; addresses and causes of the inside stay in the log. */
export function unavailable(): RequestError {
  return new RequestError("unavailable", "the broker cannot be reached now: try again");
}

/** 415 with what would be right. */
export function unsupportedMediaType(): HttpRefusal {
  return new HttpRefusal(
    415,
    "unsupported_media_type",
    "send Content-Type: application/json (one message) or application/x-ndjson (one message a line), in UTF-8",
    // RFC 9110 §12.5.1: Accept in an answer says which media types a request may have.
    { accept: "application/json, application/x-ndjson" },
  );
}

/** Answers with a refusal's status, headers and body. */
export function sendRefusal(reply: FastifyReply, refusal: HttpRefusal): FastifyReply {
  reply.code(refusal.status).headers(refusal.headers);
  return sendJson(reply, errorBody(refusal.code, refusal.message));
}

/** Answers with JSON that is already text or bytes: nothing is parsed or built again. */
export function sendJson(reply: FastifyReply, json: string | Buffer): FastifyReply {
  return reply.type("application/json; charset=utf-8").send(json);
}

/** The body of an error answer, in the one shape that all of them have. */
export function errorBody(code: HttpErrorCode, message: string): string {
  return JSON.stringify({ error: { code, message } });
}

function refusalOfRequestError(error: RequestError): HttpRefusal {
  const status = statusOfCode[error.code];
  return new HttpRefusal(status, error.code, error.message, headersOfStatus.get(status) ?? {});
}

/** The status that fastify and find-my-way give to their errors. */
function statusCodeOf(error: unknown): number {
  if (!(error instanceof Error) || !("statusCode" in error)) return 500;
  return typeof error.statusCode === "number" ? error.statusCode : 500;
}
