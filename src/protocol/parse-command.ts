/**
 * Reads a client's command. Never throws on anything a peer can send: what is wrong comes back as a RequestError
 * together with the id to answer with. Server only; the published `data` stays a slice of the message.
 */
import { RequestError } from "../base/errors.ts";
import { objectMembers } from "../base/json-scanner.ts";
import type { Extent } from "../base/json-scanner.ts";

/** Where a client says it stands. A position that cannot exist has seq -1: it is answered, never an error. */
export interface SincePosition {
  readonly epoch: string;
  readonly seq: number;
}

export type Command =
  | {
      readonly method: "subscribe";
      readonly topics: readonly string[];
      /** Not negative; null when not given. */
      readonly intervalMs: number | null;
      readonly since: ReadonlyMap<string, SincePosition>;
    }
  | { readonly method: "unsubscribe"; readonly topics: readonly string[] }
  /** `data` is a slice of the message that was parsed: copy it if it must live longer. */
  | { readonly method: "publish"; readonly topic: unknown; readonly data: Uint8Array }
  | {
      readonly method: "history";
      readonly topic: unknown;
      readonly since: SincePosition | null;
      readonly limit: number;
    }
  | { readonly method: "token"; readonly token: string }
  | { readonly method: "ping" };

/** A command, or why it is none. `idJson` is the id as the client wrote it, `null` when it could not be read. */
export type ParsedCommand =
  | { readonly idJson: string; readonly command: Command; readonly error: null }
  | { readonly idJson: string; readonly command: null; readonly error: RequestError };

/** Entries of a history reply when the client names no limit, and at most. */
export const historyLimitDefault = 50;
export const historyLimitMax = 1000;

const idBytesMax = 128;
const methods = "subscribe, unsubscribe, publish, history, token or ping";

/** @param message the payload of a text frame: valid UTF-8, borrowed until return but for a publish's `data`. */
export function parseCommand(message: Uint8Array): ParsedCommand {
  const members = objectMembers(message);
  if (members === null) {
    return refuse("null", 'a command is one JSON object such as {"id":1,"method":"ping"}');
  }
  const idJson = readId(message, members.get("id"));
  if (idJson === null) return refuse("null", `an id is a number or a string of at most ${idBytesMax} bytes`);
  const method = readJson(message, members.get("method"));
  const params = members.get("params");
  const paramsBytes = params === undefined ? null : message.subarray(params.start, params.end);
  try {
    return { idJson, command: readCommand(method, paramsBytes), error: null };
  } catch (error) {
    if (error instanceof RequestError) return { idJson, command: null, error };
    throw error;
  }
}

function refuse(idJson: string, message: string): ParsedCommand {
  return { idJson, command: null, error: new RequestError("bad_request", message) };
}

function readCommand(method: unknown, params: Uint8Array | null): Command {
  switch (method) {
    case "ping":
      return { method };
    case "subscribe":
      return readSubscribe(readParams(params));
    case "unsubscribe":
      return { method, topics: readTopics(readParams(params)) };
    case "publish":
      return readPublish(params);
    case "history":
      return readHistory(readParams(params));
    case "token": {
      const { token } = readParams(params);
      if (typeof token !== "string") throw bad("params.token is a string");
      return { method, token };
    }
    default:
      throw bad(`method is ${methods}`);
  }
}

// Clients of typed languages write null for what they leave out: it counts as left out.
function readSubscribe(params: Record<string, unknown>): Command {
  const { intervalMs = null, since = null } = params;
  if (intervalMs !== null && !(typeof intervalMs === "number" && intervalMs >= 0)) {
    throw bad("params.intervalMs is a number of milliseconds, 0 or more");
  }
  const positions = new Map<string, SincePosition>();
  if (since !== null) {
    if (typeof since !== "object" || Array.isArray(since)) {
      throw bad('params.since is an object such as {"chat.lobby":{"epoch":"…","seq":12}}');
    }
    for (const [topic, position] of Object.entries(since)) positions.set(topic, readPosition(position));
  }
  return {
    method: "subscribe",
    topics: readTopics(params),
    intervalMs,
    since: positions,
  };
}

function readPublish(params: Uint8Array | null): Command {
  const members = params === null ? null : objectMembers(params);
  const data = members?.get("data");
  if (params === null || members === null || data === undefined) {
    throw bad('publish has params such as {"topic":"chat.lobby","data":"hi"}');
  }
  const topic = readJson(params, members.get("topic"));
  return { method: "publish", topic, data: params.subarray(data.start, data.end) };
}

function readHistory(params: Record<string, unknown>): Command {
  const { topic, since = null, limit = null } = params;
  if (limit !== null && !(typeof limit === "number" && Number.isInteger(limit) && limit > 0)) {
    throw bad("params.limit is a whole number above 0");
  }
  return {
    method: "history",
    topic,
    since: since === null ? null : readPosition(since),
    limit: Math.min(limit ?? historyLimitDefault, historyLimitMax),
  };
}

function readTopics(params: Record<string, unknown>): readonly string[] {
  const { topics } = params;
  if (Array.isArray(topics) && topics.length > 0 && topics.every((topic) => typeof topic === "string")) {
    return [...new Set(topics)];
  }
  throw bad('params.topics is a list of topic names such as ["quote.AAPL"]');
}

/** Any value at all: what is no position becomes one that nothing matches. */
function readPosition(value: unknown): SincePosition {
  const { epoch, seq } = (typeof value === "object" && value !== null ? value : {}) as {
    epoch?: unknown;
    seq?: unknown;
  };
  const isGood =
    typeof epoch === "string" && typeof seq === "number" && Number.isSafeInteger(seq) && seq >= 0;
  return isGood ? { epoch, seq } : { epoch: "", seq: -1 };
}

function readParams(params: Uint8Array | null): Record<string, unknown> {
  const value: unknown = params === null ? null : JSON.parse(Buffer.from(params).toString("utf8"));
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad("params is an object");
  // An object from JSON.parse: every key is a string.
  return value as Record<string, unknown>;
}

function readId(message: Uint8Array, extent: Extent | undefined): string | null {
  if (extent === undefined) return "null";
  const value = readJson(message, extent);
  if (value === null) return "null";
  const isId = typeof value === "number" || typeof value === "string";
  if (!isId || extent.end - extent.start > idBytesMax) return null;
  return Buffer.from(message.subarray(extent.start, extent.end)).toString("utf8");
}

function readJson(message: Uint8Array, extent: Extent | undefined): unknown {
  if (extent === undefined) return undefined;
  return JSON.parse(Buffer.from(message.subarray(extent.start, extent.end)).toString("utf8"));
}

function bad(message: string): RequestError {
  return new RequestError("bad_request", message);
}
