/**
 * What somebody who guesses tokens and keys can cost: an address that has shown too many bad ones is told to wait before
 * anything of its is verified again. Good ones cost nothing here, however many come from behind one address.
 */
import type { Clock } from "../base/clock.ts";
import { RequestError } from "../base/errors.ts";
import { limitKeyOf } from "../base/ip-address.ts";
import { KeyedBuckets } from "../base/keyed-buckets.ts";
import { limitCounters } from "../base/limit-counters.ts";
import type { Authenticator } from "./authenticator.ts";
import type { Identity } from "./identity.ts";

/** Counts bad credentials by address (IPv6: by /64). Peers of a unix socket have none and are not counted. */
export class CredentialGuard {
  readonly #bad: KeyedBuckets;
  readonly #clock: Clock;

  /** @param badPerSecMax `limits.badCredentialsPerAddressPerSecMax`. */
  constructor(badPerSecMax: number | null, clock: Clock) {
    this.#bad = new KeyedBuckets(badPerSecMax);
    this.#clock = clock;
  }

  /** To be asked before a credential is looked at. @throws RequestError `rate_limited` */
  check(address: string): void {
    if (address === "" || this.#bad.has(limitKeyOf(address), this.#clock.nowMs())) return;
    limitCounters.hit("badCredentialsPerAddressPerSecMax");
    throw new RequestError(
      "rate_limited",
      "too many bad credentials from this address; try again in a second",
    );
  }

  /** How many more of an address may be bad. */
  left(address: string): number {
    return this.#bad.left(limitKeyOf(address), this.#clock.nowMs());
  }

  /** The credential was bad. */
  failed(address: string): void {
    if (address !== "") this.#bad.take(limitKeyOf(address), 1, this.#clock.nowMs());
  }
}

/**
 * Tokens of one address that are verified at once; the others wait. Verifying takes a while, and whoever sends a
 * thousand tokens in one packet would otherwise have all of them verified before the first is known to be bad. Nor are
 * there ever more at once than may still be bad: sixteen each time that one more may be would be sixteen times the limit.
 */
const verifiedAtOnceMax = 16;

interface Turns {
  running: number;
  readonly waiting: (() => void)[];
}

/** The authenticator of a worker behind its guard. */
export class GuardedAuthenticator {
  readonly #authenticator: Authenticator;
  readonly #guard: CredentialGuard;
  /** By address; those alone that have something to verify. */
  readonly #turns = new Map<string, Turns>();

  constructor(authenticator: Authenticator, guard: CredentialGuard) {
    this.#authenticator = authenticator;
    this.#guard = guard;
  }

  /** As Authenticator.anonymous. */
  get anonymous(): Identity | null {
    return this.#authenticator.anonymous;
  }

  /** As Authenticator.verify. @throws RequestError also `rate_limited` */
  async verify(token: string, address: string): Promise<Identity> {
    this.#guard.check(address);
    if (address === "") return this.#authenticator.verify(token);
    const turns = this.#turns.get(address) ?? { running: 0, waiting: [] };
    this.#turns.set(address, turns);
    if (turns.running < this.#atOnce(address)) turns.running += 1;
    else await new Promise<void>((resolve) => turns.waiting.push(resolve));
    try {
      // What was verified meanwhile may have been bad.
      this.#guard.check(address);
      return await this.#authenticator.verify(token);
    } catch (error) {
      if (error instanceof RequestError && error.code === "unauthorized") this.#guard.failed(address);
      throw error;
    } finally {
      this.#next(address, turns);
    }
  }

  /** A turn is over: as many as may begin now do so. */
  #next(address: string, turns: Turns): void {
    turns.running -= 1;
    while (turns.waiting.length > 0 && turns.running < this.#atOnce(address)) {
      turns.running += 1;
      turns.waiting.shift()?.();
    }
    if (turns.running === 0) this.#turns.delete(address);
  }

  /** At least one: it is told when no more may be bad. */
  #atOnce(address: string): number {
    return Math.max(1, Math.min(verifiedAtOnceMax, Math.floor(this.#guard.left(address))));
  }
}
