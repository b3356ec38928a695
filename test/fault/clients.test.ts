/** Clients that come and go in a hurry leave nothing behind. Slow and silent ones: test/e2e/limits.test.ts. */
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { idleGauges } from "../../load/verify/leftovers.ts";
import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { Peer } from "../e2e/peer.ts";
import { Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";
import { publish } from "../e2e/http.ts";

const loopCount = 600;

/** Connects, subscribes to topics of its own and of everybody, and resets the connection a moment later. */
async function comeAndGo(port: number, index: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const head =
    `GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  const command = JSON.stringify({
    id: 1,
    method: "subscribe",
    params: { topics: ["chat.all", `chat.own-${index}`, "quote.A", "danmaku.a"] },
  });
  socket.write(head);
  socket.write(encodeMaskedFrame(opcode.text, Buffer.from(command), 0x12345678));
  // Before the handshake is answered, before the topics are open, in the middle of the reply, or later.
  await delay(index % 12);
  socket.resetAndDestroy();
}

describe("connect, subscribe, reset, again and again", () => {
  it(
    "leaves every gauge at zero, and a reader that stayed has missed nothing",
    { timeout: 90_000 },
    async () => {
      await using server = await Server.start();
      const reader = await Peer.native(server.ws);
      await reader.subscribe("chat.all");
      let published = 0;
      for (let first = 0; first < loopCount; first += 20) {
        await Promise.all(Array.from({ length: 20 }, (_, index) => comeAndGo(server.port, first + index)));
        published += 1;
        expect((await publish(server.http, "chat.all", String(published))).status).toBe(200);
      }
      for (let seq = 1; seq <= published; seq++)
        expect(await reader.json()).toMatchObject({ seq, data: seq });
      await reader.close();
      // Topics linger for five seconds.
      const left = async (): Promise<string[]> => {
        const metrics = await server.metrics();
        return idleGauges.filter((name) => metrics.sum(name) !== 0);
      };
      // The figures come once a second: those of before know of nobody.
      await until("them to be counted", async () => {
        return (await server.metrics()).sum("tapecast_connections_opened_total") > loopCount / 4;
      });
      let names: readonly string[] = idleGauges;
      await until("every gauge to be zero", async () => (names = await left()).length === 0, 30_000).catch(
        () => undefined,
      );
      expect(names).toEqual([]);
      expect(await server.stop()).toEqual({ code: 0, signal: null });
    },
  );
});
