/**
 * An open topic with its reads: makes the reads that its feed wants, one at a time, again when one failed, and lets
 * `refresh` wait for them. Used by both brokers; how a read is made is theirs.
 */
import { BrokerError } from "../base/errors.ts";
import type { LogRead, ReadRequest } from "./log-read.ts";
import type { TopicFeed } from "./topic-feed.ts";

const retryFirstMs = 100;
const retryMaxMs = 2000;

interface Waiter {
  /** The first read that began after the call. */
  readonly readNumber: number;
  readonly resolve: () => void;
  readonly reject: (error: BrokerError) => void;
}

/** See the file head. */
export class OpenTopic {
  readonly feed: TopicFeed;
  readonly #read: (request: ReadRequest) => Promise<LogRead>;
  /** Live messages reach us: only then does a read meet them without a seam. */
  #subscribed = false;
  #closed = false;
  #readNumber = 0;
  #failureCount = 0;
  #retryTimer: NodeJS.Timeout | null = null;
  #waiters: Waiter[] = [];

  /** @param read rejects with BrokerError when it cannot be made now. */
  constructor(feed: TopicFeed, read: (request: ReadRequest) => Promise<LogRead>) {
    this.feed = feed;
    this.#read = read;
  }

  /** From now on live messages come, for the first time or after a pause: what came before must be read. */
  subscribed(): void {
    this.#subscribed = true;
    this.#failureCount = 0;
    if (this.feed.topic.history === null) {
      this.feed.openLiveOnly();
      return;
    }
    this.feed.requestRead();
    this.retryNow();
  }

  /** What made a read fail may be over: does not wait for the time of the next attempt. */
  retryNow(): void {
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    this.pump();
  }

  /** The log may have begun a new life: reads it from the last position. */
  reread(): void {
    this.feed.requestRead();
    this.pump();
  }

  /** Live messages come no more, until `subscribed`. */
  unsubscribed(): void {
    this.#subscribed = false;
  }

  /** Makes the read that the feed wants, if it wants one and can have it now. Cost when it wants none: two checks. */
  pump(): void {
    if (!this.feed.wantsRead || !this.#subscribed || this.#retryTimer !== null) return;
    this.#readNumber++;
    void this.#makeRead(this.#readNumber, this.feed.beginRead());
  }

  /** Resolves when a read that began after this call was delivered. @throws BrokerError when that read fails. */
  async refresh(): Promise<void> {
    if (this.feed.topic.history === null) return;
    if (!this.#subscribed) throw new BrokerError("the topic is not connected to the broker now", true);
    this.feed.requestRead();
    const waiting = new Promise<void>((resolve, reject) => {
      this.#waiters.push({ readNumber: this.#readNumber + 1, resolve, reject });
    });
    this.pump();
    await waiting;
  }

  /** Nothing is called afterwards. */
  close(): void {
    this.#closed = true;
    this.#subscribed = false;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.feed.close();
    this.#rejectWaiters(new BrokerError("the topic was closed", false));
  }

  async #makeRead(readNumber: number, request: ReadRequest): Promise<void> {
    let read: LogRead;
    try {
      read = await this.#read(request);
    } catch (error) {
      this.#readFailed(error);
      return;
    }
    if (this.#closed) return;
    this.#failureCount = 0;
    this.feed.finishRead(request, read);
    // A read that ended at its limit is carried on by the next one.
    if (!this.feed.wantsRead) this.#resolveWaiters(readNumber);
    this.pump();
  }

  #readFailed(error: unknown): void {
    if (this.#closed) return;
    if (!(error instanceof BrokerError)) throw error;
    this.feed.failRead();
    this.#rejectWaiters(error);
    const delayMs = Math.min(retryMaxMs, retryFirstMs * 2 ** this.#failureCount);
    this.#failureCount = Math.min(this.#failureCount + 1, 10);
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = null;
      this.pump();
    }, delayMs);
  }

  #resolveWaiters(readNumber: number): void {
    const waiters = this.#waiters;
    this.#waiters = waiters.filter((waiter) => waiter.readNumber > readNumber);
    for (const waiter of waiters) {
      if (waiter.readNumber <= readNumber) waiter.resolve();
    }
  }

  #rejectWaiters(error: BrokerError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}
