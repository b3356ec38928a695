/**
 * The one port for WebSocket and HTTP (docs/ARCHITECTURE.md, "The front door"). It reads the first request head of
 * each socket itself. A well-formed WebSocket handshake becomes a connection without any HTTP object ever being built
 * for it; everything else goes with its bytes to node:http, and comes back by its `upgrade` event if it is an upgrade
 * after all. So an HTTP request keeps node's own care, and a handshake costs what it must.
 */

import type { Server as HttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";

import type { ListenerKind } from "../base/worker-messages.ts";
import { limitCounters } from "../base/limit-counters.ts";
import type { Connections } from "../connection/connections.ts";
import { HandleTransport, isHandlePathOpen } from "../connection/handle-transport.ts";
import { takeClients } from "../connection/stream-wrap.ts";
import { StreamTransport } from "../connection/stream-transport.ts";
import type { Transport } from "../connection/transport.ts";
import { evaluateHandshake, isRefusal, type Handshake } from "../handshake/evaluate-handshake.ts";
import type { Refusal, RefusalReason } from "../handshake/refusal.ts";
import type { RequestHead } from "../handshake/request-head.ts";
import { Accepting, type AcceptPort } from "./accepting.ts";
import { Admission, type AdmissionOptions } from "./admission.ts";
import { FrontDoorCounters } from "./front-door-counters.ts";
import { FrontDoorLimits, type FrontDoorLimitOptions } from "./front-door-limits.ts";
import { Farewell, HeadReader, type HeadReceiver, type Waiting } from "./front-door-waiting.ts";
import { LastSockets, lastSocketsMax } from "./last-sockets.ts";
import { listenTcp, listenUnix, type ListenOptionsOfDoor } from "./listen.ts";
import { acceptedSocket } from "./listening-handle.ts";
import { receiveUpgrades, type UpgradeReceiver } from "./upgrade-from-http.ts";
import type { Router } from "./upgrade-request.ts";

/** Options of the door, named as in docs/CONFIGURATION.md. */
export interface FrontDoorOptions extends ListenOptionsOfDoor, FrontDoorLimitOptions, AdmissionOptions {
  /** PEM, not paths. */
  readonly tls: { readonly cert: string | Buffer; readonly key: string | Buffer } | null;
  readonly headBytesMax: number;
  /** Infinity for none. */
  readonly headTimeoutMs: number;
}

const draining: Refusal = {
  status: 503,
  reason: "draining",
  message: "this server is going away; try again",
  headers: { "Retry-After": "1" },
};

/** One per worker. */
export class FrontDoor implements HeadReceiver, UpgradeReceiver {
  readonly counters = new FrontDoorCounters();
  readonly headBytesMax: number;
  readonly headTimeoutMs: number;
  readonly #options: FrontDoorOptions;
  readonly #connections: Connections;
  readonly #httpServer: HttpServer;
  readonly #limits: FrontDoorLimits;
  readonly #admission: Admission;
  readonly #lastSockets: LastSockets;
  readonly #servers: Server[] = [];
  readonly #closed: Promise<unknown>[] = [];
  /** What lies under TLS sockets, those included whose TLS handshake is not done. */
  readonly #tlsSockets = new Set<Socket>();
  readonly #waiting = new Set<Waiting>();
  /** That node:http has forgotten, with answers on their way out. */
  readonly #ending = new Set<Socket>();
  readonly #onHttpClose: () => void;
  readonly #accepting: Accepting | null;
  #isDraining = false;
  #refusesFresh = false;

  /**
   * @param connections started by whoever made it; its wheel holds the door's deadlines too.
   * @param httpServer answers everything that is no handshake. It never listens itself, and its `maxHeaderSize`
   * should be `headBytesMax`. The door is its only `upgrade` listener.
   * @param acceptPort in a worker of a cluster: the primary.
   */
  constructor(
    options: FrontDoorOptions,
    connections: Connections,
    router: Router,
    httpServer: HttpServer,
    acceptPort: AcceptPort | null = null,
  ) {
    this.#options = options;
    this.headBytesMax = options.headBytesMax;
    this.headTimeoutMs = options.headTimeoutMs;
    this.#connections = connections;
    this.#httpServer = httpServer;
    this.#limits = new FrontDoorLimits(options, connections.clock, connections.turns);
    this.#admission = new Admission(options, connections, router, this.#limits, this.counters);
    this.#lastSockets = new LastSockets(this);
    this.#onHttpClose = () => {
      this.counters.httpOpen -= 1;
    };
    this.#accepting = acceptPort === null ? null : new Accepting(acceptPort, () => this.socketCount);
    receiveUpgrades(httpServer, this);
  }

  /** Sockets of every kind that are open, those in a TLS handshake included. */
  get socketCount(): number {
    const { open } = this.#connections.counters;
    return Math.max(this.#tlsSockets.size, open + this.counters.waiting + this.counters.httpOpen);
  }

  /** One more handle of a socket at which the door listens. */
  takeListenerHandle(kind: ListenerKind, handle: unknown): void {
    this.#accepting?.take(kind, handle);
  }

  /** With more sockets than this the other workers go first; null for no such limit. */
  setShare(sockets: number | null): void {
    if (this.#accepting !== null) this.#accepting.share = sockets;
  }

  /** For the sockets that wait. */
  get wheel(): Connections["wheel"] {
    return this.#connections.wheel;
  }

  /**
   * Opens the listeners.
   * @returns their addresses as people write them: `http://127.0.0.1:8080`, `unix:/run/tapecast.sock`.
   * @throws ConfigError when an address cannot be opened; then nothing listens.
   */
  async listen(): Promise<string[]> {
    const addresses: string[] = [];
    // A server that never listens enforces no headersTimeout or requestTimeout before it was told so once.
    this.#httpServer.emit("listening");
    try {
      if (this.#options.port !== null) {
        const isTls = this.#options.tls !== null;
        const server = isTls ? this.#createTlsServer() : this.#createServer();
        addresses.push(await listenTcp(server, this.#options, isTls));
        this.#takeClients("tcp", server, isTls);
      }
      if (this.#options.unixSocket !== null) {
        const server = this.#createServer();
        addresses.push(await listenUnix(server, this.#options.unixSocket));
        this.#takeClients("unix", server, false);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
    return addresses;
  }

  /** Closes the listeners. Whoever is still connected stays; new handshakes on kept-alive connections get 503. */
  stopAccepting(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#accepting?.close();
    for (const server of this.#servers) server.close();
    this.#httpServer.closeIdleConnections();
  }

  /**
   * After `stopAccepting`: those who had connected before and have not said yet what they want may say it, and their
   * handshakes are good: they came to a server that was open. Resolves when all have, or after `withinMs`.
   */
  async hearLast(withinMs: number): Promise<void> {
    const endMs = performance.now() + withinMs;
    while (this.#waiting.size > 0 && performance.now() < endMs) await delay(10);
    this.#refusesFresh = true;
  }

  /** Ends everything that is left, connections and HTTP requests included; resolves when no socket is left. */
  async stop(): Promise<void> {
    this.stopAccepting();
    for (const { transport } of this.#waiting) transport.destroy();
    this.#connections.terminateAll();
    this.#httpServer.closeAllConnections();
    for (const socket of [...this.#tlsSockets, ...this.#ending]) socket.destroy();
    // Ends the sweep for slow requests, which `listening` began.
    this.#httpServer.close();
    await Promise.all([...this.#closed, this.#connections.empty()]);
    // Sockets that no server counts.
    while (this.socketCount > 0) await delay(5);
  }

  /** A head from our own reader. What is not a good handshake is node's to answer. */
  onHead(transport: Transport, head: RequestHead, bytes: Buffer, rest: Buffer): void {
    const outcome = evaluateHandshake(head);
    if (isRefusal(outcome)) this.onOther(transport, bytes);
    else this.#admit(transport, outcome, rest, true);
  }

  /** A head from node's reader. */
  onUpgrade(socket: Socket, head: RequestHead, rest: Buffer): void {
    this.#takeBack(socket);
    const transport = new StreamTransport(socket);
    const outcome = evaluateHandshake(head);
    if (isRefusal(outcome)) this.refuse(transport, outcome);
    else this.#admit(transport, outcome, rest, false);
  }

  onOther(transport: Transport, bytes: Buffer): void {
    this.onHttp(transport.release(), Buffer.from(bytes));
  }

  /** Gives a socket to node:http, flowing: after a `pause` the next request would be parsed before these bytes. */
  onHttp(socket: Socket, bytes: Buffer): void {
    this.#takeBack(socket);
    this.counters.handedToHttp += 1;
    this.counters.httpOpen += 1;
    socket.once("close", this.#onHttpClose);
    if (bytes.length > 0) socket.unshift(bytes);
    this.#httpServer.emit("connection", socket);
  }

  onRefused(socket: Socket, reason: RefusalReason): void {
    this.counters.refuse(reason);
    this.#ending.add(socket);
    socket.once("close", () => this.#ending.delete(socket));
  }

  onSilence(): void {
    this.counters.refuse("head_timeout");
    limitCounters.hit("headTimeoutMs");
  }

  refuse(transport: Transport, refusal: Refusal): void {
    this.counters.refuse(refusal.reason);
    if (refusal.reason === "head_timeout") limitCounters.hit("headTimeoutMs");
    if (refusal.reason === "head_too_large") limitCounters.hit("headBytesMax");
    this.#wait(new Farewell(transport, refusal, this));
  }

  settle(waiting: Waiting): void {
    if (this.#waiting.delete(waiting)) this.counters.waiting -= 1;
  }

  #wait(waiting: Waiting): void {
    this.#waiting.add(waiting);
    this.counters.waiting += 1;
  }

  /** A socket that node:http had comes back, or was never there. */
  #takeBack(socket: Socket): void {
    if (!socket.listeners("close").includes(this.#onHttpClose)) return;
    socket.off("close", this.#onHttpClose);
    this.counters.httpOpen -= 1;
  }

  #createServer(): Server {
    const server = this.#listener(createServer({ allowHalfOpen: true, noDelay: true }));
    server.on("connection", (socket: Socket) => this.#receive(new StreamTransport(socket)));
    return server;
  }

  #createTlsServer(): Server {
    const { tls, headTimeoutMs } = this.#options;
    const settings = {
      cert: tls?.cert,
      key: tls?.key,
      allowHalfOpen: true,
      noDelay: true,
      // Node's own default is the longest, also when heads have no deadline.
      handshakeTimeout: Math.min(headTimeoutMs, 120_000),
      ALPNProtocols: ["http/1.1"],
    };
    const server = this.#listener(createTlsServer(settings));
    server.on("connection", (socket: Socket) => {
      if (this.#limits.isOutOfFiles(this.#tlsSockets.size - lastSocketsMax)) return this.#cut(socket);
      this.#tlsSockets.add(socket);
      socket.once("close", () => this.#tlsSockets.delete(socket));
    });
    server.on("tlsClientError", () => this.counters.refuse("tls"));
    server.on("secureConnection", (socket: Socket) => this.#receive(new StreamTransport(socket)));
    return server;
  }

  #listener(server: Server): Server {
    this.#servers.push(server);
    this.#closed.push(new Promise((resolve) => server.once("close", resolve)));
    return server;
  }

  /** A server listens. Where connections can be served by their handles, no `net.Socket` is made for them. */
  #takeClients(kind: ListenerKind, server: Server, isTls: boolean): void {
    const onClient = (client: object | undefined): void => {
      // By a system that is out of files: it was closed at once, so that the next can be heard of.
      if (client === undefined) return this.counters.refuse("sockets");
      const transport = isTls ? null : HandleTransport.over(client);
      if (transport === null) server.emit("connection", acceptedSocket(client));
      else this.#receive(transport);
    };
    if (!isTls && isHandlePathOpen()) takeClients(server, onClient);
    this.#accepting?.add(kind, server, onClient);
  }

  #receive(transport: Transport): void {
    this.counters.accepted += 1;
    const sockets = this.socketCount;
    this.#accepting?.accepted(sockets + 1);
    if (this.#limits.isOutOfFiles(sockets - lastSocketsMax)) return this.#cut(transport);
    if (this.#limits.isOutOfFiles(sockets)) return this.#wait(this.#lastSockets.reader(transport));
    if (this.#limits.isCrowded(sockets)) return this.#cut(transport);
    this.#wait(new HeadReader(transport, this));
  }

  /** Ends a socket that is one too many without a word. */
  #cut(socket: Socket | Transport): void {
    this.counters.refuse("sockets");
    socket.destroy();
  }

  /** A good handshake. */
  #admit(transport: Transport, handshake: Handshake, rest: Buffer, isFresh: boolean): void {
    const isLate = isFresh ? this.#refusesFresh : this.#isDraining;
    const refusal = isLate ? draining : this.#admission.admit(transport, handshake, rest);
    if (refusal !== null) this.refuse(transport, refusal);
  }
}
