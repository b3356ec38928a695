/** `tapecast token`: signs a token, for development and for scripts. */
import { createPrivateKey, createSecretKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";

import { type Command, InvalidArgumentError, Option } from "commander";
import { SignJWT } from "jose";

import { readProblem } from "../base/system-problem.ts";
import { patternProblem } from "../base/topic.ts";
import { loadConfig } from "../config/load.ts";
import type { JwtConfig } from "../config/schema.ts";
import { addExamples, appended } from "./command-options.ts";
import { CliError, exitCode } from "./exit-code.ts";

interface TokenFlags {
  readonly sub?: string;
  readonly subscribe?: readonly string[];
  readonly publish?: readonly string[];
  readonly expires: number;
  readonly secret?: string;
  readonly keyFile?: string;
  readonly kid?: string;
  readonly config?: string;
  readonly issuer?: string;
  readonly audience?: string;
}

const secondsPer: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
]);

/** RFC 7518 §3.2. */
const secretBytesMin = 32;

/** Adds the command. */
export function addTokenCommand(program: Command): void {
  const command = program
    .command("token")
    .summary("print a signed token")
    .description("Print a signed token (JWT). The key is that of --secret, --key-file or the configuration.")
    .option("--sub <id>", "whom the token is for", notEmpty)
    .option("--subscribe <pattern...>", "topics that may be subscribed to, such as quote.**", appendedPattern)
    .option("--publish <pattern...>", "topics that may be published on", appendedPattern)
    .addOption(
      new Option("--expires <duration>", "how long it is good: 90s, 30m, 1h, 7d")
        .argParser(seconds)
        .default(3600, "1h"),
    )
    .option(
      "--secret <text>",
      "shared secret of at least 32 bytes, for HS256; the environment is a better place",
    )
    .option(
      "--key-file <file>",
      "PEM file of a private key: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA",
    )
    .option("--kid <id>", "key id for the header, where the server knows several keys")
    .option(
      "-c, --config <file>",
      "take auth.jwt.secret, issuer and audience from here (and the environment)",
    )
    .option("--issuer <text>", "the claim iss")
    .option("--audience <text>", "the claim aud")
    .action(async (flags: TokenFlags) => {
      console.log(await signedToken(flags));
    });
  addExamples(command, [
    [
      "tapecast token --sub alice --subscribe 'quote.**' --publish 'chat.*' --expires 1h --config server.yaml",
      "with the secret of the server's configuration",
    ],
    [
      "TAPECAST_AUTH__JWT__ALGORITHMS='[HS256]' TAPECAST_AUTH__JWT__SECRET=… tapecast token --sub alice --subscribe '**'",
      "with the secret from the environment",
    ],
    ["tapecast token --sub alice --subscribe '**' --key-file private.pem", "with a private key"],
  ]);
}

async function signedToken(flags: TokenFlags): Promise<string> {
  const jwt = flags.secret === undefined && flags.keyFile === undefined ? configuredJwt(flags.config) : null;
  const { key, algorithm } = signingKey(flags, jwt);
  const nowSec = Math.floor(Date.now() / 1000);
  const issuer = flags.issuer ?? jwt?.issuer ?? null;
  const audience = flags.audience ?? jwt?.audience ?? null;
  const token = new SignJWT({ subscribe: [...(flags.subscribe ?? [])], publish: [...(flags.publish ?? [])] })
    .setProtectedHeader({
      alg: algorithm,
      typ: "JWT",
      ...(flags.kid === undefined ? {} : { kid: flags.kid }),
    })
    .setIssuedAt(nowSec)
    .setExpirationTime(nowSec + flags.expires);
  if (flags.sub !== undefined) token.setSubject(flags.sub);
  if (issuer !== null) token.setIssuer(issuer);
  if (audience !== null) token.setAudience(audience);
  return token.sign(key);
}

function configuredJwt(file: string | undefined): JwtConfig {
  const { jwt } = loadConfig({ file: file ?? null, env: process.env }).auth;
  if (jwt === null) {
    throw new CliError(
      exitCode.usage,
      "no key: give --secret or --key-file, or a --config with auth.jwt.secret",
    );
  }
  return jwt;
}

function signingKey(flags: TokenFlags, jwt: JwtConfig | null): { key: KeyObject; algorithm: string } {
  if (flags.keyFile !== undefined) return privateKey(flags.keyFile);
  const secret = flags.secret ?? jwt?.secret ?? null;
  if (secret === null) {
    throw new CliError(
      exitCode.usage,
      "the configuration has a public key only: give the private one by --key-file",
    );
  }
  if (Buffer.byteLength(secret) < secretBytesMin) {
    throw new CliError(exitCode.usage, `a secret has at least ${secretBytesMin} bytes (RFC 7518 §3.2)`);
  }
  return { key: createSecretKey(secret, "utf8"), algorithm: "HS256" };
}

function privateKey(file: string): { key: KeyObject; algorithm: string } {
  let pem: Buffer;
  try {
    pem = readFileSync(file);
  } catch (error) {
    throw new CliError(exitCode.usage, `${file}: ${readProblem(error)}`);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new CliError(exitCode.usage, `${file}: not a private key in PEM form`);
  }
  const algorithm = new Map([
    ["rsa", "RS256"],
    ["ec", "ES256"],
    ["ed25519", "EdDSA"],
  ]).get(key.asymmetricKeyType ?? "");
  if (algorithm === undefined)
    throw new CliError(exitCode.usage, `${file}: neither RSA, nor P-256, nor Ed25519`);
  return { key, algorithm };
}

function appendedPattern(value: string, before: readonly string[] | undefined): readonly string[] {
  const problem = patternProblem(value);
  if (problem !== null) throw new InvalidArgumentError(`It is no pattern: ${problem}.`);
  return appended(value, before);
}

function notEmpty(value: string): string {
  if (value === "") throw new InvalidArgumentError("It is empty.");
  return value;
}

function seconds(value: string): number {
  const [, count = "", unit = ""] = /^(\d{1,9})([smhd])$/u.exec(value) ?? [];
  const perUnit = secondsPer.get(unit);
  if (perUnit === undefined || Number(count) === 0)
    throw new InvalidArgumentError("Such as 90s, 30m, 1h or 7d.");
  return Number(count) * perUnit;
}
