/**
 * The other side of `polling-vs-push`: a plain HTTP server that many poll for the newest value of every symbol. It is
 * made as cheap as polling gets: node:http without a framework, one body for all, made anew only when a value changed.
 * Publishing goes as with Tapecast, so that one publisher serves both.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const values = new Map<string, { seq: number; text: string }>();
let body: Buffer | null = null;

const server = createServer((request, response) => {
  if (request.method === "POST") {
    void take(request, response);
    return;
  }
  body ??= Buffer.from(`[${[...values.values()].map(({ text }) => text).join(",")}]`);
  response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
  response.end(body);
});

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
  const lines = Buffer.concat(parts).toString().split("\n");
  const results = lines.map((line) => {
    const { topic, data } = JSON.parse(line) as { topic: string; data: unknown };
    const seq = (values.get(topic)?.seq ?? 0) + 1;
    // The same text as a publication over WebSocket, so that bytes compare.
    values.set(topic, { seq, text: JSON.stringify({ topic, seq, data }) });
    return { topic, epoch: "1", seq };
  });
  body = null;
  response.end(JSON.stringify({ results }));
}

process.on("disconnect", () => process.exit(0));
process.on("SIGINT", () => undefined);
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
