/**
 * Publishing to Redis: stored with history by `tape_publish`, or handed on by PUBLISH. With history a call whose
 * answer was lost is repeated with the same idempotency key, within `publishTimeoutMs`; a live-only message is sent
 * once, since a second PUBLISH would be a second message.
 */
import { asBuffer } from "../base/byte-string.ts";
import { createHash, randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { BrokerError, invariant } from "../base/errors.ts";
import {
  publishChanceMs,
  publishTimeoutMs,
  type BrokerTopic,
  type Position,
  type PublishOptions,
} from "./broker.ts";
import { encodeEnvelope, isOrigin } from "./bus-envelope.ts";
import { callPublish, ensureLibrary, failureOf, sendAsking } from "./redis-functions.ts";

/** broker.ts, guarantee 5. */
const callersKeyKeepMs = 300_000;
/** A key that we made up lives longer than our own repetitions, and no more: there is one per publication. */
const ownKeyKeepMs = 10_000;

const repeatDelayMs = 50;
/** A client that said nothing for so long is given up; a publish that came late waits less, which says little. */
const silentMsMin = 1000;

/** Publications that wait for Redis at once, on one worker. Beyond them a publish fails at once. */
const pendingCountMax = 10_000;
const pendingBytesMax = 64 * 1024 * 1024;

/** The connection for commands, as the publisher and the reader need it. */
export interface CommandLink {
  /** Up, or null. */
  readonly client: Redis | null;
  /** Waits until it is up, at most `timeoutMs`; null when it is not. At once where waiting is hopeless. */
  whenUp(timeoutMs: number): Promise<Redis | null>;
  /** Why it is not up, as an error for the caller. */
  error(): BrokerError;
  /** The client did not answer, or is no primary any more: it is to be replaced. */
  giveUp(client: Redis, reason: string): void;
  /** Redis will not do at `place`, a log or a channel, what was asked, now or later: for the log. */
  refused(place: string, reason: string): void;
  /**
   * In a cluster: the client says that another node has the key.
   * @returns the node for the next attempt alone, which is to be asked as ASK demands; null: `whenUp` knows it now.
   */
  redirected?(client: Redis, error: unknown): CommandLink | null;
}

/** Where a topic's publications go. */
export interface PublishRoute {
  readonly link: CommandLink;
  /** Before its keys and its channel. */
  readonly prefix: string;
  /** By SPUBLISH, in a cluster. */
  readonly isSharded: boolean;
}

type StoredTopic = BrokerTopic & { readonly history: NonNullable<BrokerTopic["history"]> };

/** When a publish has to end. */
class Deadline {
  readonly #atMs: number;
  /** Until when an answer of Redis is waited for. */
  readonly answerMs: number;

  constructor(arrivedMs: number | undefined) {
    const nowMs = performance.now();
    this.#atMs = Math.min(arrivedMs ?? nowMs, nowMs) + publishTimeoutMs;
    this.answerMs = Math.max(this.#atMs, nowMs + publishChanceMs);
  }

  /** Until when a connection is waited for, and attempts are repeated; 0 when that is over. */
  get leftMs(): number {
    return Math.max(0, this.#atMs - performance.now());
  }
}

/** See the file head. */
export class RedisPublisher {
  readonly #routeOf: (topic: string) => PublishRoute;
  readonly #ownKeys = randomBytes(12).toString("base64url");
  #ownKeyCount = 0;
  #pendingCount = 0;
  #pendingBytes = 0;

  constructor(routeOf: (topic: string) => PublishRoute) {
    this.#routeOf = routeOf;
  }

  /** @throws BrokerError when it is not known to be stored (handed on) within `publishTimeoutMs`. */
  async publish(topic: BrokerTopic, data: Uint8Array, options: PublishOptions): Promise<Position | null> {
    const origin = options.origin ?? null;
    invariant(origin === null || isOrigin(origin), "the origin of a publication is a connection id");
    if (this.#pendingCount >= pendingCountMax || this.#pendingBytes + data.length > pendingBytesMax) {
      throw new BrokerError("too many publications wait for Redis", true);
    }
    this.#pendingCount++;
    this.#pendingBytes += data.length;
    try {
      const { history, name } = topic;
      const deadline = new Deadline(options.arrivedMs);
      if (history === null) return await this.#handOn(name, data, origin, deadline);
      return await this.#store({ ...topic, history }, data, origin ?? "", options.idempotencyKey, deadline);
    } finally {
      this.#pendingCount--;
      this.#pendingBytes -= data.length;
    }
  }

  async #handOn(name: string, data: Uint8Array, origin: string | null, deadline: Deadline): Promise<null> {
    const route = this.#routeOf(name);
    for (let redirectCount = 0; ; redirectCount++) {
      const client = await route.link.whenUp(deadline.leftMs);
      if (client === null) throw route.link.error();
      const askedMs = performance.now();
      try {
        await before(deadline.answerMs, sendLive(client, route, name, encodeEnvelope(null, origin, data)));
        return null;
      } catch (error) {
        // Redis said that it has not done it: to send it elsewhere is not to send it twice.
        const mayFollow = failureOf(error) === "elsewhere" && deadline.leftMs > repeatDelayMs;
        if (!mayFollow) throw giveUpOn(route.link, client, error, askedMs, route.prefix + name);
        route.link.redirected?.(client, error);
        if (redirectCount > 0) await pause();
      }
    }
  }

  async #store(
    topic: StoredTopic,
    data: Uint8Array,
    origin: string,
    idempotencyKey: string | undefined,
    deadline: Deadline,
  ): Promise<Position> {
    const route = this.#routeOf(topic.name);
    const { link, prefix } = route;
    const log = `${prefix}log:${topic.name}`;
    const ownKey = `${prefix}idem:${topic.name}:${this.#keyName(idempotencyKey)}`;
    const message = {
      data,
      origin,
      keepIdempotencyMs: idempotencyKey === undefined ? ownKeyKeepMs : callersKeyKeepMs,
    };
    /** An attempt's answer was lost: it may have been stored, and only its key tells. */
    let isUnsure = false;
    let usesKey = true;
    let hasLoaded = false;
    let asked: CommandLink | null = null;
    for (let redirectCount = 0; ;) {
      const client: Redis | null = await (asked ?? link).whenUp(deadline.leftMs);
      if (client === null) throw link.error();
      const askedMs = performance.now();
      try {
        if (asked !== null) sendAsking(client);
        const names = { log, idempotencyKey: usesKey ? ownKey : null };
        const position = await before(deadline.answerMs, callPublish(client, topic, names, message));
        if (asked !== null) this.#tellOwner(route, topic.name, position, message);
        return position;
      } catch (error) {
        asked = null;
        const failure = failureOf(error);
        const remainingMs = deadline.leftMs;
        if (failure === "library" && !hasLoaded && remainingMs > 0) {
          hasLoaded = true;
          await loadLibrary(link, client, deadline.answerMs);
          continue;
        }
        if (failure === "elsewhere" && remainingMs > repeatDelayMs) {
          asked = link.redirected?.(client, error) ?? null;
          redirectCount++;
          // Twice is a slot on its way; more often, nodes that do not agree yet.
          if (redirectCount > 2) await pause();
          continue;
        }
        if (failure === "torn" && usesKey && idempotencyKey === undefined && !isUnsure && remainingMs > 0) {
          // While a slot is on its way, only commands with one key are served. A key of our own making guards
          // nothing before an answer was lost.
          usesKey = false;
          continue;
        }
        const problem = giveUpOn(link, client, error, askedMs, log);
        if (!problem.retryable || remainingMs <= repeatDelayMs) throw problem;
        if (failure === "connection" || failure === "timeout") {
          if (!usesKey) throw problem;
          isUnsure = true;
        }
        await pause();
      }
    }
  }

  /**
   * A slot is on its way: the log is at the new node already, the subscribers are still at the old one, and a sharded
   * message does not go from one to the other. Should it get lost, the subscribers read the log.
   */
  #tellOwner(
    route: PublishRoute,
    name: string,
    position: Position,
    { origin, data }: { readonly origin: string; readonly data: Uint8Array },
  ): void {
    const owner = route.link.client;
    if (owner === null) return;
    const envelope = encodeEnvelope(position, origin === "" ? null : origin, data);
    sendLive(owner, route, name, envelope).catch(() => {});
  }

  #keyName(idempotencyKey: string | undefined): string {
    if (idempotencyKey === undefined) {
      this.#ownKeyCount++;
      return `${this.#ownKeys}.${this.#ownKeyCount}`;
    }
    // A caller's key may be long and is not ours to show. Too long to meet one of our own.
    return createHash("sha256").update(idempotencyKey).digest("base64url");
  }
}

function sendLive(
  client: Redis,
  { prefix, isSharded }: PublishRoute,
  name: string,
  envelope: Uint8Array,
): Promise<unknown> {
  const channel = prefix + name;
  const message = asBuffer(envelope);
  return isSharded ? client.spublish(channel, message) : client.publish(channel, message);
}

async function loadLibrary(link: CommandLink, client: Redis, deadlineMs: number): Promise<void> {
  const askedMs = performance.now();
  try {
    await before(deadlineMs, ensureLibrary(client));
  } catch (error) {
    throw giveUpOn(link, client, error, askedMs, "the functions");
  }
}

/**
 * Turns a command's error into ours, and lets go of a client that is of no use any more.
 * @param askedMs when it was.
 * @param place for the log: what was asked for.
 */
function giveUpOn(
  link: CommandLink,
  client: Redis,
  error: unknown,
  askedMs: number,
  place: string,
): BrokerError {
  const failure = failureOf(error);
  if (failure === "timeout") {
    if (performance.now() - askedMs >= silentMsMin) link.giveUp(client, "Redis does not answer");
    return new BrokerError("Redis did not answer in time", true, error);
  }
  if (failure === "replica") {
    link.giveUp(client, "this Redis became a replica");
    return new BrokerError("this Redis is a replica now", true, error);
  }
  if (failure === "connection") return new BrokerError("the connection to Redis was cut", true, error);
  const message = error instanceof Error ? error.message : String(error);
  if (failure === "refused") {
    link.refused(place, message);
    return new BrokerError(`Redis refused it: ${message}`, false, error);
  }
  return new BrokerError(`Redis cannot take it now: ${message}`, true, error);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, repeatDelayMs));
}

/** `promise`, or a timeout at `deadlineMs` (of performance.now). ioredis's own begins anew with each command. */
async function before<Result>(deadlineMs: number, promise: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      // Behind the next poll: when the process stood still, the answer may lie in the socket.
      () => setImmediate(() => reject(new Error("Command timed out"))),
      Math.max(0, deadlineMs - performance.now()),
    );
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
