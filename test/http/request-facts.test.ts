import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { remoteAddressOf } from "../../src/connection/remote-address.ts";
import { collect, startHarness } from "./http-harness.ts";

const body = '{"topic":"quote.A","data":1}';
const request =
  "POST /api/publish HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" +
  `Content-Length: ${body.length}\r\n\r\n${body}`;

describe("the address of who publishes", () => {
  it.each([
    ["a TCP peer", { remoteAddress: "10.1.2.3", localAddress: "10.0.0.1", destroyed: false }, "10.1.2.3"],
    ["a unix socket", { remoteAddress: undefined, localAddress: undefined, destroyed: false }, ""],
    [
      "a TCP peer that reset",
      { remoteAddress: undefined, localAddress: "10.0.0.1", destroyed: false },
      "gone",
    ],
    [
      "a socket without a handle",
      { remoteAddress: undefined, localAddress: undefined, destroyed: true },
      "gone",
    ],
  ])("%s", (_name, socket, expected) => {
    // What is undefined on a real socket is an optional member of its type.
    expect(remoteAddressOf(socket as Socket)).toBe(expected);
  });

  // Found in review: the reset peer's request came through with an empty address, which meant a unix socket, which
  // meant this machine, which may publish without a key.
  it("is not that of a unix socket when the peer resets behind its request", async () => {
    const harness = await startHarness();
    const door = createServer({ pauseOnConnect: true });
    door.listen(0, "127.0.0.1");
    await once(door, "listening");
    try {
      const client = connect((door.address() as AddressInfo).port, "127.0.0.1");
      const [[socket]] = (await Promise.all([once(door, "connection"), once(client, "connect")])) as [
        [Socket],
        unknown,
      ];
      socket.on("error", () => undefined);
      client.write(request, () => client.resetAndDestroy());
      await once(client, "close");
      harness.api.server.emit("connection", socket);
      socket.resume();
      await expect.poll(() => harness.backend.facts.length).toBe(1);
      expect(harness.backend.facts[0]?.remoteAddress).toBe("gone");
    } finally {
      door.close();
      await harness.stop();
    }
  });

  it("is empty over a unix socket", async () => {
    const harness = await startHarness();
    const folder = await mkdtemp(join(tmpdir(), "tapecast-unix-"));
    const door = createServer((socket) => harness.api.server.emit("connection", socket));
    door.listen(join(folder, "http.sock"));
    await once(door, "listening");
    try {
      const client = connect(join(folder, "http.sock"));
      client.write(request);
      expect(await collect(client, (seen) => seen.includes('"seq":1'))).toMatch(/^HTTP\/1\.1 200 /);
      client.destroy();
      expect(harness.backend.facts[0]?.remoteAddress).toBe("");
    } finally {
      door.close();
      await harness.stop();
      await rm(folder, { recursive: true });
    }
  });
});
