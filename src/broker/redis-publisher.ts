/**
 * Publishing to Redis: stored with history by `tape_publish`, or handed on by PUBLISH. With history a call whose
 * answer was lost is repeated with the same idempotency key, within 2 s of the first; a live-only message is sent
 * once, since a second PUBLISH would be a second message.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { BrokerError, invariant } from "../base/errors.ts";
import type { BrokerTopic, Position, PublishOptions } from "./broker.ts";
import { encodeEnvelope, isOrigin } from "./bus-envelope.ts";
import { commandTimeoutMs } from "./redis-address.ts";
import { asBuffer, callPublish, ensureLibrary, failureOf } from "./redis-functions.ts";

/** broker.ts, guarantee 5. */
const callersKeyKeepMs = 300_000;
/** A key that we made up lives longer than our own repetitions, and no more: there is one per publication. */
const ownKeyKeepMs = 10_000;

const repeatDelayMs = 50;

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
}

/** See the file head. */
export class RedisPublisher {
  readonly #link: CommandLink;
  readonly #prefix: string;
  readonly #ownKeys = randomBytes(12).toString("base64url");
  #ownKeyCount = 0;
  #pendingCount = 0;
  #pendingBytes = 0;

  constructor(link: CommandLink, prefix: string) {
    this.#link = link;
    this.#prefix = prefix;
  }

  /** @throws BrokerError when it is not known to be stored (handed on) within 2 s. */
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
      if (history === null) return await this.#handOn(name, data, origin);
      return await this.#store({ ...topic, history }, data, origin ?? "", options.idempotencyKey);
    } finally {
      this.#pendingCount--;
      this.#pendingBytes -= data.length;
    }
  }

  async #handOn(name: string, data: Uint8Array, origin: string | null): Promise<null> {
    const deadlineMs = performance.now() + commandTimeoutMs;
    const client = await this.#link.whenUp(commandTimeoutMs);
    if (client === null) throw this.#link.error();
    try {
      const envelope = asBuffer(encodeEnvelope(null, origin, data));
      await before(deadlineMs, client.publish(this.#prefix + name, envelope));
    } catch (error) {
      throw this.#giveUpOn(client, error);
    }
    return null;
  }

  async #store(
    topic: BrokerTopic & { readonly history: NonNullable<BrokerTopic["history"]> },
    data: Uint8Array,
    origin: string,
    idempotencyKey: string | undefined,
  ): Promise<Position> {
    const deadlineMs = performance.now() + commandTimeoutMs;
    const names = {
      log: `${this.#prefix}log:${topic.name}`,
      idempotencyKey: `${this.#prefix}idem:${topic.name}:${this.#keyName(idempotencyKey)}`,
    };
    const keepIdempotencyMs = idempotencyKey === undefined ? ownKeyKeepMs : callersKeyKeepMs;
    for (let hasLoaded = false; ;) {
      const client = await this.#link.whenUp(deadlineMs - performance.now());
      if (client === null) throw this.#link.error();
      try {
        return await before(
          deadlineMs,
          callPublish(client, topic, names, { data, origin, keepIdempotencyMs }),
        );
      } catch (error) {
        const remainingMs = deadlineMs - performance.now();
        if (failureOf(error) === "library" && !hasLoaded && remainingMs > 0) {
          hasLoaded = true;
          await this.#loadLibrary(client, deadlineMs);
          continue;
        }
        const failure = this.#giveUpOn(client, error);
        if (!failure.retryable || remainingMs <= repeatDelayMs) throw failure;
        await new Promise((resolve) => setTimeout(resolve, repeatDelayMs));
      }
    }
  }

  async #loadLibrary(client: Redis, deadlineMs: number): Promise<void> {
    try {
      await before(deadlineMs, ensureLibrary(client));
    } catch (error) {
      throw this.#giveUpOn(client, error);
    }
  }

  /** Turns a command's error into ours, and lets go of a client that is of no use any more. */
  #giveUpOn(client: Redis, error: unknown): BrokerError {
    const failure = failureOf(error);
    if (failure === "timeout") {
      this.#link.giveUp(client, "Redis does not answer");
      return new BrokerError("Redis did not answer within 2 s", true, error);
    }
    if (failure === "replica") {
      this.#link.giveUp(client, "this Redis became a replica");
      return new BrokerError("this Redis is a replica now", true, error);
    }
    if (failure === "connection") return new BrokerError("the connection to Redis was cut", true, error);
    const message = error instanceof Error ? error.message : String(error);
    if (failure === "busy") return new BrokerError(`Redis cannot take it now: ${message}`, true, error);
    return new BrokerError(`Redis refused it: ${message}`, false, error);
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

/** `promise`, or a timeout at `deadlineMs` (of performance.now). ioredis's own begins anew with each command. */
async function before<Result>(deadlineMs: number, promise: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error("Command timed out")),
      Math.max(0, deadlineMs - performance.now()),
    );
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
