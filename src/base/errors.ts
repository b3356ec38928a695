/**
 * The failures of Tapecast that are not programming errors, one class for each answer to "who is wrong".
 * Expected outcomes are return values; these are thrown where a call cannot go on, and are turned into bytes
 * (an HTTP status, a close code, an error reply) in one place per layer. Handshake and RFC 6455 violations are
 * verdicts, not exceptions, and live with their layers.
 */

/** Stable codes of error replies and HTTP error bodies. docs/PROTOCOL.md lists them with their meaning. */
export type RequestErrorCode =
  | "bad_request"
  | "bad_topic"
  | "unknown_topic"
  | "unauthorized"
  | "forbidden"
  | "limit"
  | "rate_limited"
  | "too_large"
  | "unavailable"
  | "internal";

const temporaryCodes: ReadonlySet<RequestErrorCode> = new Set(["rate_limited", "unavailable", "internal"]);

/** The peer asked for something we refuse: an error reply follows, the connection stays. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly code: RequestErrorCode;
  /** True when the same request may succeed later. */
  readonly temporary: boolean;

  constructor(code: RequestErrorCode, message: string) {
    super(message);
    this.code = code;
    this.temporary = temporaryCodes.has(code);
  }
}

/** The broker cannot do it now (network, Redis, primary). A publish answers 503 / `unavailable`. */
export class BrokerError extends Error {
  override readonly name = "BrokerError";
  /** False when repeating the call cannot help (a wrong Redis version, a refused password). */
  readonly retryable: boolean;

  constructor(message: string, retryable: boolean, cause?: unknown) {
    super(message, { cause });
    this.retryable = retryable;
  }
}

/** One problem of a configuration: where, and what would be right. */
export interface ConfigProblem {
  /** Key path such as `topics[2].match`, or the environment variable or `--set` argument at fault. */
  readonly path: string;
  readonly message: string;
}

/** The operator's configuration is wrong. Carries all problems at once; the CLI prints them and exits 78. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map((problem) => `${problem.path}: ${problem.message}`).join("\n"));
    this.problems = problems;
  }
}

/** We are wrong: the worker dies and is replaced. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Holds what must hold. @throws InvariantError with `message` when `condition` is false. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
