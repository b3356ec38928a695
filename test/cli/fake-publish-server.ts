/** `POST /api/publish` as the contract has it, kept simple: remembers what came, byte for byte. */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One request as it came. */
export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export class FakePublishServer {
  readonly requests: SeenRequest[] = [];
  url = "";
  /** Answers instead of the usual one, the first of them first. null: the connection is cut. */
  readonly answers: (Answer | null)[] = [];
  /** Lines that contain this are refused. */
  refuse = "REFUSE";
  /** Waits before each answer. */
  delay: () => Promise<void> = async () => undefined;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const seen = {
          path: request.url ?? "",
          headers: request.headers,
          body: Buffer.concat(parts).toString("utf8"),
        };
        this.requests.push(seen);
        void this.delay().then(() => {
          const given = this.answers.length > 0 ? this.answers.shift() : this.#usual(seen.body);
          if (given === null || given === undefined) return request.socket.destroy();
          return response.writeHead(given.status, { "content-type": "application/json" }).end(given.body);
        });
      });
    });
  }

  static async start(): Promise<FakePublishServer> {
    const server = new FakePublishServer();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    server.url = `http://127.0.0.1:${(server.#server.address() as AddressInfo).port}`;
    return server;
  }

  /** All published lines, in order. */
  get lines(): string[] {
    return this.requests.flatMap((request) => request.body.split("\n").filter((line) => line !== ""));
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #usual(body: string): Answer {
    const lines = body.split("\n").filter((line) => line !== "");
    const results = lines.map((line, index) => {
      if (line.includes(this.refuse))
        return { line: index + 1, error: { code: "bad_topic", message: "not that one" } };
      return { topic: JSON.parse(line).topic, epoch: "17", seq: index + 1 };
    });
    return { status: 200, body: JSON.stringify({ results }) };
  }
}
