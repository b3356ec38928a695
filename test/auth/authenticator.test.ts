/** ABUSE AU1–AU5, AU9: what a token must be, and that it chooses nothing. */
import { createHmac, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { SignJWT } from "jose";
import { afterEach, describe, expect, it } from "vitest";

import { Authenticator, type JwtOptions } from "../../src/auth/authenticator.ts";
import { RequestError } from "../../src/base/errors.ts";

const nowSec = 1_800_000_000;
const clock = { nowMs: () => 0, wallMs: () => nowSec * 1000 };
const secret = "0123456789abcdef0123456789abcdef";
const base: JwtOptions = {
  algorithms: ["HS256"],
  secret,
  secrets: [],
  publicKeyFile: null,
  publicKeyFiles: [],
  jwksUrl: null,
  audience: null,
  issuer: null,
  clockSkewSec: 5,
};
const goodClaims = { exp: nowSec + 60, sub: "alice", subscribe: ["quote.**"], publish: ["chat.*"] };

function part(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

/** Signed by hand, so that headers and claims can be as wrong as they like. */
function hs256(claims: unknown, header: unknown = { alg: "HS256" }, key: string | Buffer = secret): string {
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${createHmac("sha256", key).update(input).digest("base64url")}`;
}

function authenticator(jwt: Partial<JwtOptions> | null = {}, required = false): Authenticator {
  return new Authenticator({ required, jwt: jwt === null ? null : { ...base, ...jwt }, clock });
}

async function refusal(verifier: Authenticator, token: string): Promise<RequestError> {
  try {
    await verifier.verify(token);
  } catch (error) {
    expect(error).toBeInstanceOf(RequestError);
    const refused = error as RequestError;
    // AU7: never a part of the token, not in the message and not in anything that a logger prints.
    expect(`${refused.message} ${String(refused.cause)} ${refused.stack}`).not.toContain(
      token.slice(0, 24) || "\u0000",
    );
    return refused;
  }
  throw new Error("the token was accepted");
}

function pemFile(key: KeyObject, type: "spki" | "pkcs8"): string {
  const file = join(mkdtempSync(join(tmpdir(), "tapecast-auth-")), "key.pem");
  writeFileSync(file, key.export({ type, format: "pem" }));
  return file;
}

function patterns(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `a${index}`);
}

function tokenOf(padding: number): string {
  return hs256({ ...goodClaims, padding: "x".repeat(padding) });
}

function keySet(...entries: readonly (readonly [string, KeyObject])[]): string {
  return JSON.stringify({
    keys: entries.map(([kid, key]) => Object.assign(key.export({ format: "jwk" }), { kid })),
  });
}

function signed(kid: string, key: KeyObject): Promise<string> {
  return new SignJWT(goodClaims).setProtectedHeader({ alg: "ES256", kid }).sign(key);
}

describe("a good token", () => {
  it("grants what its patterns say, until it expires", async () => {
    const identity = await authenticator().verify(hs256(goodClaims));
    expect(identity.sub).toBe("alice");
    expect(identity.expiresWallMs).toBe((nowSec + 60) * 1000);
    expect(identity.maySubscribe("quote.AAPL")).toBe(true);
    expect(identity.maySubscribe("quote.US.AAPL")).toBe(true);
    expect(identity.maySubscribe("chat.lobby")).toBe(false);
    expect(identity.mayPublish("chat.lobby")).toBe(true);
    expect(identity.mayPublish("chat.lobby.x")).toBe(false);
    expect(identity.mayPublish("quote.AAPL")).toBe(false);
  });

  it("without sub and patterns grants nothing", async () => {
    const identity = await authenticator().verify(hs256({ exp: nowSec + 1 }));
    expect(identity.sub).toBeNull();
    expect(identity.maySubscribe("quote.AAPL")).toBe(false);
    expect(identity.mayPublish("quote.AAPL")).toBe(false);
  });

  it.each([
    ["RS256", () => generateKeyPairSync("rsa", { modulusLength: 2048 })],
    ["ES256", () => generateKeyPairSync("ec", { namedCurve: "P-256" })],
    ["EdDSA", () => generateKeyPairSync("ed25519")],
  ])("may be signed by %s with a key file", async (algorithm, generate) => {
    const { publicKey, privateKey } = generate();
    const verifier = authenticator({
      algorithms: [algorithm],
      secret: null,
      publicKeyFile: pemFile(publicKey, "spki"),
    });
    const token = await new SignJWT(goodClaims).setProtectedHeader({ alg: algorithm }).sign(privateKey);
    expect((await verifier.verify(token)).sub).toBe("alice");
    expect((await refusal(verifier, hs256(goodClaims))).code).toBe("unauthorized");
  });
});

describe("AU1 algorithms", () => {
  it.each(["none", "None", "nOnE", " none", "", "HS384", "RS256"])("%j is refused", async (alg) => {
    const verifier = authenticator();
    expect((await refusal(verifier, hs256(goodClaims, { alg }))).code).toBe("unauthorized");
    expect((await refusal(verifier, `${part({ alg })}.${part(goodClaims)}.`)).code).toBe("unauthorized");
  });

  it.each([
    ["missing", {}],
    ["null", { alg: null }],
    ["a list", { alg: ["HS256"] }],
    ["no object", "x"],
  ])("%s is refused", async (_name, header) => {
    expect((await refusal(authenticator(), hs256(goodClaims, header))).code).toBe("unauthorized");
  });

  it("a public key is no secret: HS256 signed with the RSA key's PEM is refused", async () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pem = publicKey.export({ type: "spki", format: "pem" });
    const verifier = authenticator({
      algorithms: ["RS256"],
      secret: null,
      publicKeyFile: pemFile(publicKey, "spki"),
    });
    for (const key of [pem, Buffer.from(pem).subarray(0, -1)]) {
      expect((await refusal(verifier, hs256(goodClaims, { alg: "HS256" }, key))).code).toBe("unauthorized");
      expect((await refusal(verifier, hs256(goodClaims, { alg: "RS256" }, key))).code).toBe("unauthorized");
    }
  });
});

describe("AU2 times", () => {
  const rows: readonly [name: string, claims: object, good: boolean][] = [
    ["exp in a second", { exp: nowSec + 1 }, true],
    ["exp now, within the skew", { exp: nowSec }, true],
    ["exp at the end of the skew", { exp: nowSec - 4 }, true],
    ["exp past the skew", { exp: nowSec - 5 }, false],
    ["exp a minute ago", { exp: nowSec - 60 }, false],
    ["exp missing", { exp: undefined }, false],
    ["exp as text", { exp: String(nowSec + 60) }, false],
    ["exp null", { exp: null }, false],
    ["exp with a fraction", { exp: nowSec + 60.5 }, false],
    ["exp 1e99", { exp: 1e99 }, false],
    ["exp after the year 9999", { exp: 253_402_300_800 }, false],
    ["exp negative", { exp: -1 }, false],
    ["nbf within the skew", { nbf: nowSec + 5 }, true],
    ["nbf in a minute", { nbf: nowSec + 60 }, false],
    ["nbf as text", { nbf: "0" }, false],
    ["iat within the skew", { iat: nowSec + 5 }, true],
    ["iat in a minute", { iat: nowSec + 60 }, false],
    ["iat as text", { iat: "0" }, false],
  ];
  it.each(rows)("%s", async (_name, claims, good) => {
    const token = hs256({ ...goodClaims, ...claims });
    if (good) expect((await authenticator().verify(token)).sub).toBe("alice");
    else expect((await refusal(authenticator(), token)).code).toBe("unauthorized");
  });

  it("an expired token is told so", async () => {
    expect((await refusal(authenticator(), hs256({ ...goodClaims, exp: 1 }))).message).toBe(
      "the token has expired",
    );
  });
});

describe("AU3 sizes and shapes", () => {
  it("takes 128 patterns and refuses 129", async () => {
    expect(
      (await authenticator().verify(hs256({ ...goodClaims, subscribe: patterns(128) }))).maySubscribe("a127"),
    ).toBe(true);
    expect((await refusal(authenticator(), hs256({ ...goodClaims, publish: patterns(129) }))).code).toBe(
      "unauthorized",
    );
  });

  it("takes 4,096 bytes and refuses 4,097", async () => {
    let padding = 2800;
    while (tokenOf(padding).length < 4096) padding += 1;
    const longest = tokenOf(padding).length === 4096 ? padding : padding - 1;
    expect(tokenOf(longest).length).toBeLessThanOrEqual(4096);
    expect(tokenOf(longest).length).toBeGreaterThan(4093);
    expect((await authenticator().verify(tokenOf(longest))).sub).toBe("alice");
    expect((await refusal(authenticator(), tokenOf(longest + 3))).code).toBe("unauthorized");
  });

  it.each([
    ["subscribe as text", { subscribe: "**" }],
    ["subscribe as an object", { subscribe: {} }],
    ["subscribe null", { subscribe: null }],
    ["a pattern that is none", { subscribe: ["a*"] }],
    ["a pattern that is a number", { publish: [5] }],
    ["sub as a number", { sub: 5 }],
  ])("%s is refused", async (_name, claims) => {
    expect((await refusal(authenticator(), hs256({ ...goodClaims, ...claims }))).code).toBe("unauthorized");
  });

  it.each([
    ["nothing", ""],
    ["one part", "abc"],
    ["five parts", "a.b.c.d.e"],
    ["claims that are a list", hs256([])],
    ["claims that are a text", hs256('"x"')],
    ["claims that are not JSON", hs256("{")],
    [
      "claims that are not UTF-8",
      `${part({ alg: "HS256" })}.${Buffer.from([0xff, 0xfe]).toString("base64url")}.AAAA`,
    ],
  ])("%s is refused", async (_name, token) => {
    expect((await refusal(authenticator(), token)).code).toBe("unauthorized");
  });
});

describe("AU4 headers that would lead elsewhere", () => {
  it.each([
    ["kid as a path", { kid: "../../dev/null" }],
    ["kid as SQL", { kid: "' OR 1=1 --" }],
    ["kid as a URL", { kid: "http://127.0.0.1:1/" }],
    ["jku", { jku: "http://127.0.0.1:1/keys" }],
    ["x5u", { x5u: "http://127.0.0.1:1/cert" }],
    ["jwk", { jwk: { kty: "oct", k: part("attacker") } }],
  ])("%s is not looked at", async (_name, header) => {
    const good = hs256(goodClaims, { alg: "HS256", ...header });
    expect((await authenticator().verify(good)).sub).toBe("alice");
    const forged = hs256(goodClaims, { alg: "HS256", ...header }, "attacker");
    expect((await refusal(authenticator(), forged)).code).toBe("unauthorized");
  });

  it("crit that nobody understands is refused", async () => {
    const token = hs256(goodClaims, { alg: "HS256", crit: ["x"], x: 1 });
    expect((await refusal(authenticator(), token)).code).toBe("unauthorized");
  });

  it.each([
    [
      "issuer",
      { issuer: "https://issuer.example" },
      { iss: "https://issuer.example" },
      { iss: "https://other.example" },
    ],
    ["audience", { audience: "tape" }, { aud: ["x", "tape"] }, { aud: "x" }],
  ])("a wrong %s is refused, and a missing one", async (_name, options, right, wrong) => {
    const verifier = authenticator(options);
    expect((await verifier.verify(hs256({ ...goodClaims, ...right }))).sub).toBe("alice");
    expect((await refusal(verifier, hs256({ ...goodClaims, ...wrong }))).code).toBe("unauthorized");
    expect((await refusal(verifier, hs256(goodClaims))).code).toBe("unauthorized");
  });
});

describe("AU6 several keys, while one takes the other's place", () => {
  const old = "an-old-secret-of-more-than-32-bytes-0123";
  it("a token of the old secret is good until the secret is removed, and no other ever", async () => {
    const token = hs256(goodClaims, { alg: "HS256" }, old);
    expect((await authenticator({ secrets: [old] }).verify(token)).sub).toBe("alice");
    expect((await authenticator({ secrets: [old] }).verify(hs256(goodClaims))).sub).toBe("alice");
    expect((await refusal(authenticator(), token)).code).toBe("unauthorized");
    const foreign = hs256(goodClaims, { alg: "HS256" }, `${old}x`);
    expect((await refusal(authenticator({ secrets: [old] }), foreign)).code).toBe("unauthorized");
  });

  it("an expired token of the old secret is told that it has expired", async () => {
    const token = hs256({ ...goodClaims, exp: 1 }, { alg: "HS256" }, old);
    expect((await refusal(authenticator({ secrets: [old] }), token)).message).toBe("the token has expired");
  });

  it("public keys may be of different kinds; each is good for its own algorithm only", async () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const ed = generateKeyPairSync("ed25519");
    const verifier = authenticator({
      algorithms: ["RS256", "EdDSA"],
      secret: null,
      publicKeyFile: pemFile(rsa.publicKey, "spki"),
      publicKeyFiles: [pemFile(ed.publicKey, "spki")],
    });
    const byRsa = await new SignJWT(goodClaims).setProtectedHeader({ alg: "RS256" }).sign(rsa.privateKey);
    const byEd = await new SignJWT(goodClaims).setProtectedHeader({ alg: "EdDSA" }).sign(ed.privateKey);
    expect((await verifier.verify(byRsa)).sub).toBe("alice");
    expect((await verifier.verify(byEd)).sub).toBe("alice");
    const mixed = `${byRsa.slice(0, byRsa.lastIndexOf("."))}.${byEd.split(".")[2] ?? ""}`;
    expect((await refusal(verifier, mixed)).code).toBe("unauthorized");
  });
});

describe("AU5 signatures", () => {
  const good = hs256(goodClaims);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(good.slice(-1));
  it.each([
    ["cut", good.slice(0, -4)],
    // 32 bytes leave two bits of the last character unused: four spellings of one signature.
    ["with other pad bits", good.slice(0, -1) + (alphabet[last ^ 1] ?? "")],
    ["empty", `${good.slice(0, good.lastIndexOf("."))}.`],
    ["padded", `${good}=`],
    ["with a line end", `${good}\n`],
    ["with a space", ` ${good}`],
    ["of another secret", hs256(goodClaims, { alg: "HS256" }, "another")],
    [
      "of other claims",
      `${part({ alg: "HS256" })}.${part({ ...goodClaims, sub: "root" })}.${good.split(".")[2] ?? ""}`,
    ],
  ])("%s is refused", async (_name, token) => {
    expect((await refusal(authenticator(), token)).code).toBe("unauthorized");
  });

  it("ES256 with (0,0) is refused (CVE-2022-21449)", async () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const verifier = authenticator({
      algorithms: ["ES256"],
      secret: null,
      publicKeyFile: pemFile(publicKey, "spki"),
    });
    const token = `${part({ alg: "ES256" })}.${part(goodClaims)}.${Buffer.alloc(64).toString("base64url")}`;
    expect((await refusal(verifier, token)).code).toBe("unauthorized");
  });
});

describe("without a token", () => {
  it("everything is allowed where none is required", () => {
    const { anonymous } = authenticator(null);
    expect(anonymous?.maySubscribe("quote.AAPL")).toBe(true);
    expect(anonymous?.mayPublish("chat.lobby")).toBe(true);
    expect(anonymous?.expiresWallMs).toBeNull();
  });

  it("there is no identity where one is required", () => {
    expect(authenticator({}, true).anonymous).toBeNull();
  });

  it("and without a key no token is accepted", async () => {
    expect((await refusal(authenticator(null), hs256(goodClaims))).code).toBe("unauthorized");
  });
});

describe("AU9 a remote key set", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.closeAllConnections();
  });

  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const others = generateKeyPairSync("ec", { namedCurve: "P-256" });
  /** An issuer that answers what `answer` says at the time, and counts. */
  async function issuer(answer: () => { status: number; body: string; location?: string } | null) {
    const state = { requests: 0, nowMs: 0, url: "" };
    const server = createServer((_request, response) => {
      state.requests += 1;
      const what = answer();
      if (what === null) return;
      response.writeHead(what.status, what.location === undefined ? {} : { location: what.location });
      response.end(what.body);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
    const jwt: JwtOptions = { ...base, algorithms: ["ES256"], secret: null, jwksUrl: state.url };
    const time = { nowMs: () => state.nowMs, wallMs: clock.wallMs };
    return { state, verifier: new Authenticator({ required: true, jwt, clock: time }) };
  }

  it("is asked once for many tokens", async () => {
    const { state, verifier } = await issuer(() => ({ status: 200, body: keySet(["one", keys.publicKey]) }));
    const token = await signed("one", keys.privateKey);
    await Promise.all([verifier.verify(token), verifier.verify(token), verifier.verify(token)]);
    await verifier.verify(token);
    expect(state.requests).toBe(1);
  });

  it("may have several keys for tokens that name none; at most eight are tried", async () => {
    const many = Array.from({ length: 7 }, (_, index) => [`k${index}`, others.publicKey] as const);
    let body = keySet(...many, ["last", keys.publicKey]);
    const token = await new SignJWT(goodClaims).setProtectedHeader({ alg: "ES256" }).sign(keys.privateKey);
    const first = await issuer(() => ({ status: 200, body }));
    expect((await first.verifier.verify(token)).sub).toBe("alice");
    body = keySet(...many, ["k7", others.publicKey], ["last", keys.publicKey]);
    const second = await issuer(() => ({ status: 200, body }));
    expect((await refusal(second.verifier, token)).code).toBe("unauthorized");
    expect(second.state.requests).toBe(1);
  });

  it("is asked again for a new key, and no more than every 30 s for keys that nobody knows", async () => {
    let body = keySet(["one", keys.publicKey]);
    const { state, verifier } = await issuer(() => ({ status: 200, body }));
    await verifier.verify(await signed("one", keys.privateKey));
    const rotated = await signed("two", others.privateKey);
    for (let count = 0; count < 5; count += 1)
      expect((await refusal(verifier, rotated)).code).toBe("unauthorized");
    expect(state.requests).toBe(1);
    body = keySet(["two", others.publicKey]);
    state.nowMs = 30_000;
    expect((await verifier.verify(rotated)).sub).toBe("alice");
    expect(state.requests).toBe(2);
  });

  it("stays good while the issuer is away", async () => {
    let status = 200;
    const { state, verifier } = await issuer(() => ({ status, body: keySet(["one", keys.publicKey]) }));
    const token = await signed("one", keys.privateKey);
    await verifier.verify(token);
    status = 503;
    state.nowMs = 10 * 3_600_000;
    expect((await verifier.verify(token)).sub).toBe("alice");
    expect(state.requests).toBe(2);
  });

  it("that was never had makes tokens unverifiable, not wrong", async () => {
    const { verifier } = await issuer(() => ({ status: 500, body: "" }));
    const refused = await refusal(verifier, await signed("one", keys.privateKey));
    expect(refused).toMatchObject({ code: "unavailable", temporary: true });
  });

  it("is not fetched from where a redirect leads", async () => {
    const elsewhere = await issuer(() => ({ status: 200, body: keySet(["one", keys.publicKey]) }));
    const { verifier } = await issuer(() => ({ status: 302, body: "", location: elsewhere.state.url }));
    expect((await refusal(verifier, await signed("one", keys.privateKey))).code).toBe("unavailable");
    expect(elsewhere.state.requests).toBe(0);
  });

  it("larger than 256 KiB is not taken", async () => {
    const { verifier } = await issuer(() => ({
      status: 200,
      body: `{"keys":[],"x":"${"x".repeat(262_144)}"}`,
    }));
    expect((await refusal(verifier, await signed("one", keys.privateKey))).code).toBe("unavailable");
  });

  it("never lets an HS256 token through", async () => {
    const { verifier } = await issuer(() => ({ status: 200, body: keySet(["one", keys.publicKey]) }));
    expect((await refusal(verifier, hs256(goodClaims, { alg: "HS256", kid: "one" }))).code).toBe(
      "unauthorized",
    );
    await verifier.verify(await signed("one", keys.privateKey));
    expect((await refusal(verifier, hs256(goodClaims, { alg: "HS256", kid: "one" }))).code).toBe(
      "unauthorized",
    );
  });
});
