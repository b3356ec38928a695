/**
 * What clients send on `/ws`: parseCommand beside a reading by JSON.parse, then a whole session over a hub and a
 * broker in memory, which must answer every message with JSON and never throw.
 */
import { isUtf8 } from "node:buffer";
import { jsonDepthMax } from "../../src/base/json-scanner.ts";
import { parseCommand } from "../../src/protocol/parse-command.ts";
import { SessionWorld, tick, type Client } from "../session/session-world.ts";
import { expectSame, type FuzzInput, type FuzzTarget } from "./fuzz-target.ts";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";

const names = [
  "quote.AAPL",
  "chat.lobby",
  "wire.x",
  "danmaku.room1",
  "tick.a",
  "nope",
  "$sys",
  "__proto__",
  "a..b",
  "哈.b",
  "",
];
const methods = ["subscribe", "unsubscribe", "publish", "history", "token", "ping", "constructor", ""];
const odd = ["1", "-1", "1e400", "null", '"x"', "[]", "{}", "true", "9007199254740993", '"\\u0000"'];
/** Every so many inputs the session is a new one; promises go on each time. */
const inputsPerSession = 64;

export class SessionTarget implements FuzzTarget {
  readonly name = "session";
  #world = new SessionWorld();
  #client: Client | null = null;
  #inputs = 0;

  make(random: Random): FuzzInput {
    const valid = Buffer.from(command(random));
    const bytes = random.chance(70) ? mutate(random, valid) : valid;
    return { bytes, cuts: [], variant: 0 };
  }

  check({ bytes }: FuzzInput): void | Promise<void> {
    // The codec hands on valid UTF-8 only.
    const message = Buffer.from(isUtf8(bytes) ? bytes : Buffer.from(bytes.toString("utf8")));
    expectSame("command", parsed(message), commandTwin(message.toString("utf8")));
    this.#inputs += 1;
    if (this.#client === null || this.#client.connection.closedWith !== null)
      this.#client = this.#world.connect();
    this.#client.session.receive(message);
    // As the socket does with its read buffer.
    message.fill(0xee);
    return this.#inputs % inputsPerSession === 0 ? this.#settle() : undefined;
  }

  async #settle(): Promise<void> {
    this.#world.nowMs += 1000;
    await tick();
    await tick();
    const messages = this.#client?.connection.take() ?? [];
    for (const text of messages) JSON.parse(text);
    if (this.#world.unexpected.length > 0)
      throw new Error(`unexpected: ${String(this.#world.unexpected[0])}`);
    this.#client?.connection.end();
    await tick();
    this.#client = null;
    this.#world = new SessionWorld();
  }
}

function parsed(message: Uint8Array): unknown {
  const { idJson, command, error } = parseCommand(message);
  if (command === null) return { idJson, error: error.code };
  const rest = command.method === "publish" ? { topic: command.topic } : { ...command };
  return { idJson, method: command.method, ...rest, ...("since" in rest ? { since: null } : {}) };
}

/** What JSON.parse and the words of docs/PROTOCOL.md make of a message. */
function commandTwin(text: string): unknown {
  const object = parseObject(text);
  if (object === null) return { idJson: "null", error: "bad_request" };
  const idJson = idOf(text, object);
  if (idJson === null) return { idJson: "null", error: "bad_request" };
  const bad = { idJson, error: "bad_request" };
  const method = Reflect.get(object, "method") as unknown;
  if (method === "ping") return { idJson, method };
  const params = Reflect.get(object, "params") as unknown;
  if (!isObject(params)) return bad;
  const { topics, topic, data, intervalMs, since, limit, token } = params as Record<string, unknown>;
  const isList =
    Array.isArray(topics) && topics.length > 0 && topics.every((each) => typeof each === "string");
  switch (method) {
    case "subscribe": {
      const isGood = intervalMs === undefined || (typeof intervalMs === "number" && intervalMs >= 0);
      if (!isList || !isGood || (since !== undefined && !isObject(since))) return bad;
      return { idJson, method, topics: [...new Set(topics)], intervalMs: intervalMs ?? null, since: null };
    }
    case "unsubscribe":
      return isList ? { idJson, method, topics: [...new Set(topics)] } : bad;
    case "publish":
      return data === undefined ? bad : { idJson, method, topic };
    case "history": {
      const isGood =
        limit === undefined || (typeof limit === "number" && Number.isInteger(limit) && limit > 0);
      return isGood ? { idJson, method, topic, since: null, limit: Math.min(limit ?? 50, 1000) } : bad;
    }
    case "token":
      return typeof token === "string" ? { idJson, method, token } : bad;
    default:
      return bad;
  }
}

function parseObject(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && nesting(text) <= jsonDepthMax + 1 ? value : null;
  } catch {
    return null;
  }
}

/** Deepest nesting of brackets outside of strings: the message's own braces, and the limit inside of them. */
function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [bracket] of text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "").matchAll(/[[\]{}]/g)) {
    depth += bracket === "[" || bracket === "{" ? 1 : -1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

/** The id as it was written; the last of several. Null for one that is refused. */
function idOf(text: string, object: object): string | null {
  const id = Reflect.get(object, "id") as unknown;
  if (id === undefined || id === null) return "null";
  if (typeof id !== "number" && typeof id !== "string") return null;
  const source = memberSource(text, "id");
  return Buffer.byteLength(source) > 128 ? null : source;
}

/** The source of a top-level scalar: a walk over tokens. */
function memberSource(text: string, name: string): string {
  let depth = 0;
  let key: string | null = null;
  let isValue = false;
  let found = "";
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s"[\]{},:]+/g)) {
    if (token === "{" || token === "[") depth += 1;
    else if (token === "}" || token === "]") depth -= 1;
    else if (depth === 1 && token === ":") isValue = true;
    else if (depth === 1 && token === ",") isValue = false;
    else if (depth === 1 && !isValue) key = JSON.parse(token) as string;
    else if (depth === 1 && key === name) found = token;
  }
  return found;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function command(random: Random): string {
  const list = Array.from({ length: 1 + random.int(3) }, () => JSON.stringify(random.pick(names))).join(",");
  const topic = JSON.stringify(random.pick(names));
  const since = `{${topic}:{"epoch":"1795338789954376","seq":${random.pick(["0", "3", "-1", "1e9", '"x"'])}}}`;
  const params = random.pick([
    `{"topics":[${list}]}`,
    `{"topics":[${list}],"intervalMs":${random.pick(["0", "70", "1e9", "-1"])}}`,
    `{"topics":[${list}],"since":${since}}`,
    `{"topic":${topic},"data":{"price":1.10,"text":"哈哈哈"}}`,
    `{"topic":${topic},"limit":${random.pick(["1", "50", "0", "1e9"])}}`,
    `{"topic":${topic},"since":{"epoch":"1795338789954376","seq":3}}`,
    `{"token":"abc"}`,
    `{"topics":${random.pick(odd)}}`,
    random.pick(odd),
  ]);
  const id = random.pick(["1", '"a"', "1.50", random.pick(odd), `"${"x".repeat(126 + random.int(3))}"`]);
  const text = `{"id":${id},"method":${JSON.stringify(random.pick(methods))},"params":${params}}`;
  if (random.chance(2))
    return text.replace("{", `{"deep":${"[".repeat(126 + random.int(4))}${"]".repeat(128)},`);
  return text;
}
