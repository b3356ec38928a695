/**
 * Verifies tokens: signed JWTs (RFC 7519, RFC 7515) whose algorithms and keys the configuration pins. The token
 * chooses nothing: neither algorithm nor key address. Refusals are constant texts, so that no token ever reaches a
 * log or an answer.
 */
import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";

import { errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from "jose";

import type { Clock } from "../base/clock.ts";
import { InvariantError, RequestError } from "../base/errors.ts";
import { patternProblem } from "../base/topic.ts";
import { anonymousIdentity, grantedIdentity, type Identity } from "./identity.ts";
import { RemoteKeys } from "./remote-keys.ts";

/** Longer tokens are refused unread. */
export const tokenBytesMax = 4096;
/** A claim with more patterns is refused: each subscription is tested against all of them. */
export const patternsPerClaimMax = 128;

/** `auth.jwt` of the configuration: exactly one of the three sources of keys, algorithms that fit it. */
export interface JwtOptions {
  readonly algorithms: readonly string[];
  readonly secret: string | null;
  readonly publicKeyFile: string | null;
  readonly jwksUrl: string | null;
  readonly audience: string | null;
  readonly issuer: string | null;
  readonly clockSkewSec: number;
}

export interface AuthenticatorOptions {
  /** `auth.required`: there is no anonymous identity. */
  readonly required: boolean;
  /** null: no token is accepted. */
  readonly jwt: JwtOptions | null;
  readonly clock: Clock;
}

/** The largest `exp` that is still a date: the end of the year 9999. */
const expiresSecMax = 253_402_300_799;

// RFC 7515 §3.1, §2: three parts in base64url "with all trailing '=' characters omitted". What lenient decoders let
// through (padding, white space, the other alphabet) would be a second spelling of the same token.
const compactForm = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Turns tokens into identities. */
export class Authenticator {
  /** What a connection without a token may do; null when a token is required. */
  readonly anonymous: Identity | null;
  readonly #jwt: JwtOptions | null;
  readonly #clock: Clock;
  readonly #key: KeyObject | RemoteKeys | null;

  /** @throws when `publicKeyFile` cannot be read or is no key; the configuration has been checked for that. */
  constructor(options: AuthenticatorOptions) {
    this.anonymous = options.required ? null : anonymousIdentity;
    this.#jwt = options.jwt;
    this.#clock = options.clock;
    this.#key = options.jwt === null ? null : keyOf(options.jwt, options.clock);
  }

  /**
   * Verifies a token and its claims. Cost: one signature check, and with `jwksUrl` sometimes a request of at most 2 s.
   * @throws RequestError `unauthorized` with a constant text; `unavailable` while the issuer's keys have never been
   * had. Never with a part of the token.
   */
  async verify(token: string): Promise<Identity> {
    const jwt = this.#jwt;
    const key = this.#key;
    if (jwt === null || key === null) throw new RequestError("unauthorized", "tokens are not accepted here");
    if (token.length > tokenBytesMax || !compactForm.test(token)) throw refused();
    const nowMs = this.#clock.wallMs();
    let payload: JWTPayload;
    try {
      ({ payload } = await verified(token, key, verifyOptions(jwt, nowMs)));
    } catch (error) {
      // jose's own errors are about the token; anything else is that there was no key to try.
      if (key instanceof RemoteKeys && !key.known && !(error instanceof errors.JOSEError)) {
        throw new RequestError("unavailable", "tokens cannot be verified at the moment");
      }
      if (error instanceof errors.JWTExpired) throw new RequestError("unauthorized", "the token has expired");
      throw refused();
    }
    return identityOf(payload, nowMs / 1000 + jwt.clockSkewSec);
  }
}

function verified(
  token: string,
  key: KeyObject | RemoteKeys,
  options: JWTVerifyOptions,
): Promise<{ payload: JWTPayload }> {
  if (key instanceof RemoteKeys) return jwtVerify(token, (header, jws) => key.find(header, jws), options);
  return jwtVerify(token, key, options);
}

function verifyOptions(jwt: JwtOptions, nowMs: number): JWTVerifyOptions {
  return {
    // RFC 8725 §3.1: "Libraries MUST enable the caller to specify a supported set of algorithms and MUST NOT use any
    // other algorithms when performing cryptographic operations."
    algorithms: [...jwt.algorithms],
    requiredClaims: ["exp"],
    clockTolerance: jwt.clockSkewSec,
    currentDate: new Date(nowMs),
    ...(jwt.audience === null ? {} : { audience: jwt.audience }),
    ...(jwt.issuer === null ? {} : { issuer: jwt.issuer }),
  };
}

function identityOf(payload: JWTPayload, latestIssueSec: number): Identity {
  const { exp, iat, sub } = payload;
  // Deviation from RFC 7519 §2, which allows fractions in a NumericDate: whole seconds only, as every issuer writes
  // them; a fraction or 1e99 is somebody trying.
  if (exp === undefined || !Number.isSafeInteger(exp) || exp > expiresSecMax) throw refused();
  if (iat !== undefined && (typeof iat !== "number" || iat > latestIssueSec)) throw refused();
  if (sub !== undefined && typeof sub !== "string") throw refused();
  const subscribe = patternsOf(payload["subscribe"]);
  const publish = patternsOf(payload["publish"]);
  return grantedIdentity(sub ?? null, subscribe, publish, exp * 1000);
}

function patternsOf(claim: unknown): readonly string[] {
  if (claim === undefined) return [];
  if (!Array.isArray(claim) || claim.length > patternsPerClaimMax) throw refused();
  return claim.map((pattern: unknown) => {
    if (typeof pattern !== "string" || patternProblem(pattern) !== null) throw refused();
    return pattern;
  });
}

function keyOf(jwt: JwtOptions, clock: Clock): KeyObject | RemoteKeys {
  if (jwt.secret !== null) return createSecretKey(jwt.secret, "utf8");
  if (jwt.publicKeyFile !== null) return createPublicKey(readFileSync(jwt.publicKeyFile));
  if (jwt.jwksUrl !== null) return new RemoteKeys(jwt.jwksUrl, clock);
  throw new InvariantError("auth.jwt has a key");
}

function refused(): RequestError {
  return new RequestError("unauthorized", "the token is not accepted");
}
