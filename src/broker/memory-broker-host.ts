/**
 * The memory broker's half in the primary process: all logs, what has been published under which idempotency key,
 * and the fan-out to the workers that opened a topic. A worker's death loses nothing; the primary's loses everything,
 * which is what `broker.kind: memory` means.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { BrokerTopic, Position, PublishOptions } from "./broker.ts";
import {
  BusOutbox,
  isBatch,
  type BusPort,
  type PrimaryBusMessage,
  type WorkerBusMessage,
} from "./bus-messages.ts";
import { MemoryLog } from "./memory-log.ts";

const sweepIntervalMs = 30_000;
/** A log that was made because somebody asked for its epoch; clients choose the names they ask for. */
const emptyLogKeepMs = 120_000;
/** broker.ts, guarantee 5. */
const idempotencyKeepMs = 300_000;
/** Oldest go first beyond this, which shortens the five minutes: about 40 MB, 660 keyed publications a second. */
const idempotencyKeysMax = 200_000;

interface HeldTopic {
  readonly log: MemoryLog;
  ttlMs: number;
}

interface Worker {
  readonly outbox: BusOutbox<PrimaryBusMessage>;
  readonly topics: Set<string>;
}

/** See the file head. */
export class MemoryBrokerHost {
  readonly #clock: Clock;
  readonly #logBytesMax: number;
  /** The one that was published on or made longest ago comes first. */
  readonly #topics = new Map<string, HeldTopic>();
  #logBytes = 0;
  #logsDropped = 0;
  readonly #openers = new Map<string, Set<Worker>>();
  readonly #published = new Map<string, { readonly position: Position; readonly atMs: number }>();
  readonly #timer: NodeJS.Timeout;
  #lastEpoch = 0;

  /** @param logBytesMax of all logs together (`broker.memory.logBytesMax`); infinity for no limit. */
  constructor(clock: Clock, logBytesMax: number) {
    this.#clock = clock;
    this.#logBytesMax = logBytesMax;
    this.#timer = setInterval(() => this.sweep(), sweepIntervalMs);
    this.#timer.unref();
  }

  /** How many logs are held. For metrics and tests. */
  get topicCount(): number {
    return this.#topics.size;
  }

  /** Memory of all logs, about. */
  get logBytes(): number {
    return this.#logBytes;
  }

  /** Logs given up because all together had become too large. */
  get logsDropped(): number {
    return this.#logsDropped;
  }

  /** Serves a worker until its port closes. */
  attach(port: BusPort): void {
    const worker: Worker = { outbox: new BusOutbox(port), topics: new Set() };
    port.onMessage((message) => {
      if (!isBatch<WorkerBusMessage>(message)) return;
      for (const each of message) this.#handle(worker, each);
    });
    port.onClose(() => {
      worker.outbox.close();
      for (const topic of worker.topics) this.#forget(worker, topic);
    });
  }

  /**
   * Publishes from within the primary, such as the demo's replay.
   * @param data kept: nobody changes it.
   */
  publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Position | null {
    const origin = options.origin ?? null;
    if (topic.history === null) {
      this.#fanOut(topic.name, null, 0, data, origin);
      return null;
    }
    const key = options.idempotencyKey === undefined ? null : keyName(topic.name, options.idempotencyKey);
    const nowMs = this.#clock.nowMs();
    if (key !== null) {
      const before = this.#published.get(key);
      if (before !== undefined && nowMs - before.atMs < idempotencyKeepMs) return before.position;
    }
    const held = this.#held(topic, nowMs);
    const bytesBefore = held.log.bytes;
    const position = held.log.append(data, origin, topic.history, nowMs);
    this.#logBytes += held.log.bytes - bytesBefore;
    this.#topics.delete(topic.name);
    this.#topics.set(topic.name, held);
    this.#makeRoom(topic.name);
    if (key !== null) this.#remember(key, position, nowMs);
    this.#fanOut(topic.name, position.epoch, position.seq, data, origin);
    return position;
  }

  /** Forgets what has expired. Called every 30 s; by tests at will. */
  sweep(): void {
    const nowMs = this.#clock.nowMs();
    for (const [name, { log, ttlMs }] of this.#topics) {
      if (this.#openers.has(name)) log.touch(nowMs);
      const bytesBefore = log.bytes;
      log.dropOlderThan(nowMs - ttlMs);
      this.#logBytes += log.bytes - bytesBefore;
      if (log.isExpired(nowMs)) this.#drop(name, log);
    }
    for (const [key, { atMs }] of this.#published) {
      if (nowMs - atMs < idempotencyKeepMs) break;
      this.#published.delete(key);
    }
  }

  /** Ends the sweeping. Ports are their owner's to close. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #handle(worker: Worker, message: WorkerBusMessage): void {
    switch (message.kind) {
      case "open":
        this.#open(worker, message.topic);
        worker.outbox.push({ kind: "opened", id: message.id, topic: message.topic });
        break;
      case "close":
        worker.topics.delete(message.topic);
        this.#forget(worker, message.topic);
        break;
      case "publish": {
        const options = {
          idempotencyKey: message.idempotencyKey ?? undefined,
          origin: message.origin ?? undefined,
        };
        // A copy: what came over IPC is a view of the whole batch.
        const position = this.publish(message.topic, Buffer.from(message.data), options);
        worker.outbox.push({ kind: "published", id: message.id, position });
        break;
      }
      case "read": {
        const nowMs = this.#clock.nowMs();
        const { log } = this.#held(message.topic, nowMs);
        const read = log.read(message, nowMs);
        worker.outbox.push({ kind: "page", id: message.id, read });
        break;
      }
    }
  }

  #open(worker: Worker, topic: string): void {
    worker.topics.add(topic);
    let openers = this.#openers.get(topic);
    if (openers === undefined) {
      openers = new Set();
      this.#openers.set(topic, openers);
    }
    openers.add(worker);
  }

  #forget(worker: Worker, topic: string): void {
    const openers = this.#openers.get(topic);
    openers?.delete(worker);
    this.#topics.get(topic)?.log.touch(this.#clock.nowMs());
    if (openers?.size === 0) this.#openers.delete(topic);
  }

  #fanOut(topic: string, epoch: string | null, seq: number, data: Uint8Array, origin: string | null): void {
    const openers = this.#openers.get(topic);
    if (openers === undefined) return;
    const message: PrimaryBusMessage = { kind: "publication", topic, epoch, seq, data, origin };
    for (const worker of openers) worker.outbox.push(message);
  }

  /** The topic's log, made when there is none. */
  #held(topic: BrokerTopic, nowMs: number): HeldTopic {
    let held = this.#topics.get(topic.name);
    // What has expired is gone, whether the sweep has come by or not.
    if (held === undefined || (held.log.isExpired(nowMs) && !this.#openers.has(topic.name))) {
      if (held !== undefined) this.#drop(topic.name, held.log);
      held = { log: new MemoryLog(this.#newEpoch(), nowMs, emptyLogKeepMs), ttlMs: 0 };
      this.#topics.set(topic.name, held);
      this.#logBytes += held.log.bytes;
      this.#makeRoom(topic.name);
    }
    held.ttlMs = topic.history?.ttlMs ?? 0;
    return held;
  }

  /**
   * Clients choose the names of topics, and each may have a whole history: when all logs are too large, those that
   * were published on longest ago are given up. Their topics begin a new epoch, so nobody takes what is left for whole.
   * @param keep the topic that needs the room.
   */
  #makeRoom(keep: string): void {
    if (this.#logBytes <= this.#logBytesMax) return;
    for (const [name, { log }] of this.#topics) {
      if (name === keep) continue;
      this.#drop(name, log);
      this.#logsDropped += 1;
      if (this.#logBytes <= this.#logBytesMax) return;
    }
  }

  #drop(name: string, log: MemoryLog): void {
    this.#logBytes -= log.bytes;
    this.#topics.delete(name);
  }

  /** Microseconds since 1970, as Redis's are; never the same twice. */
  #newEpoch(): string {
    this.#lastEpoch = Math.max(this.#lastEpoch + 1, Math.floor(this.#clock.wallMs() * 1000));
    return String(this.#lastEpoch);
  }

  #remember(key: string, position: Position, nowMs: number): void {
    // Deleted first, so that the map's order is the order of time.
    this.#published.delete(key);
    this.#published.set(key, { position, atMs: nowMs });
    if (this.#published.size <= idempotencyKeysMax) return;
    for (const oldest of this.#published.keys()) {
      this.#published.delete(oldest);
      return;
    }
  }
}

/** A key may be as long as a header: its digest stands for it. A topic has no space, so the two cannot run together. */
function keyName(topic: string, idempotencyKey: string): string {
  return createHash("sha256").update(`${topic} ${idempotencyKey}`).digest("base64url");
}
