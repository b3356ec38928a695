/** Rules of `auth.jwt`: one key, algorithms that fit it, nothing that would let a public key pass for a secret. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";

import type { RuleProblem } from "./rules.ts";
import type { Config, JwtConfig } from "./schema.ts";
import { readProblem } from "./yaml-source.ts";

/** RFC 7518 §3.2: "A key of the same size as the hash output (…) or larger MUST be used": 256 bits for HS256. */
const secretBytesMin = 32;

/** RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used". */
const rsaBitsMin = 2048;

/** What is wrong with `auth.jwt`. */
export function jwtProblems(config: Config): readonly RuleProblem[] {
  const { jwt } = config.auth;
  if (jwt === null) return [];
  const sources = [jwt.secret, jwt.publicKeyFile, jwt.jwksUrl].filter((source) => source !== null);
  if (sources.length !== 1) {
    return [{ path: ["auth", "jwt"], message: "exactly one of secret, publicKeyFile and jwksUrl" }];
  }
  return [...algorithmProblems(jwt), ...secretProblems(jwt), ...publicKeyProblems(jwt)];
}

/** A secret is for HS256 and HS256 for a secret: no token can choose which kind of key it is checked with. */
function algorithmProblems(jwt: JwtConfig): readonly RuleProblem[] {
  return jwt.algorithms.flatMap((algorithm, index) => {
    if ((algorithm === "HS256") === (jwt.secret !== null)) return [];
    const message =
      jwt.secret === null ? "HS256 needs secret" : `${algorithm} needs publicKeyFile or jwksUrl`;
    return [{ path: ["auth", "jwt", "algorithms", index], message }];
  });
}

function secretProblems(jwt: JwtConfig): readonly RuleProblem[] {
  if (jwt.secret === null || Buffer.byteLength(jwt.secret) >= secretBytesMin) return [];
  return [{ path: ["auth", "jwt", "secret"], message: `at least ${secretBytesMin} bytes (RFC 7518 §3.2)` }];
}

function publicKeyProblems(jwt: JwtConfig): readonly RuleProblem[] {
  if (jwt.publicKeyFile === null) return [];
  const path = ["auth", "jwt", "publicKeyFile"];
  let pem: string;
  try {
    pem = readFileSync(jwt.publicKeyFile, "utf8");
  } catch (error) {
    return [{ path, message: readProblem(error) }];
  }
  if (pem.includes("PRIVATE KEY-----")) {
    return [{ path, message: "is a private key; the server needs the public one only" }];
  }
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    return [{ path, message: "is not a public key in PEM form" }];
  }
  const fitting = algorithmOf(key);
  if (fitting === null)
    return [{ path, message: "neither RSA of 2048 bits or more, nor P-256, nor Ed25519" }];
  return jwt.algorithms
    .filter((algorithm) => algorithm !== fitting && algorithm !== "HS256")
    .map((algorithm) => ({ path, message: `is a key for ${fitting}, not for ${algorithm}` }));
}

function algorithmOf(key: KeyObject): string | null {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && modulusLength >= rsaBitsMin) return "RS256";
  if (key.asymmetricKeyType === "ec" && namedCurve === "prime256v1") return "ES256";
  return key.asymmetricKeyType === "ed25519" ? "EdDSA" : null;
}
