/** DESIGN: a publication is encoded once, and what an audience is owed goes to every member with one write each. */
import { describe, expect, it } from "vitest";

import { FakeSink, textMessages } from "./fake-sink.ts";
import { chat, HubWorld, numbersOf, quote, wire } from "./hub-world.ts";

/** Remembers the very objects it was given. */
function watchWrites(sink: FakeSink): Uint8Array[] {
  const written: Uint8Array[] = [];
  const write = sink.write.bind(sink);
  sink.write = (bytes) => {
    written.push(bytes);
    return write(bytes);
  };
  return written;
}

describe("one encoding for all readers", () => {
  it("gives the same bytes object to every member of an audience", () => {
    const world = new HubWorld();
    const clients = [world.client(), world.client(), world.client()];
    const writes = clients.map(({ sink }) => watchWrites(sink));
    for (const client of clients) world.subscribe(client, [quote("quote.A"), chat("chat.a")]);
    world.publish("quote.A");
    world.publish("chat.a");
    world.go();
    expect(writes.map((each) => each.length)).toEqual([1, 1, 1]);
    expect(writes[1]![0]).toBe(writes[0]![0]);
    expect(writes[2]![0]).toBe(writes[0]![0]);
  });

  it("makes a single publication's frame the same for audiences with different topic sets", () => {
    const world = new HubWorld();
    const [one, other] = [world.client(), world.client()];
    const [oneWrites, otherWrites] = [watchWrites(one.sink), watchWrites(other.sink)];
    world.subscribe(one, [quote("quote.A")]);
    world.subscribe(other, [quote("quote.A"), quote("quote.B")]);
    world.publish("quote.A");
    world.go();
    expect(otherWrites[0]).toStrictEqual(oneWrites[0]);
    expect(world.hub.counters.audiences).toBe(2);
  });

  it.each([
    { variant: "native" as const, frames: 1 },
    { variant: "batch" as const, frames: 1 },
  ])("encodes one frame per variant for readers in different audiences: $variant", ({ variant, frames }) => {
    const world = new HubWorld();
    const written = Array.from({ length: 4 }, (_, index) => {
      const client = world.client(variant);
      const writes = watchWrites(client.sink);
      world.subscribe(client, [quote("quote.A"), ...(index < 2 ? [] : [quote(`quote.own${index}`)])]);
      return writes;
    });
    const log = world.hub.find("quote.A");
    let encodings = 0;
    const prefix = log?.prefix ?? "";
    // Read once for each frame that is made.
    Object.defineProperty(log, "prefix", { get: () => ((encodings += 1), prefix) });
    world.publish("quote.A");
    world.go();
    expect(encodings).toBe(frames);
    expect(written.flat()).toHaveLength(4);
  });

  it.each([
    {
      name: "native, with seq",
      variant: "native",
      topic: quote("quote.A"),
      payload: '{"topic":"quote.A","seq":1,"data":{"price":189.30}}',
    },
    {
      name: "native, live only",
      variant: "native",
      topic: wire("wire.A"),
      payload: '{"topic":"wire.A","data":{"price":189.30}}',
    },
    { name: "raw", variant: "raw", topic: quote("quote.A"), payload: '{"price":189.30}' },
    {
      name: "batch of one",
      variant: "batch",
      topic: quote("quote.A"),
      payload: '{"topic":"quote.A","seq":1,"data":{"price":189.30}}',
    },
    {
      name: "a name of another script",
      variant: "native",
      topic: quote("quote.茅台"),
      payload: '{"topic":"quote.茅台","seq":1,"data":{"price":189.30}}',
    },
  ] as const)("puts byte for byte on the wire: $name", ({ variant, topic, payload }) => {
    // prettier-ignore
    const world = new HubWorld();
    const client = world.client(variant);
    world.subscribe(client, [topic]);
    world.publish(topic.name, null, '{"price":189.30}');
    world.go();
    expect(client.sink.messages).toEqual([payload]);
  });

  it("gives no seq to a raw publication on a topic with history, and goes on counting behind it", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    world.publish("chat.a");
    world.hub.publish("chat.a", 0, Buffer.from('"raw"'), null, world.nowMs);
    world.publish("chat.a");
    world.go();
    expect(client.sink.messages).toEqual([
      '{"topic":"chat.a","seq":1,"data":{"n":1}}',
      '{"topic":"chat.a","data":"raw"}',
      '{"topic":"chat.a","seq":2,"data":{"n":2}}',
    ]);
    expect(world.log("chat.a").seq).toBe(2);
  });

  it.each([
    { name: "7-bit length", bytes: 80 },
    { name: "16-bit length", bytes: 200 },
    { name: "64-bit length", bytes: 70_000 },
  ])("frames every size: $name", ({ bytes }) => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    const data = JSON.stringify("x".repeat(bytes));
    world.publish("chat.a", null, data);
    world.publish("chat.a", null, data);
    world.go();
    expect(client.sink.messages).toEqual([
      `{"topic":"chat.a","seq":1,"data":${data}}`,
      `{"topic":"chat.a","seq":2,"data":${data}}`,
    ]);
  });
});

describe("one write per reader and flush", () => {
  it("seals all that came since the last flush into one write, in order", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a"), chat("chat.b")]);
    for (const name of ["chat.a", "chat.b", "chat.a", "chat.b", "chat.b"]) world.publish(name);
    world.go();
    expect(client.sink.writes).toBe(1);
    expect(client.sink.received.map(({ topic, seq }) => `${topic} ${seq}`)).toEqual([
      "chat.a 1",
      "chat.b 1",
      "chat.a 2",
      "chat.b 2",
      "chat.b 3",
    ]);
    expect(world.hub.counters).toMatchObject({ publications: 5, deliveries: 5, writes: 1, flushes: 1 });
  });

  it("writes only to readers of the topics that changed", () => {
    const world = new HubWorld();
    const [reader, bystander] = [world.client(), world.client()];
    world.subscribe(reader, [quote("quote.A")]);
    world.subscribe(bystander, [quote("quote.B")]);
    world.publish("quote.A");
    world.go();
    world.go();
    expect([reader.sink.writes, bystander.sink.writes]).toEqual([1, 0]);
  });

  it("asks for a turn at once when something was published, and for none when nothing waits", () => {
    const world = new HubWorld({ lingerMs: 1e9, openTimeoutMs: 1 });
    world.subscribe(world.client(), [quote("quote.A")]);
    world.go(2000);
    expect(world.hub.turn(world.nowMs, 5)).toBe(Number.POSITIVE_INFINITY);
    world.wakes.length = 0;
    world.publish("quote.A");
    world.publish("quote.A");
    expect(world.wakes).toEqual([world.nowMs]);
  });

  it("collects for at most a flush window", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    world.hub.windowMs = 20;
    world.publish("chat.a");
    world.go();
    world.publish("chat.a");
    const dueMs = world.hub.turn(world.nowMs, 5);
    expect(client.sink.writes).toBe(1);
    expect(dueMs - world.nowMs).toBeGreaterThan(0);
    expect(dueMs - world.nowMs).toBeLessThanOrEqual(20);
    world.publish("chat.a");
    world.go(dueMs - world.nowMs);
    expect(numbersOf(client.sink)).toEqual([1, 2, 3]);
    expect(client.sink.writes).toBe(2);
    // From now on, window after window.
    world.publish("chat.a");
    expect(world.hub.turn(world.nowMs, 5) - world.nowMs).toBeCloseTo(20);
  });

  it("collects for readers of batches as long as their own window says", () => {
    const world = new HubWorld();
    const batches = world.client("batch");
    const others = world.client();
    for (const client of [batches, others]) world.subscribe(client, [chat("chat.a")]);
    world.hub.windowMs = 10;
    world.hub.batchWindowMs = 30;
    for (let elapsedMs = 0; elapsedMs < 300; elapsedMs += 1) {
      world.publish("chat.a");
      world.go(1);
    }
    expect(others.sink.writes).toBeGreaterThanOrEqual(29);
    expect(others.sink.writes).toBeLessThanOrEqual(33);
    expect(batches.sink.writes).toBeGreaterThanOrEqual(10);
    expect(batches.sink.writes).toBeLessThanOrEqual(12);
  });

  it("lets a reader that is seldom sent something wait for nothing, however wide the window is", () => {
    const world = new HubWorld();
    const client = world.client();
    world.subscribe(client, [chat("chat.a")]);
    world.hub.windowMs = 20;
    for (let count = 1; count <= 5; count += 1) {
      world.publish("chat.a");
      world.go();
      expect(client.sink.writes).toBe(count);
      world.go(20);
    }
  });

  it("spreads the audiences over the window, so that they make no single long sweep", () => {
    const world = new HubWorld();
    const clients = Array.from({ length: 100 }, () => world.client());
    for (const [index, client] of clients.entries()) {
      world.subscribe(client, [chat("chat.a"), chat(`chat.own${index}`)]);
    }
    world.hub.windowMs = 20;
    world.publish("chat.a");
    world.go();
    const writes = (): number => clients.reduce((sum, { sink }) => sum + sink.writes, 0);
    expect(writes()).toBe(100);
    // They begin together, and are apart from their second flush on.
    const served: number[] = [];
    for (let elapsedMs = 0; elapsedMs < 60; elapsedMs += 1) {
      world.publish("chat.a");
      const before = writes();
      world.go(1);
      served.push(writes() - before);
    }
    expect(Math.max(...served)).toBeLessThanOrEqual(20);
    expect(served.reduce((sum, each) => sum + each)).toBeGreaterThanOrEqual(250);
  });

  it("stops at its budget and asks to go on at once, and nobody is left out", () => {
    const world = new HubWorld();
    const clients = Array.from({ length: 400 }, () => world.client());
    for (const [index, client] of clients.entries()) {
      world.subscribe(client, [chat("chat.a"), chat(`chat.own${index}`)]);
    }
    world.publish("chat.a");
    const next = world.hub.turn(world.nowMs, 1);
    const served = clients.filter(({ sink }) => sink.writes > 0).length;
    expect(next).toBe(world.nowMs);
    expect(served).toBeGreaterThanOrEqual(100);
    expect(served).toBeLessThan(200);
    world.go();
    expect(clients.every(({ sink }) => sink.writes === 1)).toBe(true);
  });

  it("keeps the bytes unchanged while a kernel still has them, however many flushes follow", () => {
    const world = new HubWorld();
    const [slow, quick] = [world.client(), world.client()];
    world.subscribe(slow, [chat("chat.a"), chat("chat.b")]);
    world.subscribe(quick, [chat("chat.a"), chat("chat.b")]);
    slow.sink.takes = () => false;
    for (let flush = 0; flush < 10; flush += 1) {
      world.publish("chat.a");
      world.publish("chat.b");
      world.go(1);
    }
    // The fake sink throws if the bytes are not what they were.
    world.drain(slow);
    expect(slow.sink.messages).toEqual(quick.sink.messages);
  });

  it("reuses the memory of a flush that everybody took", () => {
    const world = new HubWorld();
    const client = world.client();
    const written = watchWrites(client.sink);
    world.subscribe(client, [chat("chat.a"), chat("chat.b")]);
    for (let flush = 0; flush < 3; flush += 1) {
      world.publish("chat.a");
      world.publish("chat.b");
      world.go(1);
    }
    expect(new Set(written.map(({ byteOffset }) => byteOffset)).size).toBe(1);
    expect(numbersOf(client.sink)).toEqual([1, 1, 2, 2, 3, 3]);
  });
});

describe("?batch=1: one message per flush, one JSON value per line", () => {
  it("joins the publications of a flush with LF, none behind the last", () => {
    const world = new HubWorld();
    const client = world.client("batch");
    world.subscribe(client, [chat("chat.a"), chat("chat.b")]);
    world.publish("chat.a");
    world.publish("chat.b");
    world.go();
    world.publish("chat.a");
    world.go();
    expect(client.sink.messages).toEqual([
      '{"topic":"chat.a","seq":1,"data":{"n":1}}\n{"topic":"chat.b","seq":1,"data":{"n":1}}',
      '{"topic":"chat.a","seq":2,"data":{"n":2}}',
    ]);
  });

  it("replaces CR and LF between tokens by spaces and leaves escaped ones alone", () => {
    const world = new HubWorld();
    const batch = world.client("batch");
    const native = world.client("native");
    world.subscribe(batch, [chat("chat.a")]);
    world.subscribe(native, [chat("chat.a")]);
    const data = '{\r\n"text":"a\\nb\\r" ,\n"n":[1,\r2]}';
    world.publish("chat.a", null, data);
    world.go();
    expect(batch.sink.messages).toEqual([
      `{"topic":"chat.a","seq":1,"data":{  "text":"a\\nb\\r" , "n":[1, 2]}}`,
    ]);
    expect(native.sink.messages).toEqual([`{"topic":"chat.a","seq":1,"data":${data}}`]);
  });

  it("keeps events in messages of their own", () => {
    const world = new HubWorld({ ringMessagesMax: 2 });
    const client = world.client("batch");
    world.subscribe(client, [wire("wire.a")]);
    client.sink.takes = () => false;
    for (let count = 0; count < 6; count += 1) {
      world.publish("wire.a");
      world.go();
    }
    client.sink.messages.length = 0;
    world.drain(client);
    expect(client.sink.messages).toEqual([
      '{"event":"lost","topic":"wire.a","count":3,"reason":"overrun"}',
      '{"topic":"wire.a","data":{"n":5}}\n{"topic":"wire.a","data":{"n":6}}',
    ]);
  });
});

it("the splitter of the fake sink reads all three header sizes", () => {
  expect(textMessages(Buffer.from("81026869", "hex"))).toEqual(["hi"]);
  expect(() => textMessages(Buffer.from("82026869", "hex"))).toThrow("not a whole text frame");
});

function observed(world: HubWorld): { count: number; sum: number } {
  const { count, sum } = world.hub.counters.publishToWriteMs;
  return { count, sum };
}

describe("publish to write, as the metrics have it", () => {
  it("is the time from arrival to the end of the turn that wrote it, once a turn, of the oldest", () => {
    const world = new HubWorld();
    world.hub.windowMs = 10;
    world.subscribe(world.client(), [quote("quote.A"), quote("quote.B")]);
    world.publish("quote.A");
    world.nowMs += 4;
    world.publish("quote.B");
    world.go(20);
    world.hub.counters.observeWritten(world.nowMs + 1);
    expect(observed(world)).toEqual({ count: 1, sum: 25 });
    // A turn that wrote nothing says nothing.
    world.hub.counters.observeWritten(world.nowMs + 500);
    expect(observed(world).count).toBe(1);
  });

  it("does not count readers that asked for a slower rate", () => {
    const world = new HubWorld();
    world.subscribe(world.client(), [quote("quote.A")], 1000);
    world.publish("quote.A");
    world.go();
    world.publish("quote.A");
    world.go(1000);
    world.hub.counters.observeWritten(world.nowMs);
    expect(observed(world).count).toBe(0);
  });
});
