/**
 * One connection on `/raw/<topic>`: the frames are the publications' `data` and nothing else, the current value first
 * if there is one. Since nobody can be told of a loss, a loss on an `every` topic closes with 4003.
 */
import type { Identity } from "../auth/identity.ts";
import { RequestError } from "../base/errors.ts";
import type { OpenRequest } from "../hub/open-topics.ts";
import { rateClassOf } from "../hub/rate-class.ts";
import type { Reader } from "../hub/reader.ts";
import type { TopicLog } from "../hub/topic-log.ts";
import { closeCodes, standardCloseCodes } from "../protocol/close-codes.ts";
import { ReplyWriter } from "../protocol/reply-writer.ts";
import { addReader } from "./reader-sink.ts";
import type { SessionConnection, SessionServices } from "./session-services.ts";
import { hasRoom } from "./topic-room.ts";
import { TokenExpiry } from "./token-expiry.ts";
import type { RuledTopic } from "./topic-access.ts";

export interface RawSessionOptions {
  readonly topic: RuledTopic;
  readonly token: string | null;
  readonly intervalMs: number | null;
}

export class RawSession {
  readonly #connection: SessionConnection;
  readonly #services: SessionServices;
  readonly #options: RawSessionOptions;
  readonly #reader: Reader;
  #expiry: TokenExpiry | null = null;
  #opening: OpenRequest | null = null;
  #log: TopicLog | null = null;
  /** Counted as a connection of this user. */
  #sub: string | null = null;
  #isClosed = false;

  constructor(connection: SessionConnection, services: SessionServices, options: RawSessionOptions) {
    this.#connection = connection;
    this.#services = services;
    this.#options = options;
    this.#reader = addReader(services.hub, connection, "raw");
  }

  start(): void {
    const { token } = this.#options;
    if (token === null) {
      this.#subscribe(this.#services.auth.anonymous);
      return;
    }
    this.#services.auth
      .verify(token, this.#connection.remoteAddress)
      .then(
        (identity) => this.#subscribe(identity),
        (error: unknown) => {
          if (error instanceof RequestError && !error.temporary) {
            this.#connection.close(closeCodes.unauthorized, "unauthorized");
            return;
          }
          if (!(error instanceof RequestError)) this.#services.onUnexpected(error);
          this.#connection.close(closeCodes.overloaded, "overloaded");
        },
      )
      .catch(this.#services.onUnexpected);
  }

  /** A message of the client: there is nothing that it could ask for here. */
  receive(): void {
    this.#connection.close(standardCloseCodes.policyViolation, "raw_takes_no_messages");
  }

  drained(): void {
    this.#services.hub.drained(this.#reader, this.#services.clock.nowMs());
  }

  closed(): void {
    this.#isClosed = true;
    this.#opening?.cancel();
    this.#expiry?.clear();
    this.#services.users.leave(this.#sub);
    this.#services.hub.remove(this.#reader, this.#services.clock.nowMs());
  }

  #subscribe(identity: Identity | null): void {
    if (this.#isClosed) return;
    const { topic } = this.#options;
    if (identity === null) {
      this.#connection.close(closeCodes.unauthorized, "unauthorized");
      return;
    }
    if (!this.#services.topics.maySubscribe(identity, topic.name)) {
      if (identity.hasToken) this.#connection.close(closeCodes.forbidden, "forbidden");
      else this.#connection.close(closeCodes.unauthorized, "unauthorized");
      return;
    }
    const { hub, clock, users } = this.#services;
    if (!users.enter(identity.sub)) {
      this.#connection.close(closeCodes.connectionLimit, "connection_limit");
      return;
    }
    this.#sub = identity.sub;
    if (!hasRoom(this.#services, topic.name)) {
      this.#connection.close(closeCodes.overloaded, "overloaded");
      return;
    }
    if (identity.expiresWallMs !== null) {
      const { wheel, clock } = this.#services;
      this.#expiry = new TokenExpiry(wheel, clock, () =>
        this.#connection.close(closeCodes.tokenExpired, "token_expired"),
      );
      this.#expiry.set(identity.expiresWallMs);
    }
    this.#opening = hub.open([topic], clock.nowMs(), ([log]) => this.#opened(log ?? null));
  }

  #opened(log: TopicLog | null): void {
    if (log === null) {
      // IANA registry of close codes: 1013 Try Again Later.
      this.#connection.close(standardCloseCodes.tryAgainLater, "unavailable");
      return;
    }
    this.#log = log;
    const { hub, clock } = this.#services;
    const value = log.value(clock.nowMs());
    if (value !== null) this.#connection.send(true, new ReplyWriter().data(value.data).bytes());
    const classMs = this.#log.topic.delivery === "latest" ? rateClassOf(this.#options.intervalMs ?? 0) : 0;
    hub.change(this.#reader, [{ log, classMs }], [], clock.nowMs());
  }
}
