/**
 * Reads the server's text messages (docs/PROTOCOL.md): JSON.parse for the values, and the source text of `data`
 * beside them. What is not understood is ignored, so that a server may add members and events.
 */
import { ClientError } from "./client-error.ts";
import { elementTexts, memberTexts } from "./json-text.ts";

/** One publication's value: parsed, and as the text that was published. */
export interface Value {
  readonly data: unknown;
  /** The JSON text byte for byte as published; prices keep their decimals here. */
  readonly text: string;
}

export interface StoredMessage extends Value {
  readonly seq: number;
}

/** One topic's part of a subscribe result. */
export interface TopicState {
  /** null on a topic without history. */
  readonly epoch: string | null;
  readonly seq: number | null;
  readonly value: Value | null;
  readonly intervalMs: number | null;
  /** null when the subscription did not say where it stood. */
  readonly recovered: boolean | null;
  readonly messages: readonly StoredMessage[];
}

export type ServerMessage =
  | {
      readonly kind: "publication";
      readonly topic: string;
      readonly seq: number | null;
      /** Named by the first publication of an epoch that goes on counting; else null. */
      readonly epoch: string | null;
      readonly value: Value;
    }
  | { readonly kind: "result"; readonly id: number; readonly text: string }
  | { readonly kind: "error"; readonly id: number | null; readonly error: ClientError }
  | { readonly kind: "welcome"; readonly connection: string; readonly heartbeatMs: number }
  | { readonly kind: "lost"; readonly topic: string; readonly count: number; readonly reason: string }
  | { readonly kind: "unsubscribed"; readonly topics: readonly string[] }
  | { readonly kind: "closing"; readonly reason: string; readonly reconnectAfterMs: number | null }
  | { readonly kind: "unknown" };

const unknownMessage: ServerMessage = { kind: "unknown" };

/**
 * Splits one text message into JSON texts. With `?batch=1` publications come one per line; a reply or event is one
 * JSON value in which a line feed may stand, so lines count only where the first is whole by itself.
 */
export function splitMessage(text: string): readonly string[] {
  const end = text.indexOf("\n");
  if (end < 0 || parsed(text.slice(0, end)) === undefined) return [text];
  return text.split("\n").filter((line) => line.trim() !== "");
}

/** Reads one JSON text of the server. Never throws. */
export function readServerMessage(text: string): ServerMessage {
  const message = parsed(text);
  const topic = member(message, "topic");
  const event = member(message, "event");
  if (typeof event === "string") return readEvent(event, message);
  if (typeof topic === "string") {
    const data = memberTexts(text).get("data");
    if (data === undefined) return unknownMessage;
    const value = { data: member(message, "data"), text: data };
    const epoch = member(message, "epoch");
    return {
      kind: "publication",
      topic,
      seq: numberOf(member(message, "seq")),
      epoch: typeof epoch === "string" ? epoch : null,
      value,
    };
  }
  const id = numberOf(member(message, "id"));
  const error = member(message, "error");
  if (error !== undefined) return { kind: "error", id, error: readError(error) };
  const result = memberTexts(text).get("result");
  return id === null || result === undefined ? unknownMessage : { kind: "result", id, text: result };
}

/** The `topics` and `errors` of a subscribe result. */
export function readSubscribeResult(result: string): {
  readonly topics: ReadonlyMap<string, TopicState>;
  readonly errors: ReadonlyMap<string, ClientError>;
} {
  const topics = new Map<string, TopicState>();
  const errors = new Map<string, ClientError>();
  const members = memberTexts(result);
  for (const [topic, text] of memberTexts(members.get("topics") ?? ""))
    topics.set(topic, readTopicState(text));
  for (const [topic, text] of memberTexts(members.get("errors") ?? ""))
    errors.set(topic, readError(parsed(text)));
  return { topics, errors };
}

/** A publish or history result. `messages` is empty in the former. */
export function readPositionResult(result: string): {
  readonly epoch: string | null;
  readonly seq: number | null;
  readonly messages: readonly StoredMessage[];
} {
  const { epoch, seq, messages } = readTopicState(result);
  return { epoch, seq, messages };
}

function readTopicState(text: string): TopicState {
  const state = parsed(text);
  const texts = memberTexts(text);
  const epoch = member(state, "epoch");
  const recovered = member(state, "recovered");
  return {
    epoch: typeof epoch === "string" ? epoch : null,
    seq: numberOf(member(state, "seq")),
    value: valueOf(texts.get("data")),
    intervalMs: numberOf(member(state, "intervalMs")),
    recovered: typeof recovered === "boolean" ? recovered : null,
    messages: elementTexts(texts.get("messages") ?? "").flatMap(readStoredMessage),
  };
}

function readStoredMessage(text: string): readonly StoredMessage[] {
  const texts = memberTexts(text);
  const seq = Number(texts.get("seq"));
  const value = valueOf(texts.get("data"));
  return Number.isSafeInteger(seq) && value !== null ? [{ seq, ...value }] : [];
}

function readEvent(event: string, body: unknown): ServerMessage {
  const text = (name: string): string => {
    const value = member(body, name);
    return typeof value === "string" ? value : "";
  };
  switch (event) {
    case "welcome":
      return {
        kind: "welcome",
        connection: text("connection"),
        heartbeatMs: numberOf(member(body, "heartbeatMs")) ?? 0,
      };
    case "lost":
      return {
        kind: "lost",
        topic: text("topic"),
        count: numberOf(member(body, "count")) ?? 0,
        reason: text("reason"),
      };
    case "unsubscribed":
      return { kind: "unsubscribed", topics: textsOf(member(body, "topics")) };
    case "closing":
      return {
        kind: "closing",
        reason: text("reason"),
        reconnectAfterMs: numberOf(member(body, "reconnectAfterMs")),
      };
    default:
      return unknownMessage;
  }
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
}

function readError(error: unknown): ClientError {
  const code = member(error, "code");
  const message = member(error, "message");
  return new ClientError(
    typeof code === "string" ? code : "internal",
    typeof message === "string" ? message : "",
    member(error, "temporary") === true ||
      code === "unavailable" ||
      code === "internal" ||
      code === "rate_limited",
  );
}

function valueOf(text: string | undefined): Value | null {
  if (text === undefined) return null;
  const data = parsed(text);
  return data === undefined ? null : { data, text };
}

/** @returns undefined for what is no JSON; JSON itself has no undefined. */
function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}

/** An own member of an object, whatever came: `__proto__` and its like are never looked up on a prototype. */
function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  const found: unknown = Reflect.get(value, name);
  return found;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
