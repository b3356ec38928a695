/**
 * A server of another make (node:http and ws) that speaks just enough of the protocol for every load scenario, and
 * breaks one promise if told to: the scenario must find out.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";

export type Fault = "none" | "drop" | "silence" | "repeat" | "swap";

export interface LossyServer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * @param fault what happens to every 5th message of a topic, at the first subscriber only; with `silence` to every one
 * from there on, so that its newest is missing, too.
 */
export async function startLossyServer(fault: Fault): Promise<LossyServer> {
  const seqs = new Map<string, number>();
  const sockets: WebSocket[] = [];
  const held = new Map<string, string>();

  function deliver(topic: string, seq: number, data: unknown): void {
    const frame = JSON.stringify({ topic, seq, data });
    for (const [index, socket] of sockets.entries()) {
      const isChosen = index === 0 && seq % 5 === 0;
      const late = index === 0 ? held.get(topic) : undefined;
      if (isChosen && fault === "drop") continue;
      if (index === 0 && seq >= 5 && fault === "silence") continue;
      if (isChosen && fault === "swap") {
        held.set(topic, frame);
        continue;
      }
      socket.send(frame);
      if (isChosen && fault === "repeat") socket.send(frame);
      if (late !== undefined) socket.send(late);
      if (index === 0) held.delete(topic);
    }
  }

  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (bytes: Buffer) => (body += bytes.toString()));
    request.on("end", () => {
      const results = body.split("\n").map((line) => {
        const { topic, data } = JSON.parse(line) as { topic: string; data: unknown };
        const seq = (seqs.get(topic) ?? 0) + 1;
        seqs.set(topic, seq);
        deliver(topic, seq, data);
        return { topic, epoch: "1", seq };
      });
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ results }));
    });
  });
  const webSockets = new WebSocketServer({ server, handleProtocols: () => "tapecast.v1" });
  webSockets.on("connection", (socket) => {
    socket.once("message", () => {
      sockets.push(socket);
      socket.send(JSON.stringify({ id: 1, result: { topics: {} } }));
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const socket of sockets) socket.terminate();
      webSockets.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
