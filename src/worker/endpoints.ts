/** The WebSocket endpoints of PROTOCOL.md by path, and the session that serves each. */
import { frameHeaderBytes, writeFrameHeader } from "../codec/frame-encoder.ts";
import { opcode } from "../codec/opcode.ts";
import { recordedBytesMax } from "../codec/wire-record.ts";
import {
  compressionOptions,
  type ConnectionHandler,
  type ConnectionOptions,
} from "../connection/connection-options.ts";
import type { Connection } from "../connection/connection.ts";
import type { Config } from "../config/schema.ts";
import { limitNumber } from "../config/schema.ts";
import type { Refusal } from "../handshake/refusal.ts";
import { bearerIn } from "../http/request-facts.ts";
import type { Endpoint, Router, UpgradeRequest } from "../http/upgrade-request.ts";
import { subprotocolName } from "../protocol/messages.ts";
import { RequestError } from "../base/errors.ts";
import { ByteTotal } from "../connection/byte-total.ts";
import { EchoSession, type EchoConnection } from "../session/echo-session.ts";
import { NativeSession } from "../session/native-session.ts";
import { RawSession } from "../session/raw-session.ts";
import type { SessionServices } from "../session/session-services.ts";
import type { RuledTopic } from "../session/topic-access.ts";

/** What is noted of a session while it lives. */
export interface SessionNote {
  readonly openedMs: number;
  /** Tells it that the server is going away. @param reconnectAfterMs when the client should come back. */
  depart(reconnectAfterMs: number): void;
}

/** Where sessions are noted, so that a drain and an operator find them. */
export type SessionBook = Map<Connection, SessionNote>;

/** How an endpoint's connections are limited, compressed or not. */
type Kinds = Pick<Endpoint, "connection" | "compression">;

const rawPrefix = "/raw/";
/** Room for replies to small messages that arrive in one read, beyond the echo of the largest one. */
const echoSlackBytes = 262_144;

/** Builds the router over `config`. Its options objects are shared by all connections of an endpoint. */
export function createRouter(config: Config, services: SessionServices, sessions: SessionBook): Router {
  const native = kindsOf({
    ...baseOptions(config),
    messageBytesMax: limitNumber(config.limits.messageBytesMax),
    allowBinary: false,
  });
  const echo = kindsOf(echoOptions(config, 0));
  const echoPending = new ByteTotal<EchoConnection>({
    bytesMax: limitNumber(config.limits.echoPendingBytesTotalMax),
    limit: "echoPendingBytesTotalMax",
    bytesOf: (connection) => connection.pendingBytes,
    end: (connection) => connection.shed(),
  });
  // A trace repeats both frames as hex: twice their bytes each, and their headers. Compressed ones would teach nothing.
  const tracedEcho: Kinds = {
    connection: { ...echoOptions(config, 4 * recordedBytesMax + echoSlackBytes), recordFrames: true },
    compression: null,
  };

  return (path, query) => {
    const intervalMs = readInterval(query);
    if (intervalMs === "bad") {
      return refusal(400, "bad_target", "interval is a number of milliseconds, 0 or more");
    }
    if (path === "/ws") return nativeEndpoint(native, services, sessions, query, intervalMs);
    if (path === "/echo" || (path === "/" && config.demo.rootEcho)) {
      const isTraced = query.get("trace") === "1";
      return echoEndpoint(isTraced ? tracedEcho : echo, services, sessions, isTraced, echoPending);
    }
    if (!path.startsWith(rawPrefix)) {
      return refusal(404, "not_found", "WebSocket endpoints are /ws, /raw/<topic> and /echo");
    }
    const topic = readTopic(services, path.slice(rawPrefix.length));
    return "status" in topic ? topic : rawEndpoint(native, services, sessions, topic, intervalMs);
  };
}

function nativeEndpoint(
  kinds: Kinds,
  services: SessionServices,
  sessions: SessionBook,
  query: URLSearchParams,
  intervalMs: number | null,
): Endpoint {
  return {
    subprotocols: [subprotocolName],
    checkOrigin: true,
    ...kinds,
    accept(connection, request) {
      const lists = query.getAll("topics");
      const names = lists.flatMap((list) => list.split(",")).filter((name) => name !== "");
      const session = new NativeSession(connection, services, {
        topics: [...new Set(names)],
        token: tokenOf(request),
        intervalMs,
        batch: query.get("batch") === "1",
      });
      const end = new NativeEnd(connection, sessions, services, session);
      session.start();
      return end;
    },
  };
}

function rawEndpoint(
  kinds: Kinds,
  services: SessionServices,
  sessions: SessionBook,
  topic: RuledTopic,
  intervalMs: number | null,
): Endpoint {
  return {
    subprotocols: [],
    checkOrigin: true,
    ...kinds,
    accept(connection, request): ConnectionHandler {
      const session = new RawSession(connection, services, {
        topic,
        token: tokenOf(request),
        intervalMs,
      });
      const end = new RawEnd(connection, sessions, services, session);
      session.start();
      return end;
    },
  };
}

function echoEndpoint(
  kinds: Kinds,
  services: SessionServices,
  sessions: SessionBook,
  isTraced: boolean,
  pending: ByteTotal<EchoConnection>,
): Endpoint {
  return {
    subprotocols: ["echo"],
    checkOrigin: false,
    ...kinds,
    accept(connection): ConnectionHandler {
      const session = new EchoSession(connection, isTraced ? frameStart : null, pending);
      return new EchoEnd(connection, sessions, services, session);
    },
  };
}

/**
 * Between a connection and its session, and the session's note in the book: one object for each connection, where
 * closures would be five.
 */
abstract class SessionEnd<Session extends { drained(): void; closed(): void }>
  implements ConnectionHandler, SessionNote
{
  readonly openedMs: number;
  protected readonly session: Session;
  readonly #connection: Connection;
  readonly #sessions: SessionBook;

  constructor(connection: Connection, sessions: SessionBook, { clock }: SessionServices, session: Session) {
    this.openedMs = Math.trunc(clock.nowMs());
    this.session = session;
    this.#connection = connection;
    this.#sessions = sessions;
    sessions.set(connection, this);
  }

  abstract onText(payload: Uint8Array): void;
  abstract onBinary(payload: Uint8Array): void;
  abstract depart(reconnectAfterMs: number): void;

  onDrained(): void {
    this.session.drained();
  }

  onClosed(): void {
    this.#sessions.delete(this.#connection);
    this.session.closed();
  }
}

class NativeEnd extends SessionEnd<NativeSession> {
  onText(payload: Uint8Array): void {
    this.session.receive(payload);
  }

  onBinary(): void {
    // allowBinary is false: the codec answers a binary frame with 1003.
  }

  depart(reconnectAfterMs: number): void {
    this.session.announceClosing("restart", reconnectAfterMs);
  }
}

class RawEnd extends SessionEnd<RawSession> {
  onText(): void {
    this.session.receive();
  }

  onBinary(): void {
    // As in NativeEnd.
  }

  depart(): void {
    // It has no words for it.
  }
}

class EchoEnd extends SessionEnd<EchoSession> {
  onText(payload: Uint8Array): void {
    this.session.receive(true, payload);
  }

  onBinary(payload: Uint8Array): void {
    this.session.receive(false, payload);
  }

  depart(): void {
    // It has no words for it.
  }
}

function kindsOf(connection: ConnectionOptions): Kinds {
  return { connection, compression: compressionOptions(connection) };
}

/** The frame of a message, of a large one its beginning. */
function frameStart(isText: boolean, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(frameHeaderBytes(payload.length));
  writeFrameHeader(header, 0, isText ? opcode.text : opcode.binary, payload.length);
  return Buffer.concat([header, payload.subarray(0, recordedBytesMax)]);
}

function baseOptions(config: Config): Omit<ConnectionOptions, "messageBytesMax"> {
  const { limits, heartbeat } = config;
  return {
    role: "server",
    fragmentsPerMessageMax: limitNumber(limits.fragmentsPerMessageMax),
    pendingBytesMax: limits.pendingBytesMax,
    pendingAgeMsMax: limits.pendingAgeMsMax,
    heartbeatIntervalMs: heartbeat.intervalMs,
    heartbeatTimeoutMs: heartbeat.timeoutMs,
    messageTimeoutMs: limits.messageTimeoutMs,
    controlFramesPerSecMax: limits.controlFramesPerSecMax,
    inboundMessagesPerSecMax: limits.inboundMessagesPerSecMax,
    inboundBytesPerSecMax: limits.inboundBytesPerSecMax,
    echoesCloseReason: false,
  };
}

/** @param traceBytes what may wait to be taken beside the echo of the largest message. */
function echoOptions(config: Config, traceBytes: number): ConnectionOptions {
  const messageBytesMax = limitNumber(config.limits.echoMessageBytesMax);
  const pendingBytesMax = limitNumber(config.limits.pendingBytesMax) + messageBytesMax + traceBytes;
  return {
    ...baseOptions(config),
    messageBytesMax,
    fragmentBytesMin: config.limits.echoFragmentBytesMin ?? 0,
    messageLimitName: "echoMessageBytesMax",
    pendingBytesMax: Number.isFinite(pendingBytesMax) ? pendingBytesMax + echoSlackBytes : null,
    inboundMessagesPerSecMax: null,
    inboundBytesPerSecMax: null,
    echoesCloseReason: true,
  };
}

function readTopic(services: SessionServices, name: string): RuledTopic | Refusal {
  try {
    return services.topics.topic(name);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return error.code === "unknown_topic"
      ? refusal(404, "unknown_topic", error.message)
      : refusal(400, "bad_topic", error.message);
  }
}

function refusal(status: number, reason: Refusal["reason"], message: string): Refusal {
  return { status, reason, message };
}

function readInterval(query: URLSearchParams): number | null | "bad" {
  const text = query.get("interval");
  if (text === null) return null;
  return /^\d{1,9}$/.test(text) ? Number(text) : "bad";
}

/** The token of a handshake: a header where the client can set one, else the query. Never logged. */
function tokenOf(request: UpgradeRequest): string | null {
  return bearerIn(request.headers.get("authorization")) ?? request.query.get("token");
}
