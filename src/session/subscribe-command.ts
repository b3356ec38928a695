/**
 * `subscribe`, and the `?topics=` of an address: which of the topics the connection may have, and the reply to that.
 * Opening them and joining is the SubscriptionRequest's. Topics are looked at in slices (in-slices.ts).
 */
import { RequestError } from "../base/errors.ts";
import { limitCounters } from "../base/limit-counters.ts";
import type { Command, SincePosition } from "../protocol/parse-command.ts";
import { inSlices } from "./in-slices.ts";
import type { NativeSession } from "./native-session.ts";
import { SubscriptionRequest } from "./subscription-request.ts";
import type { RuledTopic } from "./topic-access.ts";
import { requireRoom } from "./topic-room.ts";

type Wish = Omit<Extract<Command, { method: "subscribe" }>, "method">;

/** Topics that are looked at between two looks at the clock: about 50 µs. */
const topicsPerStep = 32;
const noPositions: ReadonlyMap<string, SincePosition> = new Map();

/** Holds the session until the reply is written. @param idJson the command's `id` as JSON, for the reply. */
export function runSubscribe(session: NativeSession, idJson: string, wish: Wish): void {
  session.hold();
  subscribe(session, wish, `{"id":${idJson},"result":{`, "}}");
}

/** @param topics none: nothing to do. The session is held already. */
export function subscribeByAddress(session: NativeSession, topics: readonly string[]): void {
  if (topics.length === 0) session.next();
  else subscribe(session, { topics, intervalMs: null, since: noPositions }, '{"event":"subscribed",', "}");
}

/** @param before, after what stands around the members `topics` and `errors`. */
function subscribe(session: NativeSession, wish: Wish, before: string, after: string): void {
  const { connection, services, reader } = session;
  const admission = new Admission(session);
  const begin = (): void => {
    const { topics, errors } = admission;
    session.request = new SubscriptionRequest(
      services,
      connection,
      reader,
      { topics, errors, intervalMs: wish.intervalMs ?? session.intervalMs, since: wish.since },
      (members) => {
        session.request = null;
        connection.send(true, members.text(after).bytes());
        // The subscription itself is made right after this callback; what waits runs after it.
        queueMicrotask(() => session.next());
      },
      before,
    );
    session.request.start();
  };
  inSlices(connection, wish.topics, topicsPerStep, (group) => admission.admit(group), begin);
}

/** Sorts the names of one request into topics and refusals. */
class Admission {
  readonly topics: RuledTopic[] = [];
  readonly errors = new Map<string, RequestError>();
  readonly #session: NativeSession;
  /** Topics that the connection will have, and those among them that nobody has open. */
  #count: number;
  #opening = 0;

  constructor(session: NativeSession) {
    this.#session = session;
    this.#count = session.reader.topicCount;
  }

  admit(names: readonly string[]): void {
    for (const name of names) {
      try {
        this.topics.push(this.#admitOne(name));
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        if (error.code === "limit") this.#count -= 1;
        this.errors.set(name, error);
      }
    }
  }

  #admitOne(name: string): RuledTopic {
    const { services, identity } = this.#session;
    const max = services.limits.topicsPerConnectionMax ?? Number.POSITIVE_INFINITY;
    const topic = services.topics.topic(name);
    services.topics.requireSubscribe(identity, name);
    if (this.#session.subscribedLog(name) === null) this.#count += 1;
    if (this.#count > max) {
      limitCounters.hit("topicsPerConnectionMax");
      throw new RequestError("limit", `a connection has at most ${max} topics`);
    }
    requireRoom(services, name, this.#opening);
    if (services.hub.find(name) === null) this.#opening += 1;
    return topic;
  }
}
