/**
 * The state machine of one connection on `/ws` (docs/PROTOCOL.md): commands in, replies and publications out.
 * Commands begin in the order in which they came; one that must wait (topics that are being opened, a token that is
 * being verified, a history that is being read: a connection holds one at a time) holds those behind it back. `publish`
 * is answered when the broker has answered. What each command does is in its own file, `*-command.ts`.
 */
import type { Identity } from "../auth/identity.ts";
import { BrokerError, invariant, RequestError } from "../base/errors.ts";
import { limitCounters } from "../base/limit-counters.ts";
import type { TokenBucket } from "../base/token-bucket.ts";
import type { PlainVariant } from "../hub/entry.ts";
import type { Reader } from "../hub/reader.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import { closeCodes } from "../protocol/close-codes.ts";
import { parseCommand } from "../protocol/parse-command.ts";
import type { Command } from "../protocol/parse-command.ts";
import { errorReply, ReplyWriter } from "../protocol/reply-writer.ts";
import { CommandQueue } from "./command-queue.ts";
import { runHistory } from "./history-command.ts";
import { runPublish } from "./publish-command.ts";
import { addReader } from "./reader-sink.ts";
import type { SessionConnection, SessionServices } from "./session-services.ts";
import { runSubscribe, subscribeByAddress } from "./subscribe-command.ts";
import type { SubscriptionRequest } from "./subscription-request.ts";
import { authenticate, expectToken, runToken } from "./token-command.ts";
import type { TokenExpiry } from "./token-expiry.ts";
import { runUnsubscribe } from "./unsubscribe-command.ts";

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

/** One per connection on `/ws`. What is public beside its methods is for the commands. */
export class NativeSession {
  readonly connection: SessionConnection;
  readonly services: SessionServices;
  /** Default of `intervalMs`. */
  readonly intervalMs: number | null;
  readonly reader: Reader;
  /** What the address asked for; null once it was started, or it would be kept as long as the connection. */
  #wanted: Pick<NativeSessionOptions, "token" | "topics"> | null;
  // The next three are made when there is something for them: most connections only read.
  publishBudget: TokenBucket | null = null;
  expiry: TokenExpiry | null = null;
  #waiting: CommandQueue | null = null;
  /** null: not authenticated. */
  identity: Identity | null;
  /** Of a subscribe that is under way. */
  request: SubscriptionRequest | null = null;
  /** Waits for a socket that is full. */
  drainAction: (() => void) | null = null;
  #isBusy = false;
  #isClosed = false;
  #unreadable = 0;

  constructor(connection: SessionConnection, services: SessionServices, options: NativeSessionOptions) {
    this.connection = connection;
    this.services = services;
    this.intervalMs = options.intervalMs;
    this.#wanted = options;
    const variant: PlainVariant = options.batch ? "batch" : "native";
    this.reader = addReader(services.hub, connection, variant);
    this.identity = services.auth.anonymous;
  }

  /** Welcomes the client and does what its address asked for. */
  start(): void {
    const { id } = this.connection;
    // An id is base64url: as JSON it is itself.
    this.sendText(`{"event":"welcome","connection":"${id}","heartbeatMs":${this.services.heartbeatMs}}`);
    const { token = null, topics = [] } = this.#wanted ?? {};
    this.#wanted = null;
    this.#isBusy = true;
    if (token === null) {
      if (this.identity === null) expectToken(this);
      subscribeByAddress(this, topics);
      return;
    }
    void authenticate(this, token).then((error) => {
      if (this.#isClosed) return;
      if (error === null) subscribeByAddress(this, topics);
      else if (error.temporary) this.connection.close(closeCodes.overloaded, "overloaded");
      else this.connection.close(closeCodes.unauthorized, "unauthorized");
    }, this.services.onUnexpected);
  }

  /** A text message. Borrowed until return. */
  receive(message: Uint8Array): void {
    if (this.#isClosed) return;
    const { commandsByMethod } = this.services.counters;
    const parsed = parseCommand(message);
    if (parsed.error !== null) {
      commandsByMethod.unreadable += 1;
      this.refuse(parsed.idJson, parsed.error);
      this.#unreadable = parsed.idJson === "null" ? this.#unreadable + 1 : 0;
      if (this.#unreadable >= unreadableMax) {
        this.connection.close(closeCodes.tooManyErrors, "too_many_errors");
      }
      return;
    }
    this.#unreadable = 0;
    const { idJson, command } = parsed;
    commandsByMethod[command.method] += 1;
    if (!this.services.commandBudget.take(1, this.services.clock.nowMs())) {
      limitCounters.hit("commandsPerWorkerPerSecMax");
      this.refuse(idJson, new RequestError("rate_limited", "the server has too many commands to answer now"));
      return;
    }
    if (!this.#isBusy) {
      this.#run(idJson, command);
      return;
    }
    this.#waiting ??= new CommandQueue(this.services.limits.waitingCommandBytesMax, this.services.waiting);
    const refusal = this.#waiting.push(message);
    if (refusal !== null) this.refuse(idJson, new RequestError("rate_limited", refusal));
  }

  /** The socket has room again. */
  drained(): void {
    this.services.hub.drained(this.reader, this.services.clock.nowMs());
    this.request?.drained();
    const action = this.drainAction;
    this.drainAction = null;
    action?.();
  }

  /** The server is about to close the connection, as on a restart. */
  announceClosing(reason: string, reconnectAfterMs: number): void {
    this.sendText(JSON.stringify({ event: "closing", reason, reconnectAfterMs }));
  }

  /** The connection is gone. Frees everything. */
  closed(): void {
    this.#isClosed = true;
    this.request?.cancel();
    this.drainAction = null;
    this.#waiting?.clear();
    this.expiry?.clear();
    this.services.users.leave(this.identity?.sub ?? null);
    this.services.hub.remove(this.reader, this.services.clock.nowMs());
  }

  /** The connection is gone: nobody is there to be answered. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  // ---- one command after the other ----

  /** The command that is running goes on later: no other begins before `next`. */
  hold(): void {
    this.#isBusy = true;
  }

  /** The command that held the others back is finished. */
  next(): void {
    this.#isBusy = false;
    while (!this.#isBusy && !this.#isClosed) {
      const message = this.#waiting?.shift();
      if (message === undefined) return;
      const { idJson, command } = parseCommand(message);
      // It could be read when it came.
      invariant(command !== null, "a command that waits can be read");
      this.#run(idJson, command);
    }
  }

  #run(idJson: string, command: Command): void {
    try {
      this.#dispatch(idJson, command);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      this.refuse(idJson, error);
    }
  }

  #dispatch(idJson: string, command: Command): void {
    switch (command.method) {
      case "ping":
        this.sendText(`{"id":${idJson},"result":{}}`);
        return;
      case "subscribe":
        runSubscribe(this, idJson, command);
        return;
      case "unsubscribe":
        runUnsubscribe(this, idJson, command.topics);
        return;
      case "publish":
        runPublish(this, idJson, command);
        return;
      case "history":
        runHistory(this, idJson, command);
        return;
      case "token":
        runToken(this, idJson, command.token);
    }
  }

  /** The log of a topic that the connection has; null when it has not. */
  subscribedLog(name: string): TopicLog | null {
    const log = this.services.hub.find(name);
    return log !== null && this.reader.membershipFor(log) !== null ? log : null;
  }

  // ---- out ----

  /** Replies with what a promise of the broker gives, as the member `result`. @param done afterwards, unless closed. */
  answer<Result>(
    idJson: string,
    promise: Promise<Result>,
    encode: (result: Result, reply: ReplyWriter) => void,
    done: () => void = () => undefined,
  ): void {
    const fail = (error: unknown): void => {
      if (this.#isClosed) return;
      this.refuse(idJson, this.requestError(error));
      done();
    };
    promise.then((result) => {
      this.connection.inTurn(() => {
        if (this.#isClosed) return;
        const reply = new ReplyWriter().text(`{"id":${idJson},"result":`);
        try {
          encode(result, reply);
        } catch (error) {
          fail(error);
          return;
        }
        this.connection.send(true, reply.text("}").bytes());
        done();
      });
    }, fail);
  }

  /** The one place that turns what failed into what the client is told. */
  requestError(error: unknown): RequestError {
    if (error instanceof RequestError) return error;
    if (error instanceof BrokerError) return new RequestError("unavailable", "the broker cannot be reached");
    this.services.onUnexpected(error);
    return new RequestError("internal", "this failed for a reason of ours");
  }

  refuse(idJson: string, error: RequestError): void {
    this.services.counters.errorsByCode[error.code] += 1;
    this.sendText(errorReply(idJson, error));
  }

  sendText(text: string): void {
    if (!this.#isClosed) this.connection.sendText(text);
  }
}
