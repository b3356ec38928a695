/** What the front door and the rest of the worker say to each other about one upgraded connection. */

import type {
  CompressionOptions,
  ConnectionHandler,
  ConnectionOptions,
} from "../connection/connection-options.ts";
import type { Connection } from "../connection/connection.ts";
import type { Refusal } from "../handshake/refusal.ts";

/** An accepted handshake, as far as a session may want to know it. */
export interface UpgradeRequest {
  /** Percent-decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name. Do not keep it beyond `accept`: it is the largest part of a connection's memory. */
  readonly headers: ReadonlyMap<string, string>;
  /** TLS ends here. */
  readonly encrypted: boolean;
  /** The one that was agreed on, or null. */
  readonly subprotocol: string | null;
}

/** What serves one path. */
export interface Endpoint {
  /** Those that it speaks; the client's order of preference decides. */
  readonly subprotocols: readonly string[];
  /** Whether a present Origin must be one of `allowedOrigins`. */
  readonly checkOrigin: boolean;
  /** One object for all connections of the endpoint. */
  readonly connection: ConnectionOptions;
  /** As `connection`, for those who agree on permessage-deflate; null: it is declined. */
  readonly compression: CompressionOptions | null;
  /**
   * Takes a connection to which the 101 was written. It may write to it, or close it, at once; the handler hears of
   * anything only after the return.
   */
  accept(connection: Connection, request: UpgradeRequest): ConnectionHandler;
}

/** Finds the endpoint of a path, or says why there is none. Must not throw. */
export type Router = (path: string, query: URLSearchParams) => Endpoint | Refusal;
