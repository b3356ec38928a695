/**
 * Verifies tokens: signed JWTs (RFC 7519, RFC 7515) whose algorithms and keys the configuration pins. The token
 * chooses nothing: neither algorithm nor key address. Refusals are constant texts, so that no token ever reaches a
 * log or an answer.
 */
import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";

import { type CryptoKey, errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from "jose";

import type { Clock } from "../base/clock.ts";
import { InvariantError, RequestError } from "../base/errors.ts";
import { patternProblem } from "../base/topic.ts";
import { anonymousIdentity, grantedIdentity, type Identity } from "./identity.ts";
import { RemoteKeys } from "./remote-keys.ts";

/** Longer tokens are refused unread. */
export const tokenBytesMax = 4096;
/** A claim with more patterns is refused: each subscription is tested against all of them. */
export const patternsPerClaimMax = 128;

/** Keys that a token is tried with before it is refused; the configuration and the issuer's set may hold more. */
const triedKeysMax = 8;

/** `auth.jwt` of the configuration: exactly one of the three sources of keys, algorithms that fit it. */
export interface JwtOptions {
  readonly algorithms: readonly string[];
  readonly secret: string | null;
  /** Accepted beside `secret`, while one takes the other's place. */
  readonly secrets: readonly string[];
  readonly publicKeyFile: string | null;
  readonly publicKeyFiles: readonly string[];
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
  readonly #keys: readonly KeyObject[] | RemoteKeys;

  /** @throws when a file of a public key cannot be read or is none; the configuration has been checked for that. */
  constructor(options: AuthenticatorOptions) {
    this.anonymous = options.required ? null : anonymousIdentity;
    this.#jwt = options.jwt;
    this.#clock = options.clock;
    this.#keys = options.jwt === null ? [] : keysOf(options.jwt, options.clock);
  }

  /**
   * Verifies a token and its claims. Cost: one signature check, and with `jwksUrl` sometimes a request of at most 2 s.
   * @throws RequestError `unauthorized` with a constant text; `unavailable` while the issuer's keys have never been
   * had. Never with a part of the token.
   */
  async verify(token: string): Promise<Identity> {
    const jwt = this.#jwt;
    const keys = this.#keys;
    if (jwt === null) throw new RequestError("unauthorized", "tokens are not accepted here");
    if (token.length > tokenBytesMax || !isCompact(token)) throw refused();
    const nowMs = this.#clock.wallMs();
    let payload: JWTPayload;
    try {
      ({ payload } = await verified(token, keys, verifyOptions(jwt, nowMs)));
    } catch (error) {
      // jose's own errors are about the token; anything else is that there was no key to try.
      if (keys instanceof RemoteKeys && !keys.known && !(error instanceof errors.JOSEError)) {
        throw new RequestError("unavailable", "tokens cannot be verified at the moment");
      }
      if (error instanceof errors.JWTExpired) throw new RequestError("unauthorized", "the token has expired");
      throw refused();
    }
    return identityOf(payload, nowMs / 1000 + jwt.clockSkewSec);
  }
}

/**
 * RFC 4648 §3.5: "decoders MAY choose to reject an encoding if the pad bits have not been set to zero": of the
 * signature they are the last bits that it does not cover, and so would spell the same token in sixteen ways.
 */
function isCompact(token: string): boolean {
  if (!compactForm.test(token)) return false;
  const signature = token.slice(token.lastIndexOf(".") + 1);
  return Buffer.from(signature, "base64url").toString("base64url") === signature;
}

async function verified(
  token: string,
  keys: readonly KeyObject[] | RemoteKeys,
  options: JWTVerifyOptions,
): Promise<{ payload: JWTPayload }> {
  if (!(keys instanceof RemoteKeys)) return verifiedByAny(token, keys, options);
  try {
    return await jwtVerify(token, (header, jws) => keys.find(header, jws), options);
  } catch (error) {
    // The token names no key, and the issuer has several for its algorithm.
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    const fitting: CryptoKey[] = [];
    for await (const key of error) if (fitting.push(key) === triedKeysMax) break;
    return verifiedByAny(token, fitting, options);
  }
}

/** @throws what the last key says, or at once what is wrong with a token whose signature is good. */
async function verifiedByAny(
  token: string,
  keys: readonly (KeyObject | CryptoKey)[],
  options: JWTVerifyOptions,
): Promise<{ payload: JWTPayload }> {
  let failure: unknown = refused();
  for (const key of keys) {
    try {
      return await jwtVerify(token, key, options);
    } catch (error) {
      if (error instanceof errors.JWTExpired || error instanceof errors.JWTClaimValidationFailed) throw error;
      failure = error;
    }
  }
  throw failure;
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

function keysOf(jwt: JwtOptions, clock: Clock): readonly KeyObject[] | RemoteKeys {
  if (jwt.secret !== null)
    return [jwt.secret, ...jwt.secrets].map((secret) => createSecretKey(secret, "utf8"));
  if (jwt.publicKeyFile !== null) {
    return [jwt.publicKeyFile, ...jwt.publicKeyFiles].map((file) => createPublicKey(readFileSync(file)));
  }
  if (jwt.jwksUrl !== null) return new RemoteKeys(jwt.jwksUrl, clock);
  throw new InvariantError("auth.jwt has a key");
}

function refused(): RequestError {
  return new RequestError("unauthorized", "the token is not accepted");
}
