/**
 * The messages of `tapecast.v1` as they stand on the wire, one JSON value per text frame (docs/PROTOCOL.md).
 * Types only, for both sides: the server builds replies from bytes (reply-writer.ts), so that `data` stays as it was
 * published; a browser parses them.
 */
import type { RequestErrorCode } from "../base/errors.ts";

/** The subprotocol's name in `Sec-WebSocket-Protocol`. Optional. */
export const subprotocolName = "tapecast.v1";

/** A command's number or string; the reply carries the same. */
export type CommandId = number | string;

/** A position in a topic's history. */
export interface WirePosition {
  readonly epoch: string;
  readonly seq: number;
}

export interface ErrorBody {
  readonly code: RequestErrorCode;
  readonly message: string;
  /** Present and true when the same request may succeed later. */
  readonly temporary?: true;
}

export type ClientMessage =
  | {
      readonly id?: CommandId;
      readonly method: "subscribe";
      readonly params: {
        readonly topics: readonly string[];
        readonly intervalMs?: number;
        readonly since?: Readonly<Record<string, WirePosition>>;
      };
    }
  | {
      readonly id?: CommandId;
      readonly method: "unsubscribe";
      readonly params: { readonly topics: readonly string[] };
    }
  | {
      readonly id?: CommandId;
      readonly method: "publish";
      readonly params: { readonly topic: string; readonly data: unknown };
    }
  | {
      readonly id?: CommandId;
      readonly method: "history";
      readonly params: { readonly topic: string; readonly since?: WirePosition; readonly limit?: number };
    }
  | { readonly id?: CommandId; readonly method: "token"; readonly params: { readonly token: string } }
  | { readonly id?: CommandId; readonly method: "ping" };

export interface HistoryMessage {
  readonly seq: number;
  readonly data: unknown;
}

/** What a subscriber learns of one topic. Empty for a live-only topic. */
export interface SubscribedTopic {
  readonly epoch?: string;
  readonly seq?: number;
  /** The newest value, if there is one. */
  readonly data?: unknown;
  /** Present when the request had `since` for the topic. */
  readonly recovered?: boolean;
  /** With `recovered: true`: every missed publication, oldest first. */
  readonly messages?: readonly HistoryMessage[];
  /** The rate class that was chosen, on `latest` topics that asked for one. */
  readonly intervalMs?: number;
}

export interface SubscribeResult {
  readonly topics: Readonly<Record<string, SubscribedTopic>>;
  readonly errors?: Readonly<Record<string, ErrorBody>>;
}

export interface HistoryResult extends WirePosition {
  readonly topic: string;
  readonly messages: readonly HistoryMessage[];
  /** Present when the request had `since`: whether `messages` begin right after it with none missing. */
  readonly recovered?: boolean;
}

export interface PublicationMessage {
  readonly topic: string;
  /** Absent on live-only topics and after a raw Redis PUBLISH. */
  readonly seq?: number;
  readonly data: unknown;
}

export type EventMessage =
  | { readonly event: "welcome"; readonly connection: string; readonly heartbeatMs: number }
  | ({ readonly event: "subscribed" } & SubscribeResult)
  | {
      readonly event: "lost";
      readonly topic: string;
      readonly count: number;
      readonly reason: "sampled" | "overrun";
    }
  | {
      readonly event: "unsubscribed";
      readonly topics: readonly string[];
      /** The new token does not allow them. */
      readonly reason: "forbidden";
    }
  | { readonly event: "closing"; readonly reason: string; readonly reconnectAfterMs: number }
  | { readonly event: "frames"; readonly in: string; readonly out: string };

/** What a command answers, by method: subscribe, unsubscribe, publish, history; token and ping answer `{}`. */
export type CommandResult =
  | SubscribeResult
  | { readonly topics: readonly string[] }
  | ({ readonly topic: string } & Partial<WirePosition>)
  | HistoryResult
  | Readonly<Record<string, never>>;

export type ReplyMessage =
  | { readonly id: CommandId | null; readonly result: CommandResult }
  | { readonly id: CommandId | null; readonly error: ErrorBody };

export type ServerMessage = EventMessage | PublicationMessage | ReplyMessage;
