/** Fairness: what one connection may do in a turn of the event loop, and what becomes of the rest. */
import { constants, deflateRawSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";

import { encodeMaskedFrame } from "../../src/codec/frame-encoder.ts";
import { opcode } from "../../src/codec/opcode.ts";
import { connectPair, transports, type Pair } from "./connection-pair.ts";
import { eventually } from "./raw-peer.ts";

let pair: Pair;

afterEach(() => pair.end());

/** Longer than a slice. */
const longMs = 0.3;

function textFrame(text: string): Buffer {
  return encodeMaskedFrame(opcode.text, Buffer.from(text), 0x01020304);
}

/** Every message takes more than a slice. @returns in how many turns messages came. */
function makeSlow(): { turns: () => number } {
  let turns = 0;
  let isCounted = false;
  pair.notes.onMessage = () => {
    pair.clock.now += longMs;
    if (isCounted) return;
    isCounted = true;
    turns += 1;
    setImmediate(() => {
      isCounted = false;
    });
  };
  return { turns: () => turns };
}

describe.each(transports)("more than a slice of work over %s", (transport) => {
  it("waits for later turns, one message in each, in order, and then reading goes on", async () => {
    pair = await connectPair({}, transport);
    const { turns } = makeSlow();
    const names = Array.from({ length: 20 }, (_, index) => `m${index}`);
    pair.peer.send(Buffer.concat(names.map(textFrame)));
    await eventually(() => pair.notes.calls.length === 20);
    expect(pair.notes.calls).toEqual(names.map((name) => `text ${name}`));
    expect(turns()).toBeGreaterThanOrEqual(10);
    await eventually(() => pair.connections.turns.counters.waiting === 0);
    expect(pair.connections.turns.counters).toMatchObject({ waitingBytes: 0 });
    expect(pair.connections.turns.counters.cut.slice).toBeGreaterThanOrEqual(10);
    pair.peer.sendText("after");
    await eventually(() => pair.notes.calls.at(-1) === "text after");
  });

  it("a large message goes out in pieces and arrives whole, and whoever waits is told", async () => {
    pair = await connectPair({}, transport);
    pair.notes.onMessage = (payload) => {
      pair.clock.now += longMs;
      expect(pair.connection.send(false, Buffer.concat([Buffer.alloc(3_000_000, 7), payload]))).toBe(false);
      expect(pair.connection.isWritable).toBe(false);
      expect(pair.connection.pendingBytes).toBeGreaterThan(0);
      expect(pair.connection.sendText("behind")).toBe(false);
    };
    pair.peer.sendText("x");
    await pair.peer.until(() => pair.peer.events.length === 2, 15_000);
    const [large, behind] = pair.peer.events;
    expect(large?.text.length).toBe(3_000_001);
    expect(behind).toEqual({ kind: "text", text: "behind" });
    await eventually(() => pair.notes.drained === 1);
    expect(pair.connection.isWritable).toBe(true);
    // TLS reports a turn late.
    await eventually(() => pair.connection.pendingBytes === 0);
    expect(pair.connections.counters.pendingBytes).toBe(0);
    expect(pair.connections.turns.counters.waitingBytes).toBe(0);
  });

  it("is let go of when the connection is gone", async () => {
    pair = await connectPair({}, transport);
    makeSlow();
    const { turns } = pair.connections;
    let seen = 0;
    pair.notes.onMessage = () => {
      pair.clock.now += longMs;
      seen = Math.max(seen, turns.counters.waitingBytes);
      if (pair.notes.calls.length === 5) pair.connection.terminate();
    };
    pair.peer.send(Buffer.concat(Array.from({ length: 50 }, () => textFrame("x".repeat(100)))));
    await eventually(() => pair.notes.closed !== null && pair.connections.counters.open === 0);
    expect(seen).toBeGreaterThan(1000);
    expect(pair.notes.calls.filter((call) => call.startsWith("text"))).toHaveLength(5);
    expect(turns.counters).toMatchObject({ waiting: 0, waitingBytes: 0 });
    expect(pair.connections.arriving.counters.pendingBytes).toBe(0);
  });
});

describe("what waits for a turn", () => {
  it("RFC 6455 §5.5.1: a close frame behind it is answered after it", async () => {
    pair = await connectPair();
    makeSlow();
    const close = encodeMaskedFrame(opcode.close, Buffer.of(0x0f, 0xa0), 9);
    pair.peer.send(
      Buffer.concat([textFrame("a"), textFrame("b"), textFrame("c"), close, textFrame("never")]),
    );
    await pair.peer.until(() => pair.peer.events.length === 1);
    expect(pair.peer.events).toEqual([{ kind: "close", code: 4000, text: "" }]);
    expect(pair.notes.calls).toEqual(["text a", "text b", "text c", "closed 4000 other"]);
  });

  it("our close frame goes out at once, and the peer's is still found behind what waits", async () => {
    pair = await connectPair();
    pair.notes.onMessage = () => {
      pair.clock.now += longMs;
      pair.connection.close(4000, "restart");
    };
    const close = encodeMaskedFrame(opcode.close, Buffer.of(0x0f, 0xa0), 9);
    pair.peer.send(Buffer.concat([...Array.from({ length: 30 }, () => textFrame("x")), close]));
    await pair.peer.until(() => pair.peer.isEnded);
    expect(pair.peer.events).toEqual([{ kind: "close", code: 4000, text: "restart" }]);
    expect(pair.notes.calls.filter((call) => call.startsWith("text"))).toHaveLength(1);
    pair.peer.socket.end();
    await eventually(() => pair.connections.counters.open === 0);
  });

  it("closing in the middle of a large message sends the rest of it first, and what stands behind it", async () => {
    pair = await connectPair();
    pair.notes.onMessage = () => {
      pair.clock.now += longMs;
      pair.connection.send(false, Buffer.alloc(2_000_000, 7));
      pair.connection.sendText("behind");
      pair.connection.close(4000, "restart");
    };
    pair.peer.sendText("x");
    await pair.peer.until(() => pair.peer.events.length === 3);
    expect(pair.peer.events[0]?.text.length).toBe(2_000_000);
    expect(pair.peer.events.slice(1)).toEqual([
      { kind: "text", text: "behind" },
      { kind: "close", code: 4000, text: "restart" },
    ]);
  });

  it("waits on while its user has paused reading", async () => {
    pair = await connectPair();
    pair.notes.onMessage = () => {
      if (pair.notes.calls.length === 2) pair.connection.pauseReading();
    };
    pair.peer.send(Buffer.concat(Array.from({ length: 5 }, (_, index) => textFrame(`${index}`))));
    await eventually(() => pair.notes.calls.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(pair.notes.calls).toHaveLength(2);
    expect(pair.connection.arrivingBytes).toBeGreaterThan(0);
    pair.connection.resumeReading();
    await eventually(() => pair.notes.calls.length === 5);
    expect(pair.connection.arrivingBytes).toBe(0);
  });

  it("keeps what a stream had read already when reading stopped before anything came", async () => {
    pair = await connectPair();
    pair.connection.pauseReading();
    pair.connection.onSocketData(textFrame("0"));
    pair.connection.onSocketData(textFrame("1"));
    expect(pair.notes.calls).toEqual([]);
    expect(pair.connection.arrivingBytes).toBe(2 * textFrame("0").length);
    pair.connection.resumeReading();
    await eventually(() => pair.notes.calls.length === 2);
    expect(pair.notes.calls).toEqual(["text 0", "text 1"]);
    expect(pair.connection.arrivingBytes).toBe(0);
  });

  it("counts as arriving: over the limit of the worker it ends with 4004", async () => {
    pair = await connectPair({}, "tcp", 10_000);
    makeSlow();
    pair.peer.send(Buffer.concat(Array.from({ length: 200 }, () => textFrame("x".repeat(100)))));
    await eventually(() => pair.notes.closed !== null);
    expect(pair.notes.closed).toEqual({ code: 4004, reason: "overloaded" });
    expect(pair.connections.turns.counters.waitingBytes).toBe(0);
  });

  it("a large compressed message is inflated over several turns, and pings behind it are answered behind it", async () => {
    pair = await connectPair({ allowCompressed: true });
    // Every look at the clock is 0.1 ms later.
    pair.clock.nowMs = () => (pair.clock.now += 0.1);
    const bytes = Buffer.alloc(2_000_000, "z");
    const payload = deflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
    pair.peer.send(
      Buffer.concat([
        encodeMaskedFrame(0x40 | opcode.text, payload, 7),
        encodeMaskedFrame(opcode.ping, Buffer.from("p"), 7),
      ]),
    );
    pair.notes.onMessage = () => pair.connection.sendText("got it");
    await pair.peer.until(() => pair.peer.events.length === 2);
    expect(pair.peer.events.map(({ kind }) => kind)).toEqual(["text", "pong"]);
    expect(pair.notes.calls[0]?.length).toBe(2_000_005);
    // 62 steps of 64 KiB, two or three in a slice.
    expect(pair.connections.turns.counters.cut.slice).toBeGreaterThan(10);
    expect(pair.connections.turns.counters.waiting).toBe(0);
  });

  it("the connection is ended in the middle of inflating: nothing is kept", async () => {
    pair = await connectPair({ allowCompressed: true });
    pair.clock.nowMs = () => (pair.clock.now += 0.3);
    const payload = deflateRawSync(Buffer.alloc(8_000_000), { finishFlush: constants.Z_SYNC_FLUSH });
    pair.peer.send(encodeMaskedFrame(0x40 | opcode.binary, payload.subarray(0, -4), 7));
    // That lasts for some turns of the loop only, so it is looked for in each.
    for (let turns = 0; pair.connection.arrivingBytes <= 8_000_000; turns += 1) {
      expect(turns).toBeLessThan(1_000_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    pair.connection.terminate();
    await eventually(() => pair.connections.counters.open === 0);
    expect(pair.notes.calls).toEqual(["closed 1006 abnormal"]);
    expect(pair.connections.arriving.counters.pendingBytes).toBe(0);
    expect(pair.connections.turns.counters.waiting).toBe(0);
  });

  it("work of the session waits in the order of the calls, and reading with it", async () => {
    pair = await connectPair();
    const done: string[] = [];
    pair.notes.onMessage = (payload) => {
      const name = Buffer.from(payload).toString();
      pair.clock.now += longMs;
      for (const part of ["1", "2"]) {
        pair.connection.inTurn(() => {
          pair.clock.now += longMs;
          done.push(`${name}${part}`);
        });
      }
      done.push(name);
    };
    pair.peer.send(Buffer.concat([textFrame("a"), textFrame("b")]));
    await eventually(() => done.length === 6);
    expect(done).toEqual(["a", "a1", "a2", "b", "b1", "b2"]);
    // With time left, and nothing that waits, it is done at once.
    await eventually(() => pair.connections.turns.counters.waiting === 0);
    pair.clock.now += 1;
    let isDone = false;
    pair.connection.inTurn(() => {
      isDone = true;
    });
    expect(isDone).toBe(true);
  });
});

describe("answers to one read", () => {
  it("go out in one write: pongs and texts in order", async () => {
    pair = await connectPair();
    pair.notes.onMessage = (payload) => pair.connection.send(true, payload);
    const frames = Array.from({ length: 50 }, (_, index) => [
      encodeMaskedFrame(opcode.ping, Buffer.from(`p${index}`), 5),
      textFrame(`t${index}`),
    ]).flat();
    const { counters } = pair.connections;
    pair.peer.send(Buffer.concat(frames));
    await pair.peer.until(() => pair.peer.events.length === 100);
    expect(pair.peer.events.map(({ text }) => text)).toEqual(
      Array.from({ length: 50 }, (_, index) => [`p${index}`, `t${index}`]).flat(),
    );
    // A slow machine may find that a slice is over, or read twice.
    expect(counters.writes).toBeLessThan(10);
    expect(counters.pingsIn).toBe(50);
  });

  it("what may be used again once it is taken goes out at once, behind what was answered before", async () => {
    pair = await connectPair();
    const { counters } = pair.connections;
    pair.notes.onMessage = () => {
      pair.connection.sendText("first");
      expect(counters.writes).toBe(0);
      const bytes = Buffer.from("8106" + Buffer.from("second").toString("hex"), "hex");
      expect(pair.connection.write(bytes)).toBe(true);
      expect(counters.writes).toBe(2);
      bytes.fill(0);
      pair.connection.sendText("third");
    };
    pair.peer.sendText("x");
    await pair.peer.until(() => pair.peer.events.length === 3);
    expect(pair.peer.events.map(({ text }) => text)).toEqual(["first", "second", "third"]);
  });

  it("go out early when they grow large: a reader that takes nothing is noticed", async () => {
    pair = await connectPair();
    pair.peer.socket.pause();
    pair.notes.onMessage = () => {
      const { writes } = pair.connections.counters;
      for (let count = 0; count < 40; count += 1) pair.connection.sendText("x".repeat(4000));
      expect(pair.connections.counters.writes).toBeGreaterThanOrEqual(writes + 2);
    };
    pair.peer.sendText("x");
    await eventually(() => pair.notes.calls.length === 1);
    pair.peer.socket.resume();
    await pair.peer.until(() => pair.peer.events.length === 40);
  });
});
