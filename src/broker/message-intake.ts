/**
 * What a message of a channel becomes: taken out of its envelope, checked, counted, and given to its topic's feed. Used
 * for every kind of Redis; nothing is allocated for a message that is good.
 */
import { Buffer } from "node:buffer";
import { isJson } from "../base/json-scanner.ts";
import type { Log } from "../base/log.ts";
import { Arrival } from "./arrival.ts";
import type { BrokerCounters } from "./broker.ts";
import { EnvelopeReader } from "./bus-envelope.ts";
import type { OpenTopic } from "./open-topic.ts";

/** Of refused messages a line is logged so often at most. */
const logIntervalMs = 1000;

export class MessageIntake {
  readonly #counters: BrokerCounters;
  readonly #messageBytesMax: number;
  readonly #log: Log;
  readonly #envelope = new EnvelopeReader();
  readonly #arrival: Arrival;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(counters: BrokerCounters, messageBytesMax: number, log: Log) {
    this.#counters = counters;
    this.#messageBytesMax = messageBytesMax;
    this.#log = log;
    this.#arrival = new Arrival(Buffer.alloc(0), 0);
  }

  /** Something was read: the messages that follow came now. */
  begin(nowMs: number): void {
    this.#arrival.receivedMs = nowMs;
  }

  /** Takes the message that lies in `bytes` from `start` to `end`: borrowed until return. */
  take(topic: OpenTopic, bytes: Buffer, start: number, end: number): void {
    const envelope = this.#envelope;
    const { feed } = topic;
    if (!envelope.read(bytes, start, end)) {
      this.rejected(topic, "malformed envelope");
      return;
    }
    const { dataStart } = envelope;
    let isValid = false;
    if (end - dataStart > this.#messageBytesMax) this.rejected(topic, "too large");
    else if (!isJson(bytes, dataStart, end)) this.rejected(topic, "not JSON in UTF-8");
    else {
      isValid = true;
      this.#counters.publicationsReceived++;
    }
    const arrival = this.#arrival;
    arrival.bytes = bytes;
    arrival.start = dataStart;
    arrival.end = end;
    arrival.seq = envelope.seq;
    arrival.origin = envelope.origin;
    feed.live(envelope.epoch(feed.epoch), arrival, isValid);
    topic.pump();
  }

  /** Counts a message that is dropped. */
  rejected(topic: OpenTopic, problem: string): void {
    this.#counters.publicationsRejected++;
    const nowMs = performance.now();
    if (nowMs - this.#loggedMs < logIntervalMs) return;
    this.#loggedMs = nowMs;
    const rejectedCount = this.#counters.publicationsRejected;
    this.#log.warn({ topic: topic.feed.topic.name, problem, rejectedCount }, "dropped a message from Redis");
  }
}
