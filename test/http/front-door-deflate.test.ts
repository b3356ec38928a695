import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";

import { deflateCounters } from "../../src/codec/deflate-counters.ts";
import { clientRequest, createKey } from "../../src/handshake/client-handshake.ts";
import { eventually, RawPeer } from "../connection/raw-peer.ts";
import { openDoor, type Door } from "./front-door-fixture.ts";

let open: Door;

afterEach(() => open.stop());

/** The head of the answer to a handshake with this offer. */
async function answerTo(offer: string): Promise<string> {
  const peer = await RawPeer.connect(open.where);
  const headers = { "Sec-WebSocket-Extensions": offer };
  peer.send(clientRequest({ host: "test", target: "/echo" }, createKey(), [], headers));
  await peer.until(() => peer.text.includes("\r\n\r\n"));
  peer.socket.destroy();
  return peer.text.slice(0, peer.text.indexOf("\r\n\r\n"));
}

describe("RFC 7692 §5: permessage-deflate in the handshake", () => {
  const always = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

  it.each([
    // Chromium 140 sends exactly this.
    ["permessage-deflate; client_max_window_bits", always],
    ["permessage-deflate; server_max_window_bits=9", `${always}; server_max_window_bits=9`],
  ])("answers %s", async (offer, answer) => {
    open = await openDoor();
    const head = await answerTo(offer);
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).toContain(`\r\nSec-WebSocket-Extensions: ${answer}`);
  });

  it.each([
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; x; x",
    "__proto__",
    "constructor",
  ])("DF5, HS10: declines %s with a 101 without it", async (offer) => {
    open = await openDoor();
    const head = await answerTo(offer);
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).not.toContain("Extensions");
  });

  it("DF5: refuses broken grammar with 400", async () => {
    open = await openDoor();
    expect(await answerTo("permessage-deflate; a=")).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe("the client of ws with perMessageDeflate", () => {
  const texts = ["", "small", "弹幕".repeat(2000), "x".repeat(200_000), JSON.stringify({ a: 1 }).repeat(500)];

  it.each([
    { name: "its default offer", options: true },
    {
      name: "context takeover refused by it",
      options: { serverNoContextTakeover: true, clientNoContextTakeover: true },
    },
    { name: "our window", options: { serverMaxWindowBits: 12 } },
    { name: "a window too small for us", options: { serverMaxWindowBits: 9 }, isCompressed: false },
    { name: "every message compressed", options: { threshold: 0, clientMaxWindowBits: 10 } },
  ])("gets back what it sent: $name", async ({ options, isCompressed = true }) => {
    open = await openDoor();
    const socket = new WebSocket(`${open.where.replace("http:", "ws:")}/echo`, {
      perMessageDeflate: options,
    });
    const before = { ...deflateCounters };
    const received: string[] = [];
    socket.on("message", (data: Buffer) => void received.push(data.toString()));
    await eventually(() => received.length === 1);
    expect(socket.extensions).toContain("permessage-deflate");
    for (const text of texts) socket.send(text);
    await eventually(() => received.length === texts.length + 1);
    expect(received.slice(1).every((text, index) => text === texts[index])).toBe(true);
    expect(deflateCounters.deflated > before.deflated).toBe(isCompressed);
    expect(deflateCounters.inflateBytesOut - before.inflateBytesOut).toBeGreaterThan(200_000);
    socket.close(1000);
    await eventually(() => open.connections.counters.open === 0);
  });
});
