/**
 * Which topics are open, or asked for at the broker. The first who wants a topic makes it be opened, all who want it
 * meanwhile wait together, and one that nobody wants any longer lingers before it is closed.
 */
import type { HubCounters } from "./hub-counters.ts";
import type { HubOptions, TopicSource } from "./hub-options.ts";
import { RingBytes } from "./ring-bytes.ts";
import { TopicLog } from "./topic-log.ts";
import type { HubTopic } from "./topic-log.ts";

/** The hub's time. */
export interface HubTime {
  nowMs(): number;
  after(delayMs: number, action: () => void): void;
}

/** A request for topics that are not all open yet. */
export interface OpenRequest {
  /** Nobody is interested any longer: `done` will not be called. */
  cancel(): void;
}

interface Waiter {
  missing: number;
  finish: (() => void) | null;
}

export class OpenTopics {
  readonly #options: HubOptions;
  readonly #source: TopicSource;
  readonly #counters: HubCounters;
  readonly #time: HubTime;
  readonly #ringBytes: RingBytes;
  readonly #logs = new Map<string, TopicLog>();
  readonly #waiters = new Map<TopicLog, Set<Waiter>>();

  constructor(options: HubOptions, source: TopicSource, counters: HubCounters, time: HubTime) {
    this.#options = options;
    this.#source = source;
    this.#counters = counters;
    this.#time = time;
    this.#ringBytes = new RingBytes(options.ringBytesMax, options.onRingEmptied);
  }

  /** Bytes of the publications that all logs keep. */
  get ringBytes(): number {
    return this.#ringBytes.bytes;
  }

  /** The logs of all topics that somebody wants, or wanted a moment ago. */
  logs(): IterableIterator<TopicLog> {
    return this.#logs.values();
  }

  /** The log of a topic, be it open yet or not. */
  get(name: string): TopicLog | undefined {
    return this.#logs.get(name);
  }

  /** See `Hub.open`. */
  open(topics: readonly HubTopic[], done: (logs: (TopicLog | null)[]) => void): OpenRequest {
    const logs = topics.map((topic) => this.#logs.get(topic.name) ?? this.#create(topic));
    const closed = new Set(logs.filter((log) => !log.isOpen));
    for (const log of logs) {
      log.waiting += 1;
      this.noteInterest(log);
    }
    const waiter: Waiter = { missing: closed.size, finish: null };
    const end = (): void => {
      if (waiter.finish === null) return;
      waiter.finish = null;
      this.#stopWaiting(waiter, closed);
      for (const log of logs) {
        log.waiting -= 1;
        this.noteInterest(log);
      }
    };
    const finish = (): void => {
      done(logs.map((log) => (log.isOpen ? log : null)));
      end();
    };
    waiter.finish = finish;
    if (closed.size === 0) {
      finish();
      return { cancel: () => undefined };
    }
    for (const log of closed) {
      const waiters = this.#waiters.get(log);
      if (waiters === undefined) this.#waiters.set(log, new Set([waiter]));
      else waiters.add(waiter);
    }
    this.#time.after(this.#options.openTimeoutMs, () => waiter.finish?.());
    return { cancel: end };
  }

  /** The log has become open: tells those who have all that they waited for. */
  tellOpened(log: TopicLog): void {
    const waiters = this.#waiters.get(log) ?? new Set();
    this.#waiters.delete(log);
    for (const waiter of waiters) {
      waiter.missing -= 1;
      if (waiter.missing === 0) waiter.finish?.();
    }
  }

  /** Who reads a topic or waits for it has changed: starts or ends the time after which an unwanted one is closed. */
  noteInterest(log: TopicLog): void {
    if (log.audiences.length > 0 || log.waiting > 0) {
      log.idleSinceMs = null;
      return;
    }
    if (log.idleSinceMs !== null) return;
    const since = this.#time.nowMs();
    log.idleSinceMs = since;
    this.#time.after(this.#options.lingerMs, () => {
      if (log.idleSinceMs === since) this.#close(log);
    });
  }

  #create(topic: HubTopic): TopicLog {
    const { ringMessagesMax, random } = this.#options;
    const log = new TopicLog(topic, ringMessagesMax, this.#ringBytes, random);
    this.#logs.set(topic.name, log);
    this.#counters.topics += 1;
    this.#source.open(topic, log);
    return log;
  }

  #close(log: TopicLog): void {
    log.idleSinceMs = null;
    log.close();
    this.#logs.delete(log.topic.name);
    this.#counters.topics -= 1;
    this.#source.close(log.topic.name);
  }

  /** While a broker is away for long, those who gave up must not pile up. */
  #stopWaiting(waiter: Waiter, logs: ReadonlySet<TopicLog>): void {
    for (const log of logs) {
      const waiters = this.#waiters.get(log);
      waiters?.delete(waiter);
      if (waiters?.size === 0) this.#waiters.delete(log);
    }
  }
}
