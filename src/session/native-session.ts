/**
 * The state machine of one connection on `/ws` (docs/PROTOCOL.md): commands in, replies and publications out.
 * Commands begin in the order in which they came; one that must wait (topics that are being opened, a token that is
 * being verified, a history that is being read: a connection holds one at a time) holds those behind it back. `publish`
 * is answered when the broker has answered.
 */
import type { Identity } from "../auth/identity.ts";
import { BrokerError, RequestError } from "../base/errors.ts";
import { limitCounters } from "../base/limit-counters.ts";
import { TokenBucket } from "../base/token-bucket.ts";
import type { PlainVariant } from "../hub/entry.ts";
import type { Reader } from "../hub/reader.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import { closeCodes } from "../protocol/close-codes.ts";
import { parseCommand } from "../protocol/parse-command.ts";
import type { Command, SincePosition } from "../protocol/parse-command.ts";
import { errorReply, ReplyWriter } from "../protocol/reply-writer.ts";
import type { HistoryPage } from "../broker/broker.ts";
import { CommandQueue } from "./command-queue.ts";
import { inSlices } from "./in-slices.ts";
import { requireRoom } from "./topic-room.ts";
import { addReader } from "./reader-sink.ts";
import type { SessionConnection, SessionServices } from "./session-services.ts";
import { SubscriptionRequest } from "./subscription-request.ts";
import { TokenExpiry } from "./token-expiry.ts";
import type { RuledTopic } from "./topic-access.ts";

/** What the address of `/ws` asked for. */
export interface NativeSessionOptions {
  /** From `?topics=`; empty when absent. */
  readonly topics: readonly string[];
  /** From `Authorization: Bearer` or `?token=`; null when absent. */
  readonly token: string | null;
  /** From `?interval=`: default of `intervalMs`; null when absent. */
  readonly intervalMs: number | null;
  /** From `?batch=1`. */
  readonly batch: boolean;
}

/** Unreadable messages in a row that end a connection (4503). */
const unreadableMax = 3;
/** How long a connection that needs a token may stay without one. */
const authenticateTimeoutMs = 10_000;

/** Topics that are looked at between two looks at the clock: about 50 µs. */
const topicsPerStep = 32;
/** To read a page of history costs us and the broker, or the primary process, about 3 ms a megabyte. */
const chargeMsPerByte = 3e-6;

/** What became of a request's topics so far. */
class Admission {
  readonly topics: RuledTopic[] = [];
  readonly errors = new Map<string, RequestError>();
  /** Topics that the connection will have, and those among them that nobody has open. */
  count: number;
  opening = 0;

  constructor(count: number) {
    this.count = count;
  }
}

const noPositions: ReadonlyMap<string, SincePosition> = new Map();

export class NativeSession {
  readonly #connection: SessionConnection;
  readonly #services: SessionServices;
  readonly #intervalMs: number | null;
  readonly #reader: Reader;
  /** What the address asked for; null once it was started, or it would be kept as long as the connection. */
  #wanted: Pick<NativeSessionOptions, "token" | "topics"> | null;
  // The next three are made when there is something for them: most connections only read.
  #publishBudget: TokenBucket | null = null;
  #expiry: TokenExpiry | null = null;
  #waiting: CommandQueue | null = null;
  /** null: not authenticated. */
  #identity: Identity | null;
  #request: SubscriptionRequest | null = null;
  /** Unsubscribing waits for a socket that is full. */
  #drainAction: (() => void) | null = null;
  #isBusy = false;
  #isClosed = false;
  #unreadable = 0;

  constructor(connection: SessionConnection, services: SessionServices, options: NativeSessionOptions) {
    this.#connection = connection;
    this.#services = services;
    this.#intervalMs = options.intervalMs;
    this.#wanted = options;
    const variant: PlainVariant = options.batch ? "batch" : "native";
    this.#reader = addReader(services.hub, connection, variant);
    this.#identity = services.auth.anonymous;
  }

  /** Welcomes the client and does what its address asked for. */
  start(): void {
    const { id } = this.#connection;
    // An id is base64url: as JSON it is itself.
    this.#sendText(`{"event":"welcome","connection":"${id}","heartbeatMs":${this.#services.heartbeatMs}}`);
    const { token = null, topics = [] } = this.#wanted ?? {};
    this.#wanted = null;
    const subscribe = (): void => {
      if (topics.length === 0) this.#next();
      else this.#subscribe(topics, null, noPositions, '{"event":"subscribed",', "}");
    };
    this.#isBusy = true;
    if (token === null) {
      if (this.#identity === null) this.#expiryNow().setAfter(authenticateTimeoutMs);
      subscribe();
      return;
    }
    void this.#authenticate(token).then((error) => {
      if (this.#isClosed) return;
      if (error === null) subscribe();
      else if (error.temporary) this.#connection.close(closeCodes.overloaded, "overloaded");
      else this.#connection.close(closeCodes.unauthorized, "unauthorized");
    }, this.#services.onUnexpected);
  }

  /** A text message. Borrowed until return. */
  receive(message: Uint8Array): void {
    if (this.#isClosed) return;
    const { commandsByMethod } = this.#services.counters;
    const parsed = parseCommand(message);
    if (parsed.error !== null) {
      commandsByMethod.unreadable += 1;
      this.#refuse(parsed.idJson, parsed.error);
      this.#unreadable = parsed.idJson === "null" ? this.#unreadable + 1 : 0;
      if (this.#unreadable >= unreadableMax) {
        this.#connection.close(closeCodes.tooManyErrors, "too_many_errors");
      }
      return;
    }
    this.#unreadable = 0;
    const { idJson, command } = parsed;
    commandsByMethod[command.method] += 1;
    if (!this.#services.commandBudget.take(1, this.#services.clock.nowMs())) {
      limitCounters.hit("commandsPerWorkerPerSecMax");
      this.#refuse(
        idJson,
        new RequestError("rate_limited", "the server has too many commands to answer now"),
      );
      return;
    }
    if (!this.#isBusy) {
      this.#run(idJson, command);
      return;
    }
    // What outlives this call is copied: the message lies in the socket's read buffer.
    this.#waiting ??= new CommandQueue(this.#services.limits.waitingCommandBytesMax, this.#services.waiting);
    const refusal = this.#waiting.push({
      idJson,
      command: command.method === "publish" ? { ...command, data: Buffer.from(command.data) } : command,
      bytes: message.length,
    });
    if (refusal !== null) this.#refuse(idJson, new RequestError("rate_limited", refusal));
  }

  /** The socket has room again. */
  drained(): void {
    this.#services.hub.drained(this.#reader, this.#services.clock.nowMs());
    this.#request?.drained();
    const action = this.#drainAction;
    this.#drainAction = null;
    action?.();
  }

  /** The server is about to close the connection, as on a restart. */
  announceClosing(reason: string, reconnectAfterMs: number): void {
    this.#sendText(JSON.stringify({ event: "closing", reason, reconnectAfterMs }));
  }

  /** The connection is gone. Frees everything. */
  closed(): void {
    this.#isClosed = true;
    this.#request?.cancel();
    this.#drainAction = null;
    this.#waiting?.clear();
    this.#expiry?.clear();
    this.#services.users.leave(this.#identity?.sub ?? null);
    this.#services.hub.remove(this.#reader, this.#services.clock.nowMs());
  }

  /** A command is finished: on with the next. */
  #next(): void {
    this.#isBusy = false;
    while (!this.#isBusy && !this.#isClosed) {
      const waiting = this.#waiting?.shift();
      if (waiting === undefined) return;
      this.#run(waiting.idJson, waiting.command);
    }
  }

  #run(idJson: string, command: Command): void {
    try {
      this.#dispatch(idJson, command);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.#refuse(idJson, error);
    }
  }

  #dispatch(idJson: string, command: Command): void {
    switch (command.method) {
      case "ping":
        this.#sendText(`{"id":${idJson},"result":{}}`);
        return;
      case "subscribe":
        this.#isBusy = true;
        this.#subscribe(
          command.topics,
          command.intervalMs,
          command.since,
          `{"id":${idJson},"result":{`,
          "}}",
        );
        return;
      case "unsubscribe":
        this.#unsubscribe(idJson, command.topics);
        return;
      case "publish":
        this.#publish(idJson, command.topic, command.data);
        return;
      case "history":
        this.#history(idJson, command);
        return;
      case "token":
        this.#token(idJson, command.token);
    }
  }

  // ---- subscribe, unsubscribe ----

  #subscribe(
    names: readonly string[],
    intervalMs: number | null,
    since: ReadonlyMap<string, SincePosition>,
    before: string,
    after: string,
  ): void {
    const admission = new Admission(this.#reader.topicCount);
    inSlices(
      this.#connection,
      names,
      topicsPerStep,
      (group) => this.#admit(group, admission),
      () => {
        const { topics, errors } = admission;
        const wish = { topics, errors, intervalMs: intervalMs ?? this.#intervalMs, since };
        this.#request = new SubscriptionRequest(
          this.#services,
          this.#connection,
          this.#reader,
          wish,
          (members) => {
            this.#request = null;
            this.#connection.send(true, members.text(after).bytes());
            // The subscription itself is made right after this callback; what waits runs after it.
            queueMicrotask(() => this.#next());
          },
          before,
        );
        this.#request.start();
      },
    );
  }

  /** Sorts names of a request into topics and refusals. */
  #admit(names: readonly string[], admission: Admission): void {
    const { topics, errors } = admission;
    const max = this.#services.limits.topicsPerConnectionMax ?? Number.POSITIVE_INFINITY;
    for (const name of names) {
      try {
        const topic = this.#services.topics.topic(name);
        this.#services.topics.requireSubscribe(this.#identity, name);
        if (this.#subscribedLog(name) === null) admission.count += 1;
        if (admission.count > max) {
          limitCounters.hit("topicsPerConnectionMax");
          throw new RequestError("limit", `a connection has at most ${max} topics`);
        }
        requireRoom(this.#services, name, admission.opening);
        if (this.#services.hub.find(name) === null) admission.opening += 1;
        topics.push(topic);
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        if (error.code === "limit") admission.count -= 1;
        errors.set(name, error);
      }
    }
  }

  #unsubscribe(idJson: string, names: readonly string[]): void {
    this.#isBusy = true;
    let isNow = true;
    inSlices(
      this.#connection,
      names,
      topicsPerStep,
      (group) => this.#leave(group),
      () =>
        this.#endUnsubscribe(idJson, names, () => {
          this.#isBusy = false;
          // Whoever called this goes on by itself.
          if (!isNow) this.#next();
        }),
    );
    isNow = false;
  }

  /** What is published meanwhile may still come, until the reply. */
  #leave(names: readonly string[]): void {
    const { hub, clock } = this.#services;
    const nowMs = clock.nowMs();
    // A socket that is full: all of them in the last step.
    if (!hub.settle(this.#reader, nowMs)) return;
    const logs = names.map((name) => this.#subscribedLog(name)).filter((log) => log !== null);
    if (logs.length > 0) hub.change(this.#reader, [], logs, nowMs);
  }

  #endUnsubscribe(idJson: string, names: readonly string[], done: () => void): void {
    if (!this.#services.hub.settle(this.#reader, this.#services.clock.nowMs())) {
      this.#drainAction = () => this.#endUnsubscribe(idJson, names, done);
      return;
    }
    this.#leave(names);
    this.#sendText(`{"id":${idJson},"result":{"topics":${JSON.stringify(names)}}}`);
    done();
  }

  #subscribedLog(name: string): TopicLog | null {
    const log = this.#services.hub.find(name);
    return log !== null && this.#reader.membershipFor(log) !== null ? log : null;
  }

  // ---- publish, history, token ----

  /** @param data borrowed until return. */
  #publish(idJson: string, name: unknown, data: Uint8Array): void {
    const topic = this.#services.topics.topic(name);
    this.#services.topics.requirePublish(this.#identity, topic.name);
    const { messageBytesMax, clientPublishesPerSecMax, clientPublishesPerUserPerSecMax } =
      this.#services.limits;
    const nowMs = this.#services.clock.nowMs();
    if (data.length > messageBytesMax) {
      limitCounters.hit("messageBytesMax");
      throw new RequestError("too_large", `a message has at most ${messageBytesMax} bytes`);
    }
    this.#publishBudget ??= new TokenBucket(clientPublishesPerSecMax, nowMs);
    if (!this.#publishBudget.take(1, nowMs)) {
      limitCounters.hit("clientPublishesPerSecMax");
      throw new RequestError("rate_limited", `at most ${clientPublishesPerSecMax} messages a second`);
    }
    if (!this.#services.users.takePublish(this.#identity?.sub ?? null, nowMs)) {
      throw new RequestError(
        "rate_limited",
        `at most ${clientPublishesPerUserPerSecMax} messages a second over all connections of a user`,
      );
    }
    const options = { origin: this.#connection.id };
    this.#answer(
      idJson,
      this.#services.broker.publish(topic, Buffer.from(data), options),
      (position, reply) => {
        const place = position === null ? {} : { epoch: position.epoch, seq: position.seq };
        reply.text(JSON.stringify({ topic: topic.name, ...place }));
      },
    );
  }

  #history(idJson: string, command: Extract<Command, { method: "history" }>): void {
    const topic = this.#services.topics.topic(command.topic);
    this.#services.topics.requireSubscribe(this.#identity, topic.name);
    if (topic.history === null) throw new RequestError("bad_request", "this topic keeps no history");
    const { since, limit } = command;
    this.#isBusy = true;
    const encode = (page: HistoryPage, reply: ReplyWriter): void => {
      const { epoch, seq } = page.position;
      reply.text(`{"topic":${JSON.stringify(topic.name)},"epoch":${JSON.stringify(epoch)},"seq":${seq},`);
      if (since !== null) reply.text(`"recovered":${page.complete},`);
      let dataBytes = 0;
      for (const { data } of page.entries) dataBytes += data.length;
      // It was read for this connection, by us and by those whom we asked.
      this.#connection.charge(dataBytes * chargeMsPerByte);
      if (dataBytes <= this.#services.limits.pendingBytesMax) reply.messages(page.entries).text("}");
      if (Math.max(dataBytes, reply.byteLength) > this.#services.limits.pendingBytesMax) {
        throw new RequestError("too_large", "the reply would be too large: ask for fewer with params.limit");
      }
    };
    this.#answer(idJson, this.#services.broker.history(topic, since, limit), encode, () => this.#next());
  }

  #token(idJson: string, token: string): void {
    this.#isBusy = true;
    void this.#authenticate(token).then((error) => {
      if (this.#isClosed) return;
      if (error === null) {
        this.#sendText(`{"id":${idJson},"result":{}}`);
        this.#dropForbidden();
      } else this.#refuse(idJson, error);
      this.#next();
    }, this.#services.onUnexpected);
  }

  /** Resolves to what is wrong with the token, or null when it is now this connection's. */
  async #authenticate(token: string): Promise<RequestError | null> {
    try {
      const identity = await this.#services.auth.verify(token, this.#connection.remoteAddress);
      const before = this.#identity;
      if (before !== null && before.sub !== null && before.sub !== identity.sub) {
        return new RequestError("forbidden", "the new token is not for the same subject");
      }
      if (this.#isClosed) return null;
      if (before?.sub !== identity.sub && !this.#services.users.enter(identity.sub)) {
        this.#connection.close(closeCodes.connectionLimit, "connection_limit");
        return new RequestError("limit", "this user has as many connections as they may have");
      }
      this.#identity = identity;
      if (this.#expiry !== null || identity.expiresWallMs !== null) {
        this.#expiryNow().set(identity.expiresWallMs);
      }
      return null;
    } catch (error) {
      return this.#requestError(error);
    }
  }

  #expiryNow(): TokenExpiry {
    const { wheel, clock } = this.#services;
    this.#expiry ??= new TokenExpiry(wheel, clock, () => {
      const isMissing = this.#identity === null;
      if (isMissing) this.#connection.close(closeCodes.unauthorized, "unauthorized");
      else this.#connection.close(closeCodes.tokenExpired, "token_expired");
    });
    return this.#expiry;
  }

  /**
   * Ends the subscriptions that the present rights do not cover, and says which. A reader whose socket is full would be
   * given more of them when it drains: it is closed instead, and comes back with its new rights.
   */
  #dropForbidden(): void {
    const { hub, clock, topics } = this.#services;
    const forbidden: TopicLog[] = [];
    for (const { audience } of this.#reader.memberships) {
      for (const log of audience.topics.keys()) {
        if (!topics.maySubscribe(this.#identity, log.topic.name)) forbidden.push(log);
      }
    }
    if (forbidden.length === 0) return;
    if (!hub.settle(this.#reader, clock.nowMs())) {
      this.#connection.close(closeCodes.forbidden, "forbidden");
      return;
    }
    hub.change(this.#reader, [], forbidden, clock.nowMs());
    const names = forbidden.map(({ topic }) => topic.name);
    this.#sendText(JSON.stringify({ event: "unsubscribed", topics: names, reason: "forbidden" }));
  }

  // ---- out ----

  /** Replies with what a promise of the broker gives, as the member `result`. @param done afterwards, unless closed. */
  #answer<Result>(
    idJson: string,
    promise: Promise<Result>,
    encode: (result: Result, reply: ReplyWriter) => void,
    done: () => void = () => undefined,
  ): void {
    const fail = (error: unknown): void => {
      if (this.#isClosed) return;
      this.#refuse(idJson, this.#requestError(error));
      done();
    };
    promise.then((result) => {
      this.#connection.inTurn(() => {
        if (this.#isClosed) return;
        const reply = new ReplyWriter().text(`{"id":${idJson},"result":`);
        try {
          encode(result, reply);
        } catch (error) {
          fail(error);
          return;
        }
        this.#connection.send(true, reply.text("}").bytes());
        done();
      });
    }, fail);
  }

  /** The one place that turns what failed into what the client is told. */
  #requestError(error: unknown): RequestError {
    if (error instanceof RequestError) return error;
    if (error instanceof BrokerError) return new RequestError("unavailable", "the broker cannot be reached");
    this.#services.onUnexpected(error);
    return new RequestError("internal", "this failed for a reason of ours");
  }

  #refuse(idJson: string, error: RequestError): void {
    this.#services.counters.errorsByCode[error.code] += 1;
    this.#sendText(errorReply(idJson, error));
  }

  #sendText(text: string): void {
    if (!this.#isClosed) this.#connection.sendText(text);
  }
}
