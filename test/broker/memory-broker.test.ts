import { MessageChannel, type MessagePort } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { systemClock, type Clock } from "../../src/base/clock.ts";
import { BrokerError } from "../../src/base/errors.ts";
import type { BrokerTopic } from "../../src/broker/broker.ts";
import type { BusPort } from "../../src/broker/bus-messages.ts";
import { MemoryBrokerHost } from "../../src/broker/memory-broker-host.ts";
import { MemoryBroker } from "../../src/broker/memory-broker.ts";
import { bytes, openAndWait, Recorder, text } from "./recorder.ts";
import { brokerSuite } from "./suite.ts";

/** A real port: what is sent is cloned and arrives in another turn, as between processes. */
function busPort(port: MessagePort): BusPort {
  return {
    send: (message) => port.postMessage(message),
    onMessage: (listener) => {
      port.on("message", listener);
    },
    onClose: (listener) => {
      port.on("close", listener);
    },
  };
}

function attach(host: MemoryBrokerHost): { broker: MemoryBroker; close: () => void } {
  const { port1, port2 } = new MessageChannel();
  host.attach(busPort(port1));
  return { broker: new MemoryBroker(busPort(port2)), close: () => port1.close() };
}

brokerSuite("memory", async () => {
  const host = new MemoryBrokerHost(systemClock, Number.POSITIVE_INFINITY);
  const closers: (() => void)[] = [];
  return {
    makeBroker: () => {
      const { broker, close } = attach(host);
      closers.push(close);
      return broker;
    },
    stop: async () => {
      for (const close of closers) close();
      host.stop();
    },
  };
});

class TestClock implements Clock {
  #ms = 1_000_000;
  nowMs(): number {
    return this.#ms;
  }
  wallMs(): number {
    return this.#ms;
  }
  pass(ms: number): void {
    this.#ms += ms;
  }
}

function named(name: string): BrokerTopic {
  return { ...everyTopic, name };
}

const everyTopic: BrokerTopic = { name: "chat.a", delivery: "every", history: { size: 10, ttlMs: 1000 } };

describe("the primary's half", () => {
  it("publishes from within the primary to workers, and to nobody", async () => {
    const host = new MemoryBrokerHost(systemClock, Number.POSITIVE_INFINITY);
    const { broker, close } = attach(host);
    const recorder = new Recorder();
    await broker.start(recorder);
    expect(host.publish(everyTopic, bytes("1"), {})?.seq).toBe(1);
    const snapshot = await openAndWait({ broker, recorder }, everyTopic);
    expect(snapshot.entries.map((each) => text(each.data))).toEqual(["1"]);
    expect(host.publish(everyTopic, bytes("2"), {})?.seq).toBe(2);
    await recorder.until(() => recorder.seqs("chat.a").length === 1);
    expect(recorder.texts("chat.a")).toEqual(["2"]);
    await broker.stop();
    close();
    host.stop();
  });

  it("forgets a topic when its log has expired and nobody has it open; its next life has another epoch", () => {
    const clock = new TestClock();
    const host = new MemoryBrokerHost(clock, Number.POSITIVE_INFINITY);
    const first = host.publish(everyTopic, bytes("1"), {});
    clock.pass(2 * 1000 + 3_600_000);
    host.sweep();
    expect(host.topicCount).toBe(1);
    expect(host.publish(everyTopic, bytes("2"), {})).toEqual({ epoch: first?.epoch, seq: 2 });
    clock.pass(2 * 1000 + 3_600_001);
    host.sweep();
    expect(host.topicCount).toBe(0);
    const next = host.publish(everyTopic, bytes("3"), {});
    expect(next?.seq).toBe(1);
    expect(next?.epoch).not.toBe(first?.epoch);
    host.stop();
  });

  it("keeps a topic that a worker has open, and forgets an asked-for name after two minutes", async () => {
    const clock = new TestClock();
    const host = new MemoryBrokerHost(clock, Number.POSITIVE_INFINITY);
    const { broker, close } = attach(host);
    const recorder = new Recorder();
    await broker.start(recorder);
    const { position } = await openAndWait({ broker, recorder }, everyTopic);
    await broker.history({ ...everyTopic, name: "asked.for" }, null, 1);
    expect(host.topicCount).toBe(2);
    for (let round = 0; round < 5; round++) {
      clock.pass(60_000);
      host.sweep();
    }
    expect(host.topicCount).toBe(1);
    expect(host.publish(everyTopic, bytes("1"), {})).toEqual({ epoch: position?.epoch, seq: 1 });
    await broker.stop();
    close();
    host.stop();
  });

  it("gives up the histories published on longest ago when all together are too large, and says so by the epoch", () => {
    const clock = new TestClock();
    // Two logs of 512 bytes with an entry of 128 + 1,000 each, and not a byte more.
    const host = new MemoryBrokerHost(clock, 2 * (512 + 128 + 1000));
    const kilobyte = new Uint8Array(1000);
    const first = host.publish(named("chat.a"), kilobyte, {});
    host.publish(named("chat.b"), kilobyte, {});
    expect([host.topicCount, host.logsDropped]).toEqual([2, 0]);
    const second = host.publish(named("chat.c"), new Uint8Array(0), {});
    expect([host.topicCount, host.logsDropped]).toEqual([2, 1]);
    expect(host.publish(named("chat.c"), new Uint8Array(0), {})).toEqual({ epoch: second?.epoch, seq: 2 });
    const next = host.publish(named("chat.a"), new Uint8Array(0), {});
    expect(next?.seq).toBe(1);
    expect(next?.epoch).not.toBe(first?.epoch);
    // The one that grows is kept, whatever it takes.
    for (let count = 0; count < 10; count++) host.publish(named("chat.a"), kilobyte, {});
    expect(host.topicCount).toBe(1);
    expect(host.publish(named("chat.a"), kilobyte, {})?.seq).toBe(12);
    // Ten entries are kept: what went before is not counted any more.
    expect(host.logBytes).toBe(512 + 10 * (128 + 1000));
    clock.pass(1001);
    host.sweep();
    expect(host.logBytes).toBe(512);
    host.stop();
  });

  it("forgets an idempotency key after five minutes", () => {
    const clock = new TestClock();
    const host = new MemoryBrokerHost(clock, Number.POSITIVE_INFINITY);
    const options = { idempotencyKey: "k" };
    expect(host.publish(everyTopic, bytes("1"), options)?.seq).toBe(1);
    clock.pass(299_999);
    host.sweep();
    expect(host.publish(everyTopic, bytes("1"), options)?.seq).toBe(1);
    clock.pass(1);
    host.sweep();
    expect(host.publish(everyTopic, bytes("1"), options)?.seq).toBe(2);
    host.stop();
  });

  it("begins a later epoch even within one microsecond, and when the clock goes back", () => {
    const clock = new TestClock();
    const host = new MemoryBrokerHost(clock, Number.POSITIVE_INFINITY);
    const epochs = ["a", "b", "c"].map((name) => {
      clock.pass(-1);
      return Number(host.publish({ ...everyTopic, name }, bytes("1"), {})?.epoch);
    });
    expect(epochs.toSorted((a, b) => a - b)).toEqual(epochs);
    expect(new Set(epochs).size).toBe(3);
    host.stop();
  });
});

describe("the worker's half when the primary is gone", () => {
  it("rejects what is under way and says so", async () => {
    const { port1, port2 } = new MessageChannel();
    // Nobody reads port1: a primary that stands still.
    const broker = new MemoryBroker(busPort(port2));
    const recorder = new Recorder();
    await broker.start(recorder);
    const publishing = broker.publish(everyTopic, bytes("1"), {});
    const refused = expect(publishing).rejects.toBeInstanceOf(BrokerError);
    port1.close();
    await refused;
    expect(broker.status().ready).toBe(false);
    await recorder.until(() =>
      recorder.events.some((event) => event.kind === "status" && !event.status.ready),
    );
    await expect(broker.publish(everyTopic, bytes("1"), {})).rejects.toBeInstanceOf(BrokerError);
    await broker.stop();
  });

  it("rejects a publish that is not answered within 2 s", async () => {
    const { port1, port2 } = new MessageChannel();
    const broker = new MemoryBroker(busPort(port2));
    await broker.start(new Recorder());
    const startMs = performance.now();
    await expect(broker.publish(everyTopic, bytes("1"), {})).rejects.toBeInstanceOf(BrokerError);
    expect(performance.now() - startMs).toBeGreaterThan(1300);
    expect(performance.now() - startMs).toBeLessThan(3000);
    await broker.stop();
    port1.close();
  });
});
