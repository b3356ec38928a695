/** Rules of `auth.jwt`: keys of one kind, algorithms that fit them, nothing that would let a public key pass for a secret. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";

import { readProblem } from "../base/system-problem.ts";
import { subjectIndexOf } from "../base/topic.ts";
import type { KeyPath } from "./key-path.ts";
import type { RuleProblem } from "./rules.ts";
import type { Config, JwtConfig } from "./schema.ts";

/** RFC 7518 §3.2: "A key of the same size as the hash output (…) or larger MUST be used": 256 bits for HS256. */
const secretBytesMin = 32;

/** RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used". */
const rsaBitsMin = 2048;

const jwtPath: KeyPath = ["auth", "jwt"];

/** What is wrong with `auth.jwt`. */
export function jwtProblems(config: Config): readonly RuleProblem[] {
  const { jwt } = config.auth;
  if (jwt === null) return [];
  const sources = [jwt.secret, jwt.publicKeyFile, jwt.jwksUrl].filter((source) => source !== null);
  if (sources.length !== 1) {
    return [{ path: jwtPath, message: "exactly one of secret, publicKeyFile and jwksUrl" }];
  }
  return [
    ...furtherKeyProblems(jwt),
    ...algorithmProblems(jwt),
    ...secretProblems(jwt),
    ...publicKeyProblems(jwt),
  ];
}

/** Rules of `topics` that ask for a token which nobody can have. */
export function tokenRuleProblems(config: Config): readonly RuleProblem[] {
  if (config.auth.jwt !== null) return [];
  return config.topics.flatMap((rule, index) => {
    const needsToken = (["subscribe", "publish"] as const).filter(
      (key) => rule[key] === "token" || rule[key] === "granted",
    );
    const keys = subjectIndexOf(rule.match) === null ? needsToken : ["match"];
    const message = "needs tokens: auth.jwt says which are good";
    return keys.map((key) => ({ path: ["topics", index, key], message }));
  });
}

/** Several keys are for changing one for another, so they are all of the kind of the first. */
function furtherKeyProblems(jwt: JwtConfig): readonly RuleProblem[] {
  const problems: RuleProblem[] = [];
  if (jwt.secrets.length > 0 && jwt.secret === null) {
    problems.push({ path: [...jwtPath, "secrets"], message: "only beside secret" });
  }
  if (jwt.publicKeyFiles.length > 0 && jwt.publicKeyFile === null) {
    problems.push({ path: [...jwtPath, "publicKeyFiles"], message: "only beside publicKeyFile" });
  }
  return problems;
}

/** A secret is for HS256 and HS256 for a secret: no token can choose which kind of key it is checked with. */
function algorithmProblems(jwt: JwtConfig): readonly RuleProblem[] {
  return jwt.algorithms.flatMap((algorithm, index) => {
    if ((algorithm === "HS256") === (jwt.secret !== null)) return [];
    const message =
      jwt.secret === null ? "HS256 needs secret" : `${algorithm} needs publicKeyFile or jwksUrl`;
    return [{ path: [...jwtPath, "algorithms", index], message }];
  });
}

function secretProblems(jwt: JwtConfig): readonly RuleProblem[] {
  const message = `at least ${secretBytesMin} bytes (RFC 7518 §3.2)`;
  const secrets: [KeyPath, string | null][] = [
    [[...jwtPath, "secret"], jwt.secret],
    ...jwt.secrets.map((secret, index): [KeyPath, string] => [[...jwtPath, "secrets", index], secret]),
  ];
  return secrets
    .filter(([, secret]) => secret !== null && Buffer.byteLength(secret) < secretBytesMin)
    .map(([path]) => ({ path, message }));
}

/** Each file must be a key for one of the algorithms, and each algorithm must have a key. */
function publicKeyProblems(jwt: JwtConfig): readonly RuleProblem[] {
  if (jwt.publicKeyFile === null) return [];
  const files: [KeyPath, string][] = [
    [[...jwtPath, "publicKeyFile"], jwt.publicKeyFile],
    ...jwt.publicKeyFiles.map((file, index): [KeyPath, string] => [
      [...jwtPath, "publicKeyFiles", index],
      file,
    ]),
  ];
  const problems: RuleProblem[] = [];
  const found = new Set<string>();
  for (const [path, file] of files) {
    const { algorithm, message } = readPublicKey(file);
    if (message !== null) problems.push({ path, message });
    else if (!jwt.algorithms.some((each) => each === algorithm)) {
      problems.push({ path, message: `is a key for ${algorithm}, not for ${jwt.algorithms.join(", ")}` });
    } else found.add(algorithm);
  }
  if (problems.length > 0) return problems;
  return jwt.algorithms.flatMap((algorithm, index) => {
    if (found.has(algorithm) || algorithm === "HS256") return [];
    return [{ path: [...jwtPath, "algorithms", index], message: `no public key is for ${algorithm}` }];
  });
}

type ReadKey =
  | { readonly algorithm: string; readonly message: null }
  | { readonly algorithm: null; readonly message: string };

function readPublicKey(file: string): ReadKey {
  let pem: string;
  try {
    pem = readFileSync(file, "utf8");
  } catch (error) {
    return bad(readProblem(error));
  }
  if (pem.includes("PRIVATE KEY-----")) return bad("is a private key; the server needs the public one only");
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    return bad("is not a public key in PEM form");
  }
  const algorithm = algorithmOf(key);
  return algorithm === null
    ? bad("neither RSA of 2048 bits or more, nor P-256, nor Ed25519")
    : { algorithm, message: null };
}

function bad(message: string): ReadKey {
  return { algorithm: null, message };
}

function algorithmOf(key: KeyObject): string | null {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && modulusLength >= rsaBitsMin) return "RS256";
  if (key.asymmetricKeyType === "ec" && namedCurve === "prime256v1") return "ES256";
  return key.asymmetricKeyType === "ed25519" ? "EdDSA" : null;
}
