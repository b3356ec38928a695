/** `auth`: who may connect and publish. Algorithms and keys come from here only, never from a token. */
import { z } from "zod";

import { flag, integer, optionalText } from "./option.ts";

/** Signature algorithms that can be configured. */
export const jwtAlgorithms = ["HS256", "RS256", "ES256", "EdDSA"] as const;

/** Keys beside the first one: each is tried in turn on a token, so their number is what a bad token costs. */
const jwtKeysMax = 7;

const jwtSchema = z
  .strictObject(
    {
      algorithms: z
        .array(z.enum(jwtAlgorithms, { error: `one of ${jwtAlgorithms.join(", ")}` }), {
          error: `a list out of ${jwtAlgorithms.join(", ")}`,
        })
        .min(1, { error: "at least one algorithm" })
        .meta({ description: `Accepted signature algorithms, out of ${jwtAlgorithms.join(", ")}.` }),
      secret: optionalText({
        description: "Shared secret of at least 32 bytes, for HS256.",
        secret: "whole",
      }),
      secrets: z
        .array(z.string({ error: "a text" }).min(1, { error: "not empty" }), { error: "a list of texts" })
        .max(jwtKeysMax, { error: `at most ${jwtKeysMax}` })
        .default([])
        .meta({
          description:
            "Further secrets that are accepted: the old one while tokens signed with it are still about.",
          secret: "whole",
        }),
      publicKeyFile: optionalText({ description: "PEM file of the public key, for RS256, ES256 or EdDSA." }),
      publicKeyFiles: z
        .array(z.string({ error: "the path of a PEM file" }).min(1, { error: "the path of a PEM file" }), {
          error: "a list of paths",
        })
        .max(jwtKeysMax, { error: `at most ${jwtKeysMax}` })
        .default([])
        .meta({ description: "Further public keys that are accepted, one PEM file each, as `secrets`." }),
      jwksUrl: z
        .string({ error: "an https URL, or null" })
        .refine(isJwksUrl, { error: "an https URL (http only to this machine)" })
        .nullable()
        .default(null)
        .meta({
          description: "Address of a JSON Web Key Set, for RS256, ES256 or EdDSA. No other is ever asked.",
        }),
      audience: optionalText({ description: "What the claim `aud` must name." }),
      issuer: optionalText({ description: "What the claim `iss` must be." }),
      clockSkewSec: integer(0, 30, 5, {
        description: "How far the issuer's clock may differ from ours.",
        unit: "seconds",
      }),
    },
    { error: "a section such as {algorithms: [HS256], secret: …}, or null" },
  )
  .nullable()
  .default(null)
  .meta({
    description:
      "Tokens of browsers: signed JWTs with the claims `exp` and `sub` and the lists of patterns `subscribe` and " +
      "`publish`. Keys of exactly one kind: `secret`, `publicKeyFile` or `jwksUrl`. null: no token is accepted.",
  });

/** The section with its defaults. */
export const authSchema = z
  .strictObject(
    {
      required: flag(false, {
        description:
          "Every connection needs a token. Without it, a connection without a token may subscribe to everything that " +
          "the rules of `topics` leave open.",
      }),
      publishKeys: z
        .array(
          // RFC 6750 §2.1: what can stand after "Bearer" in an Authorization header.
          z.string({ error: "a text" }).regex(/^[A-Za-z0-9._~+/-]+=*$/u, {
            error: "letters, digits and - . _ ~ + / only, = at the end",
          }),
          { error: "a list of texts" },
        )
        .default([])
        .meta({
          description:
            "Keys that may publish over HTTP (`Authorization: Bearer KEY`). None: open to this machine only.",
          secret: "whole",
        }),
      jwt: jwtSchema,
      allowedOrigins: z
        .union(
          [
            z.literal("same-origin"),
            z.literal("any"),
            z.array(
              z.string().refine(isOrigin, {
                error: "an exact origin such as https://www.example.com, without a path",
              }),
            ),
          ],
          { error: "same-origin, any, or a list of exact origins such as https://www.example.com" },
        )
        .default("same-origin")
        .meta({
          description:
            "Pages that may open a WebSocket: `same-origin`, `any`, or a list of exact origins. Clients that send no " +
            "Origin are no browsers and are not concerned.",
        }),
    },
    { error: "a section with keys of its own" },
  )
  .prefault({})
  .meta({ description: "Who may connect, subscribe and publish." });

/** RFC 6454 §6.2: scheme, host, and the port where it is not the scheme's own; browsers send nothing after it. */
function isOrigin(value: string): boolean {
  if (value === "null") return true;
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  if (url.protocol === "http:" || url.protocol === "https:") return url.origin === value;
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s]+$/u.test(value);
}

function isJwksUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  if (url.username !== "" || url.password !== "") return false;
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
}
