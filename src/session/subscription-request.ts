/**
 * One subscribe command on its way: opens its topics, reads what must be recovered, and then in one synchronous step
 * takes the snapshot, writes the reply and joins. Until that step nothing of it can be seen from outside.
 */
import { RequestError } from "../base/errors.ts";
import type { OpenRequest } from "../hub/open-topics.ts";
import type { Wish } from "../hub/memberships.ts";
import { rateClassOf } from "../hub/rate-class.ts";
import type { Reader } from "../hub/reader.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import type { SincePosition } from "../protocol/parse-command.ts";
import { errorJson, ReplyWriter } from "../protocol/reply-writer.ts";
import { isAhead, recoveryStep } from "./recovery.ts";
import type { RecoveryState } from "./recovery.ts";
import { inSlices } from "./in-slices.ts";
import type { SessionConnection, SessionServices } from "./session-services.ts";
import type { RuledTopic } from "./topic-access.ts";

/** What a client asked for, after its topics were checked. */
export interface SubscriptionWish {
  readonly topics: readonly RuledTopic[];
  /** Topics that were refused, by the name the client used. */
  readonly errors: Map<string, RequestError>;
  /** Milliseconds as the client asked; null: it did not. */
  readonly intervalMs: number | null;
  readonly since: ReadonlyMap<string, SincePosition>;
}

/** A history page for recovery is at most this long; a longer absence is answered with `recovered: false`. */
const recoveryEntriesMax = 10_000;
/** What a reply has besides its topics: the id, at most 128 bytes, and braces. */
const envelopeBytes = 256;
/** What a topic has besides its name and data: `"epoch":"…","seq":…,"recovered":false,"intervalMs":5000,"data":`. */
const topicBytes = 128;
/** What a recovered message has besides its data: `{"seq":…,"data":},`. */
const entryBytes = 34;

/** Topics that are opened between two looks at the clock. */
const topicsPerStep = 16;
/** What it costs us and those behind us to open a topic that nobody had open. */
const openingMs = 0.01;

export class SubscriptionRequest {
  readonly #services: SessionServices;
  readonly #connection: SessionConnection;
  readonly #reader: Reader;
  readonly #wish: SubscriptionWish;
  /** Sends the reply: what was given as `before`, the members `"topics":{…}` and perhaps `"errors":{…}`. Called at most once. */
  readonly #reply: (members: ReplyWriter) => void;
  readonly #before: string;
  readonly #recoveries = new Map<string, RecoveryState>();
  #opening: OpenRequest | null = null;
  #isOver = false;
  #isWaitingForDrain = false;

  constructor(
    services: SessionServices,
    connection: SessionConnection,
    reader: Reader,
    wish: SubscriptionWish,
    reply: (members: ReplyWriter) => void,
    before: string,
  ) {
    this.#services = services;
    this.#connection = connection;
    this.#before = before;
    this.#reader = reader;
    this.#wish = wish;
    this.#reply = reply;
    for (const { name, history } of wish.topics) {
      const since = wish.since.get(name);
      if (since === undefined || history === null) continue;
      this.#recoveries.set(name, { since, isRefreshed: false, isUnknown: false, page: null, pageReads: 0 });
    }
  }

  /** Goes as far as it can now. */
  start(): void {
    const { hub, clock } = this.#services;
    const closed = this.#wish.topics.filter(({ name }) => hub.find(name) === null);
    if (closed.length > 0) this.#connection.charge(closed.length * openingMs);
    inSlices(
      this.#connection,
      closed.length > topicsPerStep ? closed : [],
      topicsPerStep,
      // Once asked for it stays open for a while: the attempt finds it on its way, or open.
      (group) => {
        hub.open(group, clock.nowMs(), () => undefined);
      },
      () => this.#attempt(),
    );
  }

  /** The connection has room again. */
  drained(): void {
    if (!this.#isWaitingForDrain) return;
    this.#isWaitingForDrain = false;
    this.#attempt();
  }

  /** The connection is gone. */
  cancel(): void {
    this.#isOver = true;
    this.#opening?.cancel();
  }

  #attempt(): void {
    if (this.#isOver) return;
    const { hub, clock } = this.#services;
    let isNow = true;
    this.#opening = hub.open(this.#wish.topics, clock.nowMs(), (logs) => {
      // When they open later it may be somebody else's turn. Once open, they stay so for a while.
      if (isNow || logs.includes(null)) this.#opened(logs);
      else this.#connection.inTurn(() => this.#attempt());
    });
    isNow = false;
  }

  #opened(logs: readonly (TopicLog | null)[]): void {
    if (this.#isOver) return;
    const reads: Promise<void>[] = [];
    for (const log of logs) {
      const state = log === null ? undefined : this.#recoveries.get(log.topic.name);
      if (log === null || state === undefined) continue;
      const { kind } = recoveryStep(log, state);
      if (kind === "refresh") reads.push(this.#refresh(log, state));
      else if (kind === "read") reads.push(this.#read(log, state));
    }
    if (reads.length > 0) {
      void Promise.all(reads).then(() => this.#attempt(), this.#services.onUnexpected);
      return;
    }
    const { hub, clock } = this.#services;
    if (!hub.settle(this.#reader, clock.nowMs())) {
      this.#isWaitingForDrain = true;
      return;
    }
    this.#finish(logs);
  }

  async #refresh(log: TopicLog, state: RecoveryState): Promise<void> {
    state.isRefreshed = true;
    try {
      await this.#services.broker.refresh(log.topic.name);
    } catch (error) {
      state.isUnknown = true;
      this.#noteBrokerFailure(error);
    }
  }

  async #read(log: TopicLog, state: RecoveryState): Promise<void> {
    state.pageReads += 1;
    const { history } = log.topic;
    const limit = Math.min(recoveryEntriesMax, 2 * (history?.size ?? 0) + 100);
    try {
      state.page = await this.#services.broker.history(log.topic, state.since, limit);
    } catch (error) {
      this.#noteBrokerFailure(error);
      state.pageReads = Number.POSITIVE_INFINITY;
    }
  }

  /** A broker that cannot be read leaves the recovery undecided: `recovered: false`, or `isAhead`; its status tells more. */
  #noteBrokerFailure(error: unknown): void {
    if (!(error instanceof Error) || error.name !== "BrokerError") this.#services.onUnexpected(error);
  }

  /** The atomic step. */
  #finish(logs: readonly (TopicLog | null)[]): void {
    this.#isOver = true;
    const { hub, clock, limits } = this.#services;
    const nowMs = clock.nowMs();
    const { topics, errors } = this.#wish;
    const reply = new ReplyWriter().text(`${this.#before}"topics":{`);
    const wishes: Wish[] = [];
    let restBytes = limits.pendingBytesMax - envelopeBytes;
    for (const [index, log] of logs.entries()) {
      // `logs` has an element for each of `topics`.
      const { name } = topics[index] as RuledTopic;
      if (log === null) {
        errors.set(name, new RequestError("unavailable", "the topic could not be opened in time"));
        continue;
      }
      const recovery = this.#recoveries.get(name);
      if (recovery !== undefined && isAhead(log, recovery)) {
        const message = "the broker cannot be asked now for what is known of `since`: subscribe again";
        errors.set(name, new RequestError("unavailable", message));
        continue;
      }
      const nameJson = JSON.stringify(name);
      restBytes -= topicBytes + Buffer.byteLength(nameJson);
      const valueBytes = log.value(nowMs)?.data.length ?? 0;
      if (valueBytes > restBytes && wishes.length > 0) {
        errors.set(
          name,
          new RequestError("limit", "the reply would grow too large: subscribe to it by itself"),
        );
        continue;
      }
      reply.text(`${wishes.length === 0 ? "" : ","}${nameJson}:`);
      restBytes -= this.#describe(reply, log, nowMs, restBytes);
      wishes.push({ log, classMs: this.#classOf(log) });
    }
    reply.text("}");
    for (const { code } of errors.values()) this.#services.counters.errorsByCode[code] += 1;
    if (errors.size > 0) reply.text(`,"errors":${errorsJson(errors)}`);
    this.#reply(reply);
    hub.change(this.#reader, wishes, [], nowMs);
  }

  /** Appends what the client learns of a topic. Returns how many bytes its data and messages took. */
  #describe(reply: ReplyWriter, log: TopicLog, nowMs: number, bytesMax: number): number {
    const isSince = this.#wish.since.has(log.topic.name);
    reply.text("{");
    let bytes = 0;
    if (log.topic.history !== null) {
      reply.text(`"epoch":${JSON.stringify(log.epoch ?? "")},"seq":${log.seq}`);
      bytes = this.#describeContents(reply, log, nowMs, bytesMax);
    } else if (isSince) {
      // What a live-only topic missed is gone, and whoever asks is told so.
      reply.text('"recovered":false');
    }
    if (log.topic.delivery === "latest" && this.#wish.intervalMs !== null) {
      const isFirst = log.topic.history === null && !isSince;
      reply.text(`${isFirst ? "" : ","}"intervalMs":${this.#classOf(log)}`);
    }
    reply.text("}");
    return bytes;
  }

  #describeContents(reply: ReplyWriter, log: TopicLog, nowMs: number, bytesMax: number): number {
    const state = this.#recoveries.get(log.topic.name);
    const step = state === undefined ? null : recoveryStep(log, state);
    if (step?.kind === "recovered") {
      let bytes = 0;
      for (const { data } of step.entries) bytes += entryBytes + data.length;
      if (bytes <= bytesMax) {
        this.#services.counters.recovered += 1;
        reply.text(',"recovered":true,').messages(step.entries);
        return bytes;
      }
    }
    if (step !== null) {
      this.#services.counters.notRecovered += 1;
      reply.text(',"recovered":false');
    }
    const value = log.value(nowMs);
    if (value === null) return 0;
    reply.text(',"data":').data(value.data);
    return value.data.length;
  }

  /** Only `latest` topics have a rate. */
  #classOf(log: TopicLog): number {
    return log.topic.delivery === "latest" ? rateClassOf(this.#wish.intervalMs ?? 0) : 0;
  }
}

function errorsJson(errors: ReadonlyMap<string, RequestError>): string {
  const members = [...errors].map(([name, error]) => `${JSON.stringify(name)}:${errorJson(error)}`);
  return `{${members.join(",")}}`;
}
