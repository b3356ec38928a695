/** `listen.sendBufferBytes`: what the kernel takes for a reader that reads nothing, by what is published until one lags. */
import { connect, type Socket } from "node:net";
import { expect, it } from "vitest";

import { publish } from "./http.ts";
import { Server } from "./server.ts";
import { delay, until } from "./until.ts";

const messageBytes = 16_000;
const messageCount = 200;

/** Subscribes and never reads. */
function frozenReader(server: Server): Promise<Socket> {
  const { hostname, port } = new URL(server.http);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.pause();
  socket.on("error", () => undefined);
  socket.write(
    `GET /raw/trade.frozen HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
  );
  return new Promise((resolve) => {
    socket.once("connect", () => resolve(socket));
  });
}

/** What the kernels of both sides took of 200 messages, in bytes: what the worker gave to the socket less what waits there. */
async function bytesTaken(sendBufferBytes: number | null): Promise<number> {
  await using server = await Server.start({
    sets: { workers: 2, "listen.sendBufferBytes": sendBufferBytes },
  });
  const socket = await frozenReader(server);
  try {
    await until("the subscription", async () => (await server.metrics()).sum("tapecast_subscriptions") > 0);
    const data = JSON.stringify("x".repeat(messageBytes));
    for (let count = 0; count < messageCount; count += 1) {
      expect((await publish(server.http, "trade.frozen", data)).status).toBe(200);
    }
    // A worker tells its figures once a second.
    await delay(2500);
    const metrics = await server.metrics();
    return metrics.sum("tapecast_sent_bytes_total") - metrics.sum("tapecast_pending_bytes");
  } finally {
    socket.destroy();
  }
}

it("bounds what the kernel takes for a reader that reads nothing, and null leaves it to the kernel", async () => {
  const smallest = await bytesTaken(16_384);
  const byDefault = await bytesTaken(131_072);
  const kernels = await bytesTaken(null);
  // Twice what is set, and the receiver's kernel takes 64 KB and more. Seen: 104 to 152 KB, 400 KB, and all 3.2 MB.
  expect(smallest).toBeLessThan(250_000);
  expect(byDefault).toBeGreaterThan(smallest);
  expect(byDefault).toBeLessThan(700_000);
  expect(kernels).toBeGreaterThan(1_500_000);
}, 60_000);
