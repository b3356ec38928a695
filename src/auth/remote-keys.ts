/**
 * The key set of an issuer, fetched from the one address that the configuration names. Nothing in a token leads to a
 * request elsewhere: `jku`, `x5u` and `jwk` are never looked at, and a redirect is a failure. While the issuer is
 * away the keys it gave last stay good.
 */
import {
  createLocalJWKSet,
  type CryptoKey,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWTHeaderParameters,
} from "jose";

import type { Clock } from "../base/clock.ts";

type KeySet = ReturnType<typeof createLocalJWKSet>;

/** The issuer has this long to answer. */
const fetchTimeoutMs = 2000;
/** Keys are looked up again after this long: a withdrawn key is good for no longer, if the issuer answers. */
const freshMs = 600_000;
/** No more requests than one per this long, however many tokens name keys that nobody knows. */
const cooldownMs = 30_000;
const answerBytesMax = 262_144;

/** Picks the key of a token's header out of the issuer's set, fetching the set when needed. */
export class RemoteKeys {
  readonly #url: string;
  readonly #clock: Clock;
  #keys: KeySet | null = null;
  #fetchedMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;

  constructor(url: string, clock: Clock) {
    this.#url = url;
    this.#clock = clock;
  }

  /** True once the issuer has answered. Without keys a token is neither good nor bad. */
  get known(): boolean {
    return this.#keys !== null;
  }

  /** @throws when no key fits, or several do; the caller refuses the token, or tries them. */
  async find(header: JWTHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    if (this.#clock.nowMs() - this.#fetchedMs > freshMs) await this.#ask();
    try {
      return await this.#pick(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) throw error;
      // The issuer may have a new key since.
      if (!(await this.#ask())) throw error;
      return this.#pick(header, token);
    }
  }

  async #pick(header: JWTHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    if (this.#keys === null) throw new Error("no keys yet");
    return this.#keys(header, token);
  }

  /** True when the issuer was asked, well or not; false when it was asked a moment ago. */
  async #ask(): Promise<boolean> {
    if (this.#asking === null) {
      const nowMs = this.#clock.nowMs();
      if (nowMs - this.#askedMs < cooldownMs) return false;
      this.#askedMs = nowMs;
      this.#asking = this.#fetch().finally(() => {
        this.#asking = null;
      });
    }
    await this.#asking;
    return true;
  }

  async #fetch(): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), fetchTimeoutMs);
    try {
      const answer = await fetch(this.#url, {
        redirect: "error",
        signal: late.signal,
        headers: { accept: "application/jwk-set+json, application/json" },
      });
      if (answer.status !== 200) return;
      const text = await textOf(answer, late.signal);
      // A key set by its own declaration; createLocalJWKSet throws on anything else.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      this.#keys = createLocalJWKSet(JSON.parse(text) as JSONWebKeySet);
      this.#fetchedMs = this.#clock.nowMs();
    } catch {
      // The keys of last time stay; `known` says whether there are any.
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * Reads the whole of it, up to a limit. The signal is listened to here as well: once the head has come, Node 20's fetch
 * holds whoever listens to it by a weak reference, and after a collection nothing ends a body that never does.
 */
async function textOf(answer: Response, late: AbortSignal): Promise<string> {
  const reader = answer.body?.getReader();
  if (reader === undefined) return "";
  const cancel = (): void => void reader.cancel().catch(() => undefined);
  late.addEventListener("abort", cancel);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const { value } = await reader.read();
      if (late.aborted) throw new Error("the key set does not end");
      if (value === undefined) break;
      bytes += value.length;
      if (bytes > answerBytesMax) throw new Error("the key set is too large");
      parts.push(value);
    }
  } finally {
    late.removeEventListener("abort", cancel);
    cancel();
  }
  return Buffer.concat(parts).toString("utf8");
}
