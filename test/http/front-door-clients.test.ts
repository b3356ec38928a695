import { afterEach, describe, expect, it } from "vitest";

import { WebSocket as UndiciWebSocket } from "undici";
import WsWebSocket from "ws";

import { eventually } from "../connection/raw-peer.ts";
import { openDoor, type Door } from "./front-door-fixture.ts";

// Clients that we did not write. Both speak the browser's interface.
const clients = [
  {
    name: "ws",
    create: (url: string) => new WsWebSocket(url, ["tapecast.v1"]) as unknown as UndiciWebSocket,
  },
  { name: "undici", create: (url: string) => new UndiciWebSocket(url, ["tapecast.v1"]) },
];

let open: Door;

afterEach(() => open.stop());

describe.each(clients)("the client of $name", ({ create }) => {
  it.each([1000, 4000])("echoes 1 MB of text and binary and closes with %i", async (code) => {
    open = await openDoor();
    const socket = create(`${open.where.replace("http:", "ws:")}/echo`);
    socket.binaryType = "arraybuffer";
    const received: unknown[] = [];
    let closed = 0;
    socket.addEventListener("message", (event) => void received.push(event.data));
    socket.addEventListener("close", (event) => {
      closed = event.code;
    });
    await eventually(() => received.length === 1);
    expect(socket.protocol).toBe("tapecast.v1");
    // 1 MB of three-byte characters: code points are split over reads.
    const text = "弹".repeat(333_333);
    const bytes = new Uint8Array(1_000_000).map((_, index) => (index * 31) % 251);
    socket.send(text);
    socket.send(bytes);
    await eventually(() => received.length === 3);
    expect(received[1] === text).toBe(true);
    expect(Buffer.compare(new Uint8Array(received[2] as ArrayBuffer), bytes)).toBe(0);
    socket.close(code, "bye");
    await eventually(() => closed !== 0 && open.connections.counters.open === 0);
    expect([closed, open.closes]).toEqual([code, [code]]);
  });
});
