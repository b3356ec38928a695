/** Publishes over `POST /api/publish`: JSON for one message, NDJSON for more. */
import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";

import { networkProblem } from "../base/system-problem.ts";
import { CliError, exitCode } from "./exit-code.ts";
import { HttpPoster } from "./http-post.ts";
import type { Message, Outcome, Publisher } from "./publisher.ts";

export interface HttpPublisherOptions {
  /** Of the server, such as `http://127.0.0.1:8080`; a path in it comes before `/api/publish`. */
  readonly url: string;
  /** `auth.publishKeys`; null for a server on this machine without any. */
  readonly key: string | null;
  /** Waits between attempts; for tests. */
  readonly retryWaitsMs?: readonly number[];
  /** Told once for each request that has failed twice and is tried on, for at most `forMs` more. */
  readonly onWait?: (problem: string, forMs: number) => void;
}

/** About 24 s in all: a restart of the server passes, a dead one is told. */
const retryWaitsMsDefault = [250, 500, 1000, 2000, 4000, 8000, 8000];
const requestTimeoutMs = 15_000;

/** See the file head. One request at a time keeps the order. */
export class HttpPublisher implements Publisher {
  /** The contract of `/api/publish`. */
  readonly batchMessagesMax = 1000;
  readonly batchBytesMax = 524_288;
  readonly #address: URL;
  readonly #poster: HttpPoster;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #retryWaitsMs: readonly number[];
  readonly #onWait: (problem: string, forMs: number) => void;
  #reached = false;

  /** @throws CliError for a URL that is not http or https. */
  constructor(options: HttpPublisherOptions) {
    this.#address = publishAddress(options.url);
    this.#poster = new HttpPoster(this.#address);
    this.#headers = options.key === null ? {} : { authorization: `Bearer ${options.key}` };
    this.#retryWaitsMs = options.retryWaitsMs ?? retryWaitsMsDefault;
    this.#onWait = options.onWait ?? (() => undefined);
  }

  async publish(messages: readonly Message[]): Promise<readonly Outcome[]> {
    const { status, body } = await this.#post(messages);
    if (status === 200) return outcomesOf(body, messages.length);
    const { code, message } = errorOf(body, status);
    if (status === 401 || status === 403) throw new CliError(exitCode.failed, `${code}: ${message}`);
    if (messages.length === 1) return [{ accepted: false, code, reason: message }];
    if (status !== 413) return messages.map(() => ({ accepted: false, code, reason: message }));
    const half = Math.ceil(messages.length / 2);
    const first = await this.publish(messages.slice(0, half));
    return [...first, ...(await this.publish(messages.slice(half)))];
  }

  async close(): Promise<void> {
    this.#poster.close();
  }

  /** One request, repeated while the server is away for a moment; the key makes a repetition harmless. */
  async #post(messages: readonly Message[]): Promise<{ status: number; body: unknown }> {
    const headers = {
      ...this.#headers,
      "content-type": messages.length === 1 ? "application/json" : "application/x-ndjson",
      "idempotency-key": randomUUID(),
    };
    const request = bodyOf(messages);
    let problem = "";
    for (const [attempt, waitMs] of [...this.#retryWaitsMs, null].entries()) {
      try {
        const answer = await this.#poster.post(headers, request, requestTimeoutMs);
        const body = jsonOf(answer.body);
        this.#reached = true;
        if (answer.status !== 429 && answer.status < 500) return { status: answer.status, body };
        problem = `${this.#address.href} answers ${answer.status}: ${errorOf(body, answer.status).message}`;
      } catch (error) {
        problem = `cannot reach ${this.#address.href}: ${networkProblem(error)}`;
        // Nobody has ever been there: a wrong address, most likely.
        if (!this.#reached) break;
      }
      if (waitMs === null) break;
      if (attempt === 1)
        this.#onWait(
          problem,
          this.#retryWaitsMs.slice(1).reduce((sum, ms) => sum + ms, 0),
        );
      await wait(waitMs);
    }
    throw new CliError(exitCode.unavailable, problem);
  }
}

function publishAddress(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) {
    throw new CliError(exitCode.usage, `--url must be http://… or https://…, not ${url}`);
  }
  return new URL(`${parsed.pathname.replace(/\/+$/u, "")}/api/publish`, parsed.origin);
}

function bodyOf(messages: readonly Message[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const { topic, data } of messages) {
    parts.push(Buffer.from(`{"topic":${JSON.stringify(topic)},"data":`), oneLine(data), Buffer.from("}\n"));
  }
  return Buffer.concat(parts);
}

/** Line ends in `data` are white space between tokens, never within a string; a line of NDJSON cannot have them. */
function oneLine(data: Uint8Array): Uint8Array {
  if (!data.includes(0x0a)) return data;
  return data.map((byte) => (byte === 0x0a || byte === 0x0d ? 0x20 : byte));
}

function outcomesOf(body: unknown, count: number): readonly Outcome[] {
  const results: unknown = member(body, "results");
  if (!Array.isArray(results) || results.length !== count) {
    throw new CliError(
      exitCode.failed,
      "the answer of the server cannot be understood: is it a Tapecast server?",
    );
  }
  return results.map((result: unknown) => {
    const error = member(result, "error");
    if (error !== undefined) {
      return { accepted: false, code: text(member(error, "code")), reason: text(member(error, "message")) };
    }
    const epoch = member(result, "epoch");
    const seq = member(result, "seq");
    return {
      accepted: true,
      topic: text(member(result, "topic")),
      epoch: typeof epoch === "string" ? epoch : null,
      seq: typeof seq === "number" ? seq : null,
    };
  });
}

function errorOf(body: unknown, status: number): { code: string; message: string } {
  const error = member(body, "error");
  const code = text(member(error, "code"));
  return { code: code === "" ? `http_${status}` : code, message: text(member(error, "message")) };
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
