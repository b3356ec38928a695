/** A connection over a real socket with a bare peer at the other end, and a clock that only the test moves. */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";

import type { Clock } from "../../src/base/clock.ts";
import type { CloseReason } from "../../src/connection/close-reason.ts";
import type { ConnectionHandler, ConnectionOptions } from "../../src/connection/connection-options.ts";
import type { Connection } from "../../src/connection/connection.ts";
import { Connections } from "../../src/connection/connections.ts";
import { HandleTransport } from "../../src/connection/handle-transport.ts";
import { probeHandleTransport } from "../../src/connection/handle-trial.ts";
import { StreamTransport } from "../../src/connection/stream-transport.ts";
import { takeClients } from "../../src/connection/stream-wrap.ts";
import type { Transport } from "../../src/connection/transport.ts";
import { selfSigned } from "../setup/certificate.ts";
import { expect } from "vitest";
import { RawPeer } from "./raw-peer.ts";

/** TCP and unix sockets by both of our ways to them. */
export const transports = ["tcp", "tcp by its handle", "unix", "unix by its handle", "tls"] as const;
export type TransportName = (typeof transports)[number];

export const unlimited: ConnectionOptions = {
  role: "server",
  messageBytesMax: 2 ** 24,
  fragmentsPerMessageMax: 1024,
  pendingBytesMax: null,
  pendingAgeMsMax: null,
  heartbeatIntervalMs: null,
  heartbeatTimeoutMs: 8000,
  messageTimeoutMs: null,
  controlFramesPerSecMax: null,
  inboundMessagesPerSecMax: null,
  inboundBytesPerSecMax: null,
  echoesCloseReason: false,
};

/** Time as the test says. */
class FakeClock implements Clock {
  now = 1_000_000;
  nowMs(): number {
    return this.now;
  }
  wallMs(): number {
    return this.now;
  }
}

/** Notes what it is told. */
class Notes implements ConnectionHandler {
  readonly calls: string[] = [];
  drained = 0;
  closed: { code: number; reason: CloseReason } | null = null;
  onMessage: ((payload: Uint8Array) => void) | null = null;

  onText(payload: Uint8Array): void {
    this.calls.push(`text ${Buffer.from(payload).toString("utf8")}`);
    this.onMessage?.(payload);
  }
  onBinary(payload: Uint8Array): void {
    this.calls.push(`binary ${payload.length}`);
    this.onMessage?.(payload);
  }
  onDrained(): void {
    this.calls.push("drained");
    this.drained += 1;
  }
  onClosed(code: number, reason: CloseReason): void {
    this.calls.push(`closed ${code} ${reason}`);
    this.closed = { code, reason };
  }
}

export interface Pair {
  readonly connection: Connection;
  readonly connections: Connections;
  readonly notes: Notes;
  readonly peer: RawPeer;
  readonly clock: FakeClock;
  /** Moves the clock in steps of 50 ms, as the tick does. */
  advance(ms: number): void;
  end(): Promise<void>;
}

let handlePath: Promise<string | null> | null = null;
let certificate: { readonly cert: string; readonly key: string } | null = null;

/** A connection after its handshake. The peer reads frames from its first byte. */
export async function connectPair(
  options: Partial<ConnectionOptions> = {},
  name: TransportName = "tcp",
  arrivingBytesTotalMax = Number.POSITIVE_INFINITY,
): Promise<Pair> {
  const folder = mkdtempSync(join(tmpdir(), "tapecast-pair-"));
  const clock = new FakeClock();
  const connections = new Connections(clock, Number.POSITIVE_INFINITY, arrivingBytesTotalMax);
  const server = createListener(name);
  const where = await listen(server, name, folder);
  if (name.endsWith("handle")) expect(await (handlePath ??= probeHandleTransport())).toBeNull();
  const accepted = acceptOne(server, name);
  const peer = await RawPeer.connect(where);
  const transport = await accepted;
  const notes = new Notes();
  const connection = connections.adopt(transport, { ...unlimited, ...options }, new Uint8Array(0));
  connection.start(notes, Buffer.alloc(0));
  peer.readFrames(0, options.allowCompressed);
  return {
    connection,
    connections,
    notes,
    peer,
    clock,
    advance(ms: number): void {
      for (let passed = 0; passed < ms; passed += 50) {
        clock.now += 50;
        connections.wheel.advance(clock.now);
      }
    },
    async end(): Promise<void> {
      connections.stop();
      peer.socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function createListener(name: TransportName): Server {
  if (name !== "tls") return createServer({ allowHalfOpen: true, noDelay: true });
  certificate ??= selfSigned();
  return createTlsServer({ ...certificate, allowHalfOpen: true });
}

/** @param server listens. */
function acceptOne(server: Server, name: TransportName): Promise<Transport> {
  return new Promise((resolve) => {
    if (name.endsWith("handle")) {
      expect(takeClients(server, (client) => resolve(HandleTransport.over(client!)!))).toBe(true);
      return;
    }
    server.once(name === "tls" ? "secureConnection" : "connection", (socket: Socket) => {
      resolve(new StreamTransport(socket));
    });
  });
}

function listen(server: Server, name: TransportName, folder: string): Promise<string> {
  return new Promise((resolve) => {
    const path = join(folder, "socket");
    if (name.startsWith("unix")) server.listen(path, () => resolve(`unix:${path}`));
    else {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        const port = typeof address === "object" && address !== null ? address.port : 0;
        resolve(`${name === "tls" ? "https" : "http"}://127.0.0.1:${port}`);
      });
    }
  });
}
