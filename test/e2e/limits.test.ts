/** Every limit that a peer can meet: what it is told, that it is counted, and that nobody else notices. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { closeCodeAfter, closeCodeOf, frame } from "../abuse/raw.ts";
import { RawPeer } from "../connection/raw-peer.ts";
import { get, publish, publishLines } from "./http.ts";
import { Peer } from "./peer.ts";
import { Server } from "./server.ts";
import { delay, until, within } from "./until.ts";

let server: Server;
/** Soon tired of peers that say or read nothing. */
let impatient: Server;
/** Notices when anything that happens to the others happens to it. */
let bystander: Peer;

beforeAll(async () => {
  impatient = await Server.start({
    sets: {
      workers: 1,
      "limits.pendingAgeMsMax": 1000,
      // A ping may go out a fifth early: 2.86 s to the end of who does not answer.
      "heartbeat.intervalMs": 1700,
      "heartbeat.timeoutMs": 1500,
    },
  });
  server = await Server.start({
    sets: {
      workers: 1,
      "limits.topicsPerConnectionMax": 3,
      "limits.clientPublishesPerSecMax": 2,
      "limits.controlFramesPerSecMax": 5,
      "limits.inboundMessagesPerSecMax": 50,
      "limits.inboundBytesPerSecMax": 200_000,
      "limits.headTimeoutMs": 500,
      "limits.headBytesMax": 4096,
      "limits.ringBytesTotalMax": 100_000,
    },
  });
  bystander = await Peer.native(server.ws);
  await bystander.subscribe("chat.bystander");
});

afterAll(async () => {
  await publish(server.http, "chat.bystander", '"still here"');
  expect(await bystander.json()).toMatchObject({ data: "still here" });
  await bystander.close();
  for (const each of [server, impatient]) {
    expect((await get(`${each.admin}/readyz`)).status).toBe(200);
    expect((await each.metrics()).sum("tapecast_worker_restarts_total")).toBe(0);
    expect(await each.stop()).toEqual({ code: 0, signal: null });
  }
});

/** The figures come once a second. */
async function untilCounted(where: Server, reason: string): Promise<void> {
  await until(`one closed as ${reason}`, async () => {
    return (await where.metrics()).sum("tapecast_connections_closed_total", { reason }) >= 1;
  });
}

describe("limits of a worker", () => {
  it("ringBytesTotalMax: what a worker kept goes, who keeps up misses nothing, who comes back gets it from the broker", async () => {
    const peer = await Peer.native(server.ws);
    const { epoch } = await peer.subscribe("chat.ring1");
    await peer.subscribe("chat.ring2");
    for (const topic of ["chat.ring1", "chat.ring2"]) {
      for (let count = 0; count < 2; count += 1) await publish(server.http, topic, `"${"x".repeat(30_000)}"`);
    }
    for (const seq of [1, 2, 1, 2]) expect((await peer.json()).seq).toBe(seq);
    await until("it to be counted", async () => {
      const metrics = await server.metrics();
      const isBounded = metrics.sum("tapecast_ring_bytes") <= 100_000;
      return isBounded && metrics.sum("tapecast_limits_reached_total", { limit: "ringBytesTotalMax" }) === 1;
    });
    await peer.close();
    const back = await Peer.native(server.ws);
    const state = await back.subscribe("chat.ring1", { since: { "chat.ring1": { epoch, seq: 0 } } });
    expect(state.recovered).toBe(true);
    expect(state.messages?.map(({ seq }) => seq)).toEqual([1, 2]);
    await back.close();
  });
});

describe("limits of a connection", () => {
  it("topicsPerConnectionMax: one more is refused by its name; room is made by unsubscribing", async () => {
    const peer = await Peer.native(server.ws);
    const first = await peer.command("subscribe", { topics: ["quote.A", "quote.B", "quote.C", "quote.D"] });
    expect(Object.keys(first.result?.topics ?? {})).toEqual(["quote.A", "quote.B", "quote.C"]);
    expect(first.result?.errors).toMatchObject({ "quote.D": { code: "limit" } });
    await peer.command("unsubscribe", { topics: ["quote.A"] });
    expect(await peer.subscribe("quote.D")).toBeDefined();
    await peer.close();
  });

  it("clientPublishesPerSecMax: more are answered rate_limited, and a second later it goes on", async () => {
    const peer = await Peer.native(server.ws);
    const ids = [1, 2, 3, 4].map((data) => peer.send("publish", { topic: "chat.rate", data }));
    const replies = new Map<unknown, string>();
    while (replies.size < ids.length) {
      const { id, error } = await peer.json();
      replies.set(id, error === undefined ? "taken" : `${error.code} ${error.temporary}`);
    }
    expect(ids.map((id) => replies.get(id))).toEqual([
      "taken",
      "taken",
      "rate_limited true",
      "rate_limited true",
    ]);
    await until("the next to be taken", async () => {
      return (await peer.command("publish", { topic: "chat.rate", data: 5 })).error === undefined;
    });
    await peer.close();
  });

  it("controlFramesPerSecMax: pings within it are answered, a flood closes with 4505", async () => {
    const peer = await Peer.native(server.ws);
    for (let index = 0; index < 20; index++) peer.client.ping(Buffer.from("x"));
    expect(await peer.ended).toMatchObject({ code: 4505, reason: "flood" });
    await untilCounted(server, "flood");
  });

  it("inboundMessagesPerSecMax: a flood closes with 4505", async () => {
    const peer = await Peer.native(server.ws);
    for (let index = 0; index < 60; index++) peer.send("ping");
    expect(await peer.ended).toMatchObject({ code: 4505, reason: "flood" });
  });

  it("inboundBytesPerSecMax: a flood closes with 4505", async () => {
    const peer = await Peer.native(server.ws);
    const params = { topic: "chat.bytes", data: "x".repeat(60_000) };
    for (let index = 0; index < 5; index++) peer.send("publish", params);
    expect(await peer.ended).toMatchObject({ code: 4505, reason: "flood" });
  });
});

describe("heartbeat", () => {
  it("a peer that answers nothing is closed after interval and timeout; one that answers stays", async () => {
    // One event loop answers pings, so the silent peer is a socket that only shakes hands.
    const answering = await Peer.native(impatient.ws);
    const silent = connect(impatient.port, "127.0.0.1");
    let received = Buffer.alloc(0);
    silent.on("data", (chunk) => (received = Buffer.concat([received, chunk])));
    const startMs = performance.now();
    silent.write(
      "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    await within("the end", 10_000, new Promise((resolve) => silent.once("close", resolve)));
    const seconds = (performance.now() - startMs) / 1000;
    expect(seconds).toBeGreaterThan(2.8);
    expect(seconds).toBeLessThan(8);
    // 0x0fa2 is 4002, behind a ping (0x89 0x00).
    expect(received.includes(Buffer.from("8900", "hex"))).toBe(true);
    expect(
      received.includes(Buffer.concat([Buffer.from("0fa2", "hex"), Buffer.from("heartbeat_timeout")])),
    ).toBe(true);
    expect(answering.pings).toBeGreaterThan(0);
    expect(await answering.command("ping")).toMatchObject({ result: {} });
    await answering.close();
    await untilCounted(impatient, "heartbeat_timeout");
  });
});

describe("slow readers", () => {
  it("one that reads nothing is closed with 4001 while a fast one of the same topic gets everything", async () => {
    const [slow, fast] = [await Peer.native(impatient.ws), await Peer.native(impatient.ws)];
    for (const peer of [slow, fast]) await peer.subscribe("trade.SLOW");
    slow.client.pause();
    const filler = "x".repeat(20_000);
    const startMs = performance.now();
    let published = 0;
    while (performance.now() - startMs < 3000) {
      const lines = Array.from({ length: 20 }, () => `{"topic":"trade.SLOW","data":"${filler}"}`);
      expect((await publishLines(impatient.http, lines)).status).toBe(200);
      published += lines.length;
      await delay(20);
    }
    for (let seq = 1; seq <= published; seq++) expect((await fast.json()).seq).toBe(seq);
    await untilCounted(impatient, "slow_consumer");
    slow.client.resume();
    // What the kernel had taken still comes, then the close frame or, as the rest was cut off, the reset.
    const end = await slow.ended;
    expect([4001, 1006]).toContain(end.code);
    await fast.close();
  });

  it("a `latest` topic's slow reader gets the newest value and no flood of old ones", async () => {
    const peer = await Peer.native(server.ws);
    await peer.subscribe("quote.SLOW");
    peer.client.pause();
    const filler = "x".repeat(10_000);
    for (let value = 1; value <= 300; value++) {
      expect((await publish(server.http, "quote.SLOW", `{"n":${value},"filler":"${filler}"}`)).status).toBe(
        200,
      );
    }
    peer.client.resume();
    let count = 0;
    let last = 0;
    while (last < 300) {
      const { seq = 0 } = await peer.json();
      expect(seq).toBeGreaterThan(last);
      last = seq;
      count += 1;
    }
    expect(count).toBeLessThanOrEqual(300);
    await peer.close();
  });
});

describe("request heads", () => {
  it("headTimeoutMs: one that does not come whole is answered 408", async () => {
    expect(await answerTo("GET /ws HTTP/1.1\r\nHost: x\r\n")).toMatch(/^HTTP\/1\.1 408 /u);
  });

  it("headBytesMax: a longer one is answered 431", async () => {
    expect(await answerTo(`GET /ws HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(5000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /u,
    );
  });

  it("what is no HTTP is answered 400", async () => {
    expect(await answerTo("\x16\x03\x01 this is not HTTP\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /u);
  });
});

describe("limits of a worker", () => {
  it("connectionsMax, connectionsPerAddressMax and handshakesPerSecMax", async () => {
    await using crowded = await Server.start({ sets: { workers: 1, "limits.connectionsMax": 3 } });
    const peers = [];
    while (peers.length < 3) peers.push(await Peer.native(crowded.ws));
    const refused = await new Peer({ url: `${crowded.ws}/ws` }).ended;
    expect(refused).toMatchObject({ status: 503 });
    expect((await publish(crowded.http, "quote.A", "1")).status, "HTTP goes on").toBe(200);
    await peers[0]?.close();
    await until("room again", async () => {
      const end = await Promise.race([Peer.native(crowded.ws), new Peer({ url: `${crowded.ws}/ws` }).ended]);
      return end instanceof Peer;
    });
    expect(await crowded.stop()).toEqual({ code: 0, signal: null });

    await using perAddress = await Server.start({
      sets: { workers: 1, "limits.connectionsPerAddressMax": 2 },
    });
    for (let index = 0; index < 2; index++) await Peer.native(perAddress.ws);
    const third = await Peer.open(`${perAddress.ws}/ws`);
    expect(await third.ended).toMatchObject({ code: 4504, reason: "connection_limit" });
    expect(await perAddress.stop()).toEqual({ code: 0, signal: null });

    await using rated = await Server.start({ sets: { workers: 1, "limits.handshakesPerSecMax": 5 } });
    const ends = await Promise.all(
      Array.from({ length: 15 }, async () => {
        const peer = await Peer.open(`${rated.ws}/echo`).catch((error: unknown) => error);
        return peer instanceof Peer ? "open" : String(peer).includes('"status":503') ? "503" : String(peer);
      }),
    );
    expect(ends.filter((end) => end === "open").length).toBeGreaterThanOrEqual(5);
    expect(ends.filter((end) => end === "503").length).toBeGreaterThan(0);
    expect(new Set(ends)).toEqual(new Set(["open", "503"]));
    expect(await rated.stop()).toEqual({ code: 0, signal: null });
  }, 60_000);
});

/** Everything that the server says to `bytes` on a connection of their own. */
function answerTo(bytes: string): Promise<string> {
  const socket = connect(server.port, "127.0.0.1");
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  socket.write(bytes, "latin1");
  return within("the answer", 10_000, new Promise((resolve) => socket.once("close", () => resolve(answer))));
}

/** A binary message in so many frames of so many bytes each. */
function fragments(count: number, bytes: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, index) =>
      frame((index === count - 1 ? 0x80 : 0) | (index === 0 ? 2 : 0), "x".repeat(bytes)),
    ),
  );
}

describe("limits of /echo, and of the memory broker's history", () => {
  it("echoMessageBytesMax and echoFragmentBytesMin: the limit itself is echoed, one past it is 1009 and 1008", async () => {
    await using small = await Server.start({
      sets: {
        workers: 1,
        "limits.echoMessageBytesMax": 1000,
        "limits.fragmentsPerMessageMax": 4,
        "limits.echoFragmentBytesMin": 10,
      },
    });
    const reached = (limit: string) => async (): Promise<boolean> =>
      (await small.metrics()).sum("tapecast_limits_reached_total", { limit }) === 1;
    const peer = await RawPeer.upgrade(small.http, "/echo");
    // Whole; more fragments than four with ten bytes for each; four of less.
    const messages = [fragments(1, 1000), fragments(20, 10), fragments(4, 1)];
    for (const message of messages) peer.send(message);
    await peer.until(() => peer.events.length === messages.length);
    expect(peer.events.map(({ text }) => text.length)).toEqual([1000, 200, 4]);
    peer.send(fragments(1, 1001));
    expect(await closeCodeOf(peer)).toBe(1009);
    await until("it to be counted", reached("echoMessageBytesMax"));
    expect(await closeCodeAfter(small.http, "/echo", fragments(20, 9))).toBe(1008);
    await until("it to be counted", reached("fragmentsPerMessageMax"));
  });

  it("broker.memory.logBytesMax: topics whose last publication is oldest begin anew, and say so", async () => {
    await using small = await Server.start({ sets: { workers: 1, "broker.memory.logBytesMax": 1_048_576 } });
    const data = JSON.stringify("x".repeat(60_000));
    const first = (await publish(small.http, "chat.first", data)).results()[0];
    for (let count = 0; count < 20; count++) {
      expect((await publish(small.http, `chat.other${count}`, data)).status).toBe(200);
    }
    const peer = await Peer.native(small.ws);
    const since = { "chat.first": { epoch: first?.epoch, seq: first?.seq } };
    const state = await peer.subscribe("chat.first", { since });
    expect(state).toMatchObject({ recovered: false, seq: 0 });
    expect(state.epoch).not.toBe(first?.epoch);
    expect((await peer.subscribe("chat.other19")).seq).toBe(1);
    const metrics = await small.metrics();
    expect(metrics.sum("tapecast_memory_logs_dropped_total")).toBeGreaterThan(0);
    expect(metrics.sum("tapecast_memory_log_bytes")).toBeLessThanOrEqual(1_048_576);
    await peer.close();
  });
});
