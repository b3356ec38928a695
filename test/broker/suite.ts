/**
 * What every broker must pass: the guarantees of src/broker/broker.ts, one by one. What only Redis can do wrong is in
 * redis-broker.test.ts and redis-faults.test.ts.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/base/errors.ts";
import type { Broker, BrokerTopic, Delivery } from "../../src/broker/broker.ts";
import { bytes, count, open, openAndWait, Recorder, text, type Worker } from "./recorder.ts";

/** One broker system: all brokers of it see the same topics. */
export interface BrokerWorld {
  /** The broker of one more worker, not yet started. */
  makeBroker(): Broker;
  stop(): Promise<void>;
}

const deliveries: readonly Delivery[] = ["latest", "every", "sample"];

/**
 * Declares the suite for one kind of broker.
 * @param joinCount how often ten workers together open a topic under load.
 */
export function brokerSuite(kind: string, makeWorld: () => Promise<BrokerWorld>, joinCount = 1000): void {
  describe(`broker guarantees: ${kind}`, () => {
    let world: BrokerWorld;
    let brokers: Broker[] = [];
    let topicCount = 0;

    beforeEach(async () => {
      world = await makeWorld();
    });
    afterEach(async () => {
      await Promise.all(brokers.map((broker) => broker.stop()));
      brokers = [];
      await world.stop();
    });

    async function start(): Promise<Worker> {
      const broker = world.makeBroker();
      brokers.push(broker);
      const recorder = new Recorder();
      await broker.start(recorder);
      return { broker, recorder };
    }

    function topic(delivery: Delivery, size = 100, ttlMs = 60_000): BrokerTopic & { history: object } {
      topicCount++;
      return { name: `suite.${delivery}.t${topicCount}`, delivery, history: { size, ttlMs } };
    }

    function liveOnly(delivery: Delivery = "every"): BrokerTopic {
      topicCount++;
      return { name: `suite.live.t${topicCount}`, delivery, history: null };
    }

    describe("1 and 2: order, exactly once", () => {
      for (const delivery of deliveries) {
        it(`${delivery}: two workers get what a third publishes, in order, with seq`, async () => {
          const [a, b, publisher] = [await start(), await start(), await start()];
          const to = topic(delivery);
          await Promise.all([openAndWait(a, to), openAndWait(b, to)]);
          await Promise.all(
            count(1, 200).map((value) => publisher.broker.publish(to, bytes(String(value)), {})),
          );
          for (const { recorder } of [a, b]) {
            await recorder.until(() => recorder.seqs(to.name).at(-1) === 200);
            expect(recorder.seqs(to.name)).toEqual(count(1, 200));
            expect(recorder.texts(to.name)).toEqual(count(1, 200).map(String));
            expect(recorder.gaps(to.name)).toEqual([]);
          }
        });
      }

      it("topics do not disturb each other", async () => {
        const worker = await start();
        const topics = Array.from({ length: 20 }, () => topic("every"));
        await Promise.all(topics.map((each) => openAndWait(worker, each)));
        await Promise.all(
          count(1, 20).flatMap((value) =>
            topics.map((each) => worker.broker.publish(each, bytes(String(value)), {})),
          ),
        );
        for (const { name } of topics) {
          await worker.recorder.until(() => worker.recorder.seqs(name).length === 20);
          expect(worker.recorder.seqs(name)).toEqual(count(1, 20));
        }
        expect(worker.broker.counters.topicsOpen).toBe(20);
      });

      it("hands on bytes as they came, and who sent them", async () => {
        const worker = await start();
        const to = topic("every");
        await openAndWait(worker, to);
        const payloads = [
          '{"price":1.10, "id":12345678901234567890}',
          '"哈哈哈"',
          " [1e2] ",
          '"@1-2 x"',
          "null",
        ];
        await publishMany(worker.broker, to, payloads);
        const origin = "AAAAAAAAAAAAAAAAAAAAAA";
        await worker.broker.publish(to, bytes("1"), { origin });
        await worker.recorder.until(() => worker.recorder.seqs(to.name).length === 6);
        expect(worker.recorder.texts(to.name)).toEqual([...payloads, "1"]);
        expect(worker.recorder.publications(to.name).map((each) => each.origin)).toEqual([
          ...payloads.map(() => null),
          origin,
        ]);
        const page = await worker.broker.history(to, null, 2);
        expect(page.entries.map((each) => [text(each.data), each.origin])).toEqual([
          ["null", null],
          ["1", origin],
        ]);
      });

      it("takes a message of 64 KiB", async () => {
        const worker = await start();
        const to = topic("every");
        await openAndWait(worker, to);
        const large = JSON.stringify("x".repeat(65_534));
        await worker.broker.publish(to, bytes(large), {});
        await worker.recorder.until(() => worker.recorder.seqs(to.name).length === 1);
        expect(worker.recorder.texts(to.name)).toEqual([large]);
      });
    });

    describe("4: snapshot and live without a seam", () => {
      it("a topic without a publication has the epoch that its first one carries", async () => {
        const worker = await start();
        const to = topic("every");
        const snapshot = await openAndWait(worker, to);
        expect(snapshot.position?.seq).toBe(0);
        expect(snapshot.entries).toEqual([]);
        const position = await worker.broker.publish(to, bytes("1"), {});
        expect(position).toEqual({ epoch: snapshot.position?.epoch, seq: 1 });
        await worker.recorder.until(() => worker.recorder.seqs(to.name).length === 1);
        expect(worker.recorder.gaps(to.name)).toEqual([]);
      });

      it("brings the newest entries, oldest first", async () => {
        const worker = await start();
        const to = topic("every", 3);
        await publishMany(worker.broker, to, ["1", "2", "3", "4", "5"]);
        const snapshot = await openAndWait(worker, to);
        expect(snapshot.position?.seq).toBe(5);
        expect(snapshot.entries.map((each) => [each.seq, text(each.data)])).toEqual([
          [3, "3"],
          [4, "4"],
          [5, "5"],
        ]);
      });

      it("leaves out what is older than ttlMs, and keeps the position", async () => {
        const worker = await start();
        const to = topic("every", 10, 60);
        await publishMany(worker.broker, to, ["1", "2"]);
        // The entries' age is measured by the broker's own clock.
        await new Promise((resolve) => setTimeout(resolve, 90));
        await publishMany(worker.broker, to, ["3"]);
        const snapshot = await openAndWait(worker, to);
        expect(snapshot.position?.seq).toBe(3);
        expect(snapshot.entries.map((each) => each.seq)).toEqual([3]);
      });

      it(`${joinCount} joins under 1,000 messages a second: the snapshot's seq is followed by seq + 1, none missing`, async () => {
        const to = topic("every", 300);
        const publisher = await start();
        const workers = await Promise.all(Array.from({ length: 10 }, () => start()));
        const stopPublishing = new AbortController();
        let publishedCount = 0;
        const startMs = performance.now();
        const publishing = (async () => {
          while (!stopPublishing.signal.aborted) {
            const dueCount = performance.now() - startMs;
            const batch: Promise<unknown>[] = [];
            for (; publishedCount < dueCount; publishedCount++) {
              batch.push(publisher.broker.publish(to, bytes(String(publishedCount + 1)), {}));
            }
            await Promise.all(batch);
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
        })();

        let joinedCount = 0;
        const problems: string[] = [];
        async function joins({ broker, recorder }: Worker): Promise<void> {
          for (let join = 0; join < joinCount / workers.length; join++) {
            recorder.events.length = 0;
            const { position, entries } = await openAndWait({ broker, recorder }, to);
            await recorder.until(() => recorder.seqs(to.name).length >= 3);
            broker.close(to.name);
            const first = position!.seq;
            const seqs = recorder.seqs(to.name);
            joinedCount++;
            if (recorder.gaps(to.name).length > 0) problems.push(`a gap after ${first}`);
            if (seqs.join() !== count(first + 1, first + seqs.length).join()) {
              problems.push(`${first} was followed by ${seqs.join()}`);
            }
            // What was published is its own number.
            if (recorder.texts(to.name).join() !== seqs.join()) problems.push(`payloads after ${first}`);
            if (entries.length > 0 && entries.at(-1)!.seq !== first) problems.push(`a snapshot at ${first}`);
          }
        }
        await Promise.all(workers.map((worker) => joins(worker)));
        stopPublishing.abort();
        await publishing;
        expect(joinedCount).toBe(joinCount);
        expect(problems).toEqual([]);
        const ratePerSec = (publishedCount * 1000) / (performance.now() - startMs);
        expect(ratePerSec).toBeGreaterThan(500);
      }, 60_000);
    });

    describe("open and close", () => {
      it("calls nothing after close, not even a pending onOpened", async () => {
        const worker = await start();
        const to = topic("every");
        open(worker, to);
        worker.broker.close(to.name);
        const other = topic("every");
        await openAndWait(worker, other);
        await worker.broker.publish(to, bytes("1"), {});
        worker.broker.close(other.name);
        await worker.broker.publish(other, bytes("1"), {});
        await openAndWait(worker, topic("every"));
        expect(worker.recorder.of(to.name)).toEqual([]);
        expect(worker.recorder.publications(other.name)).toEqual([]);
      });

      it("open, close, open at once is one open topic", async () => {
        const worker = await start();
        const to = topic("every");
        await worker.broker.publish(to, bytes("1"), {});
        for (let round = 0; round < 50; round++) {
          open(worker, to);
          if (round % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
          worker.broker.close(to.name);
        }
        // One of the rounds may have lasted long enough to be opened.
        worker.recorder.events.length = 0;
        const snapshot = await openAndWait(worker, to);
        expect(snapshot.position?.seq).toBe(1);
        await publishMany(worker.broker, to, ["2", "3"]);
        await worker.recorder.until(() => worker.recorder.seqs(to.name).length === 2);
        expect(worker.recorder.seqs(to.name)).toEqual([2, 3]);
        expect(worker.recorder.of(to.name).filter((event) => event.kind === "opened")).toHaveLength(1);
      });

      it("a listener may close a topic while it is called", async () => {
        const worker = await start();
        const to = topic("every");
        await openAndWait(worker, to);
        const onPublication = worker.recorder.onPublication.bind(worker.recorder);
        worker.recorder.onPublication = (name, publication) => {
          onPublication(name, publication);
          worker.broker.close(name);
        };
        await Promise.all(["1", "2", "3"].map((each) => worker.broker.publish(to, bytes(each), {})));
        await openAndWait(worker, topic("every"));
        expect(worker.recorder.seqs(to.name)).toEqual([1]);
      });
    });

    describe("5: publishing", () => {
      it("stores the same key once, and says where", async () => {
        const worker = await start();
        const to = topic("every");
        await openAndWait(worker, to);
        const first = await worker.broker.publish(to, bytes("1"), { idempotencyKey: "k" });
        const again = await worker.broker.publish(to, bytes("1"), { idempotencyKey: "k" });
        const other = await worker.broker.publish(to, bytes("2"), { idempotencyKey: "l" });
        expect(again).toEqual(first);
        expect(other).toEqual({ epoch: first?.epoch, seq: 2 });
        await worker.recorder.until(() => worker.recorder.seqs(to.name).length === 2);
        expect(worker.recorder.texts(to.name)).toEqual(["1", "2"]);
      });

      it("keeps keys of topics apart, and stores a long key once from two workers", async () => {
        const [a, b] = [await start(), await start()];
        const [one, two] = [topic("every"), topic("every")];
        const idempotencyKey = "x".repeat(10_000);
        expect((await a.broker.publish(one, bytes("1"), { idempotencyKey }))?.seq).toBe(1);
        expect((await a.broker.publish(two, bytes("1"), { idempotencyKey }))?.seq).toBe(1);
        expect((await b.broker.publish(one, bytes("1"), { idempotencyKey }))?.seq).toBe(1);
        expect((await b.broker.history(one, null, 10)).entries).toHaveLength(1);
      });

      it("stores two messages without a key twice", async () => {
        const worker = await start();
        const to = topic("every");
        await publishMany(worker.broker, to, ["1", "1"]);
        expect((await worker.broker.history(to, null, 10)).entries).toHaveLength(2);
      });

      it("rejects with BrokerError once it has stopped", async () => {
        const worker = await start();
        const to = topic("every");
        await worker.broker.stop();
        await expect(worker.broker.publish(to, bytes("1"), {})).rejects.toBeInstanceOf(BrokerError);
        await expect(worker.broker.publish(liveOnly(), bytes("1"), {})).rejects.toBeInstanceOf(BrokerError);
        await expect(worker.broker.history(to, null, 1)).rejects.toBeInstanceOf(BrokerError);
        expect(worker.broker.status().ready).toBe(false);
        expect(worker.broker.counters.publishFailures).toBe(2);
      });
    });

    describe("live-only topics", () => {
      it("have no position and keep their order", async () => {
        const [a, b] = [await start(), await start()];
        const to = liveOnly();
        expect(await openAndWait(a, to)).toEqual({ position: null, entries: [] });
        const positions = await Promise.all(
          count(1, 100).map((value) => b.broker.publish(to, bytes(String(value)), {})),
        );
        expect(new Set(positions)).toEqual(new Set([null]));
        await a.recorder.until(() => a.recorder.texts(to.name).length === 100);
        expect(a.recorder.texts(to.name)).toEqual(count(1, 100).map(String));
        expect(new Set(a.recorder.seqs(to.name))).toEqual(new Set([0]));
      });

      it("name the sender, and miss nothing published after onOpened", async () => {
        const [a, b] = [await start(), await start()];
        for (let round = 0; round < 20; round++) {
          const to = liveOnly();
          await openAndWait(a, to);
          await b.broker.publish(to, bytes("1"), { origin: "me_-" });
          await a.recorder.until(() => a.recorder.texts(to.name).length === 1);
          expect(a.recorder.publications(to.name)[0]?.origin).toBe("me_-");
        }
        await a.broker.refresh(`suite.live.t${topicCount}`);
      });
    });

    describe("history", () => {
      it("of a topic without a publication has its epoch", async () => {
        const worker = await start();
        const to = topic("every");
        const page = await worker.broker.history(to, null, 10);
        expect(page).toEqual({
          position: { epoch: page.position.epoch, seq: 0 },
          entries: [],
          complete: true,
        });
        const position = await worker.broker.publish(to, bytes("1"), {});
        expect(position?.epoch).toBe(page.position.epoch);
      });

      it("reads the newest, or pages through everything after a position", async () => {
        const worker = await start();
        const to = topic("every", 100);
        await publishMany(worker.broker, to, count(1, 25).map(String));
        const newest = await worker.broker.history(to, null, 10);
        expect(newest.entries.map((each) => each.seq)).toEqual(count(16, 25));
        const seen: number[] = [];
        const { epoch } = newest.position;
        for (let page = 0; page < 3; page++) {
          const { entries, complete } = await worker.broker.history(to, { epoch, seq: seen.at(-1) ?? 0 }, 10);
          expect(complete).toBe(true);
          seen.push(...entries.map((each) => each.seq));
        }
        expect(seen).toEqual(count(1, 25));
      });

      it("says whether it is complete", async () => {
        const worker = await start();
        const to = topic("every", 1000);
        await publishMany(worker.broker, to, count(1, 5).map(String));
        const { position } = await worker.broker.history(to, null, 1);
        const { epoch } = position;
        const table = [
          { name: "from the start", since: { epoch, seq: 0 }, complete: true, seqs: [1, 2, 3, 4, 5] },
          { name: "from the middle", since: { epoch, seq: 3 }, complete: true, seqs: [4, 5] },
          { name: "nothing new", since: { epoch, seq: 5 }, complete: true, seqs: [] },
          { name: "from the future", since: { epoch, seq: 6 }, complete: false, seqs: [1, 2, 3, 4, 5] },
          { name: "another epoch", since: { epoch: "12", seq: 3 }, complete: false, seqs: [1, 2, 3, 4, 5] },
          {
            name: "a later epoch",
            since: { epoch: `${epoch}0`, seq: 3 },
            complete: false,
            seqs: [1, 2, 3, 4, 5],
          },
          {
            name: "no epoch at all",
            since: { epoch: "x y", seq: 3 },
            complete: false,
            seqs: [1, 2, 3, 4, 5],
          },
          // Redis's link of a log that had no epoch before is 0-0: whoever asked behind it was told that nothing is missing.
          { name: "epoch 0", since: { epoch: "0", seq: 0 }, complete: false, seqs: [1, 2, 3, 4, 5] },
          { name: "epoch 00", since: { epoch: "00", seq: 0 }, complete: false, seqs: [1, 2, 3, 4, 5] },
          { name: "epoch 0x0p0", since: { epoch: "0x0p0", seq: 0 }, complete: false, seqs: [1, 2, 3, 4, 5] },
          { name: "no number", since: { epoch, seq: Number.NaN }, complete: false, seqs: [1, 2, 3, 4, 5] },
          { name: "negative", since: { epoch, seq: -1 }, complete: false, seqs: [1, 2, 3, 4, 5] },
        ];
        for (const { name, since, complete, seqs } of table) {
          const page = await worker.broker.history(to, since, 10);
          expect([name, page.complete, page.entries.map((each) => each.seq)]).toEqual([name, complete, seqs]);
          expect(page.position).toEqual({ epoch, seq: 5 });
        }
      });

      it("is not complete once entries were trimmed", async () => {
        const worker = await start();
        const to = topic("every", 2);
        await publishMany(worker.broker, to, count(1, 5).map(String));
        const { position } = await worker.broker.history(to, null, 1);
        const trimmed = await worker.broker.history(to, { ...position, seq: 2 }, 10);
        expect([trimmed.complete, trimmed.entries.map((each) => each.seq)]).toEqual([false, [4, 5]]);
        const whole = await worker.broker.history(to, { ...position, seq: 3 }, 10);
        expect([whole.complete, whole.entries.map((each) => each.seq)]).toEqual([true, [4, 5]]);
      });

      it("is not complete once entries have expired", async () => {
        const worker = await start();
        const to = topic("every", 10, 60);
        await publishMany(worker.broker, to, ["1", "2"]);
        await new Promise((resolve) => setTimeout(resolve, 90));
        const { position } = await worker.broker.history(to, null, 10);
        expect(position.seq).toBe(2);
        const all = await worker.broker.history(to, { ...position, seq: 0 }, 10);
        expect([all.complete, all.entries]).toEqual([false, []]);
        const none = await worker.broker.history(to, position, 10);
        expect([none.complete, none.entries]).toEqual([true, []]);
        await worker.broker.publish(to, bytes("3"), {});
        const last = await worker.broker.history(to, position, 10);
        expect([last.complete, last.entries.map((each) => each.seq)]).toEqual([true, [3]]);
      });

      it("a read that begins after a publish resolved contains it, however many read at once", async () => {
        const worker = await start();
        const to = topic("every", 1000);
        const { position } = await worker.broker.history(to, null, 1);
        for (let value = 1; value <= 50; value++) {
          const running = worker.broker.history(to, { ...position, seq: 0 }, 100);
          await worker.broker.publish(to, bytes(String(value)), {});
          const pages = await Promise.all(
            Array.from({ length: 5 }, () => worker.broker.history(to, { ...position, seq: 0 }, 100)),
          );
          for (const page of pages) expect(page.entries).toHaveLength(value);
          await running;
        }
      });
    });

    describe("refresh", () => {
      it("has delivered everything stored before it when it resolves", async () => {
        const [a, b] = [await start(), await start()];
        for (const delivery of deliveries) {
          const to = topic(delivery);
          await openAndWait(a, to);
          for (let value = 1; value <= 30; value++) {
            await b.broker.publish(to, bytes(String(value)), {});
            await a.broker.refresh(to.name);
            expect(a.recorder.seqs(to.name).at(-1)).toBe(value);
          }
          expect(a.recorder.seqs(to.name)).toEqual(count(1, 30));
        }
      });

      it("rejects for a topic that is not open, or is closed meanwhile", async () => {
        const worker = await start();
        const to = topic("every");
        await expect(worker.broker.refresh(to.name)).rejects.toBeInstanceOf(BrokerError);
        await openAndWait(worker, to);
        const refreshing = worker.broker.refresh(to.name);
        worker.broker.close(to.name);
        await expect(refreshing).rejects.toBeInstanceOf(BrokerError);
      });
    });

    it("says when it is ready", async () => {
      const worker = await start();
      expect(worker.broker.status()).toEqual({ ready: true, reason: null });
      expect(worker.recorder.events).toContainEqual({
        kind: "status",
        status: { ready: true, reason: null },
      });
    });
  });
}

async function publishMany(broker: Broker, to: BrokerTopic, texts: readonly string[]): Promise<void> {
  for (const each of texts) await broker.publish(to, bytes(each), {});
}
