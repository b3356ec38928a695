/**
 * Upgrades that come by way of node:http: a request behind others on a kept-alive connection, as proxies send them, or
 * a head that our strict reader did not take. Node checks almost nothing about them; the same evaluation as for the
 * front door's own heads does.
 */

import type { IncomingMessage, Server as HttpServer } from "node:http";
import type { Socket } from "node:net";

import { asksForWebSocket, evaluateHandshake, isRefusal } from "../handshake/evaluate-handshake.ts";
import { listElements } from "../handshake/field-values.ts";
import { refusalResponse, type RefusalReason } from "../handshake/refusal.ts";
import type { RequestHead } from "../handshake/request-head.ts";
import { commonFieldLines } from "./common-fields.ts";

/** Where the upgrades go; the front door. */
export interface UpgradeReceiver {
  /** The head of a request that asks for a WebSocket, and what came behind it. The socket is in nobody's hands. */
  onUpgrade(socket: Socket, head: RequestHead, rest: Buffer): void;
  /** A request that asks for another protocol, as bytes without its Upgrade: to be answered by node:http. */
  onHttp(socket: Socket, bytes: Buffer): void;
  /** Refused; the socket ends by itself, within seconds. */
  onRefused(socket: Socket, reason: RefusalReason): void;
}

/** What is known of a socket that node:http serves. */
interface ServedSocket {
  unanswered: number;
  /** An upgrade came before all answers were out: called when they are. */
  onAnswered: (() => void) | null;
}

/** How long the answers before a refused upgrade may take, and then the peer to end its side. */
const answersMs = 10_000;
const lingerMs = 1000;

/**
 * Node 26 has a body of an upgrade read as that of a request, and it may still be on its way when the upgrade is told. So
 * what is none for us must stay a request there (`shouldUpgradeCallback`). Only if it has a body: Node forgets a second
 * request that was read with it.
 */
const bodiesApartSince = 25;
const majorVersion = Number.parseInt(process.versions.node, 10);

/** Takes the upgrades of `httpServer`, which must have no other `upgrade` listener. */
export function receiveUpgrades(httpServer: HttpServer, receiver: UpgradeReceiver): void {
  if (majorVersion >= bodiesApartSince) {
    Reflect.set(
      httpServer,
      "shouldUpgradeCallback",
      ({ headers }: IncomingMessage) => asksForWebSocket(headers.upgrade ?? "") || !mayHaveBody(headers),
    );
  }
  const servedSockets = new WeakMap<Socket, ServedSocket>();
  httpServer.on("request", (request, response) => {
    const { socket } = request;
    const served = servedSockets.get(socket) ?? { unanswered: 0, onAnswered: null };
    servedSockets.set(socket, served);
    served.unanswered += 1;
    response.once("close", () => {
      served.unanswered -= 1;
      if (served.unanswered === 0) served.onAnswered?.();
    });
  });
  httpServer.on("upgrade", (request, stream, rest) => {
    const { socket } = request;
    // Node took its own listeners off.
    socket.on("error", ignore);
    const served = servedSockets.get(socket);
    if (served !== undefined && served.unanswered > 0) {
      // Pipelined behind requests without waiting for their answers: a 101 now would stand before them. The answers go
      // out, then the connection ends; what came behind is never processed.
      served.onAnswered = endAfterAnswers(socket);
      receiver.onRefused(socket, "pipelined");
      return;
    }
    // Whatever node timed, it times no more.
    socket.setTimeout(0);
    if (stream !== socket) {
      refuseUnfinished(request, receiver);
      return;
    }
    if (asksForWebSocket(request.headers.upgrade ?? "")) receiver.onUpgrade(socket, headOf(request), rest);
    else receiver.onHttp(socket, withoutUpgrade(request, rest));
    socket.off("error", ignore);
  });
}

function mayHaveBody(headers: IncomingMessage["headers"]): boolean {
  return headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
}

function headOf({ method = "", url: target = "", httpVersion, rawHeaders }: IncomingMessage): RequestHead {
  return { method, target, httpVersion, rawHeaders };
}

/** Since Node 26: a handshake whose body is still on its way, while another stream stands for the socket. */
function refuseUnfinished(request: IncomingMessage, receiver: UpgradeReceiver): void {
  const { socket } = request;
  const outcome = evaluateHandshake(headOf(request));
  if (!isRefusal(outcome)) {
    // No handshake with a body is a good one.
    socket.destroy();
    return;
  }
  receiver.onRefused(socket, outcome.reason);
  const end = endAfterAnswers(socket);
  socket.write(refusalResponse(outcome, commonFieldLines()));
  end();
}

/**
 * Node has forgotten the socket, so nothing else ends it: neither when the answers are not taken, nor when the peer never
 * ends its side.
 * @returns to be called when the answers are out.
 */
function endAfterAnswers(socket: Socket): () => void {
  let timer = setTimeout(() => socket.destroy(), answersMs);
  socket.once("close", () => clearTimeout(timer));
  // Thrown away: left unread it would make the kernel reset the connection.
  socket.resume();
  return () => {
    socket.end();
    clearTimeout(timer);
    timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once("end", () => socket.destroySoon());
  };
}

/**
 * RFC 9110 §7.8: "A server MAY ignore a received Upgrade header field". Java's HttpClient sends `Upgrade: h2c` with
 * its first request, a POST included, and curl does with --http2: they get their answer in HTTP/1.1. Node has already
 * taken the request out of its parser, so it is put together again, without the field.
 */
function withoutUpgrade(request: IncomingMessage, rest: Buffer): Buffer {
  let text = `${request.method} ${request.url} HTTP/${request.httpVersion}\r\n`;
  let name = "";
  for (const [index, field] of request.rawHeaders.entries()) {
    if (index % 2 === 0) {
      name = field;
      continue;
    }
    const lowerCase = name.toLowerCase();
    if (lowerCase === "upgrade" || lowerCase === "http2-settings") continue;
    // An empty field is part of what the request is judged by.
    const value = lowerCase === "connection" ? withoutUpgradeOption(field) : field;
    if (value !== "" || lowerCase !== "connection") text += `${name}: ${value}\r\n`;
  }
  return Buffer.concat([Buffer.from(`${text}\r\n`, "latin1"), rest]);
}

function withoutUpgradeOption(connection: string): string {
  const options = listElements(connection).filter((option) => {
    const lowerCase = option.toLowerCase();
    return lowerCase !== "upgrade" && lowerCase !== "http2-settings";
  });
  return options.join(", ");
}

function ignore(): void {
  // The peer is gone; whoever gets the socket next listens for errors itself.
}
