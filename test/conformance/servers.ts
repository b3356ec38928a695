/** Servers to run the suite against: our own as its users start it, and npm's ws, by which the suite is judged. */
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { Server } from "../e2e/server.ts";

const { version } = JSON.parse(
  readFileSync(new URL("../../node_modules/ws/package.json", import.meta.url), "utf8"),
) as { version: string };

export interface ServerUnderTest {
  /** For people; with its version where it is not the one of this repository. */
  readonly name: string;
  readonly url: URL;
  stop(): Promise<void>;
}

/** `dist` must have been built. */
export async function startTapecast(): Promise<ServerUnderTest> {
  const server = await Server.start({ sets: { workers: 1 } });
  return {
    name: "Tapecast",
    url: new URL(`${server.ws}/echo`),
    async stop() {
      await server.stop();
    },
  };
}

/** An echo as its documentation shows it, with compression switched on. */
export async function startWs(): Promise<ServerUnderTest> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: true });
  server.on("connection", (socket) => {
    socket.on("error", () => undefined);
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    name: `ws ${version}`,
    url: new URL(`ws://127.0.0.1:${port}/`),
    async stop() {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
