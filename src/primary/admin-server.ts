/**
 * The admin port: `/metrics` of the whole cluster, `/healthz` (this process answers), `/readyz` (every worker does all
 * its work), and what an operator may look at: `/workers`, `/connections`, `/topics`. Plain node:http; it asks nobody
 * for a password and listens on the loopback address unless told otherwise.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { isLoopback } from "../base/ip-address.ts";
import { namesThisMachine } from "../base/this-machine.ts";
import type { InsightRoutes } from "./insight-routes.ts";

/** What the admin port shows. */
export interface AdminSources {
  /** The text of a scrape and its content type. */
  readonly metricsContentType: string;
  metrics(): Promise<string>;
  /** What keeps the cluster from being ready, for people; empty when nothing does. */
  problems(): readonly string[];
  /** The other paths. */
  readonly insight: InsightRoutes;
}

/** A request here has no body; a head that takes longer is an attack or a mistake. */
const requestTimeoutMs = 5000;

const knownPaths = "/metrics, /healthz, /readyz, /workers, /connections or /topics";

/** The HTTP server of the admin port. */
export class AdminServer {
  readonly #server: Server;
  #isOfThisMachine = false;

  constructor(sources: AdminSources) {
    this.#server = createServer(
      {
        requestTimeout: requestTimeoutMs,
        headersTimeout: requestTimeoutMs,
        connectionsCheckingInterval: 1000,
      },
      (request, response) => {
        if (this.#isOfThisMachine && !namesThisMachine(request.headers.host ?? null)) return refuse(response);
        respond(sources, request, response).catch((error: unknown) => {
          // A figure that cannot be read is our fault; the scrape says so and the server lives.
          const message = error instanceof Error ? error.message : String(error);
          if (!response.headersSent) sendJson(response, 500, { error: { code: "internal", message } });
        });
      },
    );
  }

  /**
   * Listens.
   * @returns the address as people read it, `http://127.0.0.1:9464`.
   * @throws the system's error (EADDRINUSE, EACCES, …); `listenProblem` says it in words.
   */
  async listen(host: string, port: number): Promise<string> {
    this.#isOfThisMachine = isLoopback(host) || host === "localhost";
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    const address = this.#server.address();
    return `http://${urlHost(host)}:${isTcp(address) ? address.port : port}`;
  }

  /** Stops listening and ends what is open. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeAllConnections();
    await closed;
  }
}

/** A page whose name was made to lead to this machine could read who is connected (DNS rebinding). */
function refuse(response: ServerResponse): void {
  const message = "admin.host is this machine only: Host must name it, such as 127.0.0.1 or localhost";
  sendJson(response, 403, { error: { code: "forbidden", message } });
}

async function respond(
  sources: AdminSources,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    sendJson(response, 405, { error: { code: "method_not_allowed", message: "GET or HEAD" } });
    return;
  }
  const [path, queryText] = splitOnce(request.url ?? "", "?");
  switch (path) {
    case "/metrics": {
      const text = await sources.metrics();
      response.writeHead(200, { "Content-Type": sources.metricsContentType, "Cache-Control": "no-store" });
      response.end(text);
      return;
    }
    case "/healthz":
      sendJson(response, 200, { status: "ok" });
      return;
    case "/readyz": {
      const problems = sources.problems();
      const ready = problems.length === 0;
      sendJson(response, ready ? 200 : 503, { ready, reasons: problems });
      return;
    }
    default: {
      const answer = await sources.insight(path, new URLSearchParams(queryText));
      if (answer === null) sendJson(response, 404, { error: { code: "not_found", message: knownPaths } });
      else sendJson(response, answer.status, answer.body);
    }
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, {
    "Content-Type": "application/json; charset=utf-8",
    "Cache-Control": "no-store",
  });
  response.end(`${JSON.stringify(body)}\n`);
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}

function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function isTcp(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}
