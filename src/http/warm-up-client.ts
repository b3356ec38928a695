/** The other side of a warm-up (worker/warm-up.ts): a client that says what it is told and reads nothing. */
import { once } from "node:events";
import { connect } from "node:net";

/** One that is connected. */
export interface WarmUpClient {
  destroy(): void;
}

/**
 * Connects to a server on loopback, asks for a WebSocket at `target`, and sends `frame` as soon as there is an answer.
 * @throws Error when the connection fails before.
 */
export async function openWarmUpClient(port: number, target: string, frame: Buffer): Promise<WarmUpClient> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  socket.write(
    `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await once(socket, "data");
  socket.on("error", () => undefined);
  socket.resume();
  socket.write(frame);
  return socket;
}
