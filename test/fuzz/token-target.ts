/** Tokens (RFC 7519 in the compact form of RFC 7515) beside a reader written from the RFCs with node:crypto only. */
import { createHmac } from "node:crypto";
import { Authenticator } from "../../src/auth/authenticator.ts";
import { RequestError } from "../../src/base/errors.ts";
import { bearerOf } from "../../src/http/request-facts.ts";
import { expectSame, type FuzzInput, type FuzzTarget } from "./fuzz-target.ts";
import { mutate } from "./mutate.ts";

const secret = "a secret of more than thirty-two bytes";
const nowMs = 1_795_000_000_000;
const nowSec = nowMs / 1000;
const authenticator = new Authenticator({
  required: true,
  clock: { nowMs: () => nowMs, wallMs: () => nowMs },
  jwt: {
    algorithms: ["HS256"], secret, secrets: [], publicKeyFile: null, publicKeyFiles: [], jwksUrl: null, audience: null,
    issuer: null, clockSkewSec: 0,
  },
}); // prettier-ignore

const headers = [
  '{"alg":"HS256"}', '{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}', '{"alg":"HS256","jku":"http://169.254.169.254/"}',
  '{"alg":"none"}', '{"alg":"hs256"}', '{"alg":"HS512"}', '{"alg":"HS256","crit":["x"],"x":1}', "{}", "[]", "null", "",
]; // prettier-ignore
const claims = [
  `{"exp":${nowSec + 60}}`, `{"sub":"u","exp":${nowSec + 60},"subscribe":["quote.*"]}`, `{"exp":${nowSec}}`, `{"exp":"${nowSec + 60}"}`,
  `{"exp":${nowSec + 60}.5}`, '{"exp":1e99}', "{}", `{"exp":${nowSec + 60},"nbf":${nowSec + 30}}`, `{"exp":${nowSec + 60},"nbf":"1"}`,
  `{"exp":${nowSec + 60},"iat":${nowSec + 30}}`, `{"exp":${nowSec + 60},"sub":1}`, `{"exp":${nowSec + 60},"subscribe":"a"}`,
  `{"exp":${nowSec + 60},"publish":["a b"]}`, "[]", "1", "{", "",
]; // prettier-ignore

export const tokenTarget: FuzzTarget = {
  name: "tokens",
  make(random) {
    const input = `${encoded(random.pick(headers))}.${encoded(random.pick(claims))}`;
    const valid = Buffer.from(`Bearer ${input}.${signatureOf(input).toString("base64url")}`);
    return { bytes: random.chance(60) ? mutate(random, valid) : valid, cuts: [], variant: 0 };
  },
  async check({ bytes }: FuzzInput) {
    const text = bytes.toString("latin1");
    const token = bearerOf({ authorization: text });
    expectSame("the token of the header", token, headerTwin(text));
    if (token === null) return;
    const isGood = await authenticator.verify(token).then(
      () => true,
      (error: unknown) => {
        if (!(error instanceof RequestError)) throw error;
        return false;
      },
    );
    expectSame("accepted", isGood, tokenTwin(token));
  },
};

/** RFC 9110 §11.4: the scheme in any case, spaces, one word; with anything else behind it a token that is never good. */
function headerTwin(text: string): string | null {
  const [scheme = ""] = text.split(/\s/u);
  if (scheme.toLowerCase() !== "bearer") return null;
  const words = text.slice(scheme.length).split(" ");
  const [word = "", ...others] = words.filter((each) => each !== "");
  return others.length > 0 || /\s/u.test(word) ? "" : word;
}

function tokenTwin(token: string): boolean {
  const parts = token.split(".");
  const [header = "", payload = "", signature = ""] = parts;
  if (parts.length !== 3 || parts.some((part) => !/^[\w-]+$/u.test(part))) return false;
  const isSigned = signature === signatureOf(`${header}.${payload}`).toString("base64url");
  const [head, body] = [decoded(header), decoded(payload)];
  if (!isSigned || head === null || body === null) return false;
  if (head["alg"] !== "HS256" || head["crit"] !== undefined) return false;
  const { exp, nbf, iat, sub, subscribe, publish } = body;
  if (!Number.isSafeInteger(exp) || Number(exp) <= nowSec) return false;
  if (nbf !== undefined && (typeof nbf !== "number" || nbf > nowSec)) return false;
  if (iat !== undefined && (typeof iat !== "number" || iat > nowSec)) return false;
  if (sub !== undefined && typeof sub !== "string") return false;
  // Of the lists above, one of each is good.
  return (subscribe === undefined || Array.isArray(subscribe)) && publish === undefined;
}

function decoded(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return Object.fromEntries(Object.entries(value));
  } catch {
    return null;
  }
}

function signatureOf(input: string): Buffer {
  return createHmac("sha256", secret).update(input).digest();
}

function encoded(text: string): string {
  return Buffer.from(text).toString("base64url");
}
