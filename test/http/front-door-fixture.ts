/** A front door on a free port with an echo endpoint and a plain HTTP server behind it. */

import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";

import { compressionOptions, type ConnectionHandler } from "../../src/connection/connection-options.ts";
import { Connections } from "../../src/connection/connections.ts";
import type { RefusalReason } from "../../src/handshake/refusal.ts";
import { FrontDoor, type FrontDoorOptions } from "../../src/http/front-door.ts";
import { TrustedProxies } from "../../src/http/trusted-proxies.ts";
import type { Endpoint, Router, UpgradeRequest } from "../../src/http/upgrade-request.ts";
import { unlimited } from "../connection/connection-pair.ts";

export interface Door {
  readonly door: FrontDoor;
  readonly connections: Connections;
  readonly httpServer: Server;
  /** The first address. */
  readonly where: string;
  readonly addresses: readonly string[];
  /** Requests that /ws accepted, and how connections ended. */
  readonly requests: UpgradeRequest[];
  /** From where those came. */
  readonly clients: string[];
  readonly closes: number[];
  refused(reason: RefusalReason): number;
  stop(): Promise<void>;
}

export interface DoorChanges extends Partial<FrontDoorOptions> {
  readonly http?: ServerOptions;
  readonly onRequest?: (request: IncomingMessage, response: ServerResponse) => void;
}

const defaults: FrontDoorOptions = {
  host: "127.0.0.1",
  port: 0,
  unixSocket: null,
  reusePort: false,
  tls: null,
  allowedOrigins: "same-origin",
  trustedProxies: new TrustedProxies([]),
  headBytesMax: 16_384,
  headTimeoutMs: 10_000,
  connectionsMax: null,
  connectionsPerAddressMax: null,
  handshakesPerAddressPerSecMax: null,
  workMsPerAddressPerSecMax: null,
  handshakesPerSecMax: null,
  socketsMax: null,
};

/** /ws and /echo echo; /ws checks Origin; everything else is 404. */
export async function openDoor(changes: DoorChanges = {}): Promise<Door> {
  const { http = {}, onRequest = answer, ...options } = changes;
  const connections = new Connections();
  const requests: UpgradeRequest[] = [];
  const clients: string[] = [];
  const closes: number[] = [];
  const endpoint = (checkOrigin: boolean): Endpoint => ({
    subprotocols: ["tapecast.v1"],
    checkOrigin,
    connection: unlimited,
    compression: compressionOptions(unlimited),
    accept(connection, request): ConnectionHandler {
      requests.push(request);
      clients.push(connection.remoteAddress);
      connection.sendText("welcome");
      return {
        onText: (payload) => void connection.sendCompressed(true, payload),
        onBinary: (payload) => void connection.sendCompressed(false, payload),
        onDrained: () => {},
        onClosed: (code) => void closes.push(code),
      };
    },
  });
  const endpoints = new Map([
    ["/ws", endpoint(true)],
    ["/echo", endpoint(false)],
  ]);
  const router: Router = (path) =>
    endpoints.get(path) ?? { status: 404, reason: "not_found", message: "no WebSocket here; try /ws" };
  const httpServer = createServer({ ...http }, onRequest);
  const door = new FrontDoor({ ...defaults, ...options }, connections, router, httpServer);
  connections.start();
  const addresses = await door.listen().catch((error: unknown) => {
    connections.stop();
    throw error;
  });
  return {
    door,
    connections,
    httpServer,
    where: addresses[0]!,
    addresses,
    requests,
    clients,
    closes,
    refused: (reason) => door.counters.refused.get(reason)!,
    async stop(): Promise<void> {
      await door.stop();
      connections.stop();
    },
  };
}

/** Answers with method, path and body. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () =>
    response.end(`${request.method} ${request.url} ${Buffer.concat(chunks).toString()};`),
  );
}
