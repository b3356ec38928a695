/** docs/CONFIGURATION.md: what is refused and with which path, and what wins over what. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { ConfigError } from "../../src/base/errors.ts";
import { type ConfigSources, loadConfig } from "../../src/config/load.ts";
import { defaultConfig } from "../../src/config/schema.ts";

const folder = mkdtempSync(join(tmpdir(), "tapecast-config-"));
let fileCount = 0;

function fileOf(text: string, extension = "yaml"): string {
  fileCount += 1;
  const file = join(folder, `config-${fileCount}.${extension}`);
  writeFileSync(file, text);
  return file;
}

function problemsOf(sources: ConfigSources): readonly { path: string; message: string }[] {
  try {
    loadConfig(sources);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

function pathsOf(yaml: string): string[] {
  return problemsOf({ file: fileOf(yaml) })
    .map((problem) => problem.path)
    .sort();
}

describe("a wrong file", () => {
  const rows: readonly [name: string, yaml: string, paths: readonly string[]][] = [
    ["unknown key", "listen: { prot: 1 }", ["listen.prot"]],
    ["unknown section", "lisen: { port: 1 }", ["lisen"]],
    [
      "unknown key in a rule",
      "topics: [{ match: a, delivery: every, clientpublish: true }]",
      ["topics[0].clientpublish"],
    ],
    ["unknown key called __proto__", "__proto__: { port: 1 }", ["__proto__"]],
    ["port below", "listen: { port: -1 }", ["listen.port"]],
    ["port above", "listen: { port: 65536 }", ["listen.port"]],
    ["port as text", 'listen: { port: "8080" }', ["listen.port"]],
    ["port with a fraction", "listen: { port: 80.5 }", ["listen.port"]],
    ["empty host", 'listen: { host: "" }', ["listen.host"]],
    ["section that is null", "listen:", ["listen"]],
    ["section that is a list", "limits: []", ["limits"]],
    ["file that is a list", "- 1", ["(root)"]],
    ["no workers", "workers: 0", ["workers"]],
    ["workers as a word", "workers: many", ["workers"]],
    ["broker of no kind", "broker: { kind: kafka }", ["broker.kind"]],
    ["redis over http", 'broker: { redis: { url: "http://localhost" } }', ["broker.redis.url"]],
    ["redis prefix with a brace", 'broker: { redis: { prefix: "a{b}" } }', ["broker.redis.prefix"]],
    [
      "cluster with a database",
      'broker: { redis: { mode: cluster, url: "redis://a/1" } }',
      ["broker.redis.url"],
    ],
    [
      "cluster with a database in one of its nodes",
      'broker: { redis: { mode: cluster, urls: ["redis://a/0", "redis://b/2"] } }',
      ["broker.redis.urls[1]"],
    ],
    [
      "cluster with a sentinel",
      "broker: { redis: { mode: cluster, sentinelName: m } }",
      ["broker.redis.sentinelName"],
    ],
    ["no partitions", "broker: { redis: { partitions: 0 } }", ["broker.redis.partitions"]],
    ["more partitions than slots", "broker: { redis: { partitions: 16385 } }", ["broker.redis.partitions"]],
    [
      "sentinel without anything",
      "broker: { redis: { mode: sentinel } }",
      ["broker.redis.sentinelName", "broker.redis.urls"],
    ],
    [
      "one bad sentinel",
      'broker: { redis: { mode: sentinel, sentinelName: m, urls: ["redis://a:1", "x"] } }',
      ["broker.redis.urls[1]"],
    ],
    [
      "sentinels without sentinel",
      'broker: { redis: { urls: ["redis://a:1"], sentinelName: m } }',
      ["broker.redis.sentinelName", "broker.redis.urls"],
    ],
    ["pattern with half a star", 'topics: [{ match: "quote.a*", delivery: latest }]', ["topics[0].match"]],
    ["reserved pattern", 'topics: [{ match: "$sys.**", delivery: latest }]', ["topics[0].match"]],
    ["rule without match and delivery", "topics: [{}]", ["topics[0].delivery", "topics[0].match"]],
    ["delivery of no kind", "topics: [{ match: a, delivery: most }]", ["topics[0].delivery"]],
    [
      "samplePerSecMax on every",
      "topics: [{ match: a, delivery: every, samplePerSecMax: 5 }]",
      ["topics[0].samplePerSecMax"],
    ],
    [
      "samplePerSecMax of zero",
      "topics: [{ match: a, delivery: sample, samplePerSecMax: 0 }]",
      ["topics[0].samplePerSecMax"],
    ],
    [
      "history without entries",
      "topics: [{ match: a, delivery: every, history: { size: 0, ttlMs: 0 } }]",
      ["topics[0].history.size", "topics[0].history.ttlMs"],
    ],
    ["topics as a map", "topics: { match: a }", ["topics"]],
    ["publish key with a space", 'auth: { publishKeys: ["a b"] }', ["auth.publishKeys[0]"]],
    ["one publish key", "auth: { publishKeys: abc }", ["auth.publishKeys"]],
    [
      "origin with a path",
      'auth: { allowedOrigins: ["https://ok.example", "https://a.example/"] }',
      ["auth.allowedOrigins[1]"],
    ],
    [
      "origin with its default port",
      'auth: { allowedOrigins: ["https://a.example:443"] }',
      ["auth.allowedOrigins[0]"],
    ],
    ["origins by a wrong word", "auth: { allowedOrigins: all }", ["auth.allowedOrigins"]],
    ["required without tokens", "auth: { required: true }", ["auth.required"]],
    [
      "jwt without algorithms",
      "auth: { jwt: { secret: 0123456789abcdef0123456789abcdef } }",
      ["auth.jwt.algorithms"],
    ],
    ["jwt without a key", "auth: { jwt: { algorithms: [HS256] } }", ["auth.jwt"]],
    [
      "jwt with two keys",
      'auth: { jwt: { algorithms: [HS256], secret: x0123456789abcdef0123456789abcde, jwksUrl: "https://a.example/k" } }',
      ["auth.jwt"],
    ],
    [
      "jwt with alg none",
      "auth: { jwt: { algorithms: [none], secret: x0123456789abcdef0123456789abcde } }",
      ["auth.jwt.algorithms[0]"],
    ],
    [
      "a short further secret",
      "auth: { jwt: { algorithms: [HS256], secret: x0123456789abcdef0123456789abcde, secrets: [short] } }",
      ["auth.jwt.secrets[0]"],
    ],
    [
      "a secret beside a key set",
      'auth: { jwt: { algorithms: [RS256], jwksUrl: "https://a.example/k", secrets: [x0123456789abcdef0123456789abcde], publicKeyFiles: [a] } }',
      ["auth.jwt.publicKeyFiles", "auth.jwt.secrets"],
    ],
    [
      "a missing further key file",
      "auth: { jwt: { algorithms: [RS256], publicKeyFile: /nonexistent, publicKeyFiles: [/nonexistent] } }",
      ["auth.jwt.publicKeyFile", "auth.jwt.publicKeyFiles[0]"],
    ],
    [
      "rules for tokens without tokens",
      'topics: [{ match: "a", delivery: every, subscribe: token }, { match: "b.{sub}", delivery: every }, { match: "c", delivery: every, clientPublish: true, publish: granted }, { match: "d", delivery: every, subscribe: nobody }]',
      ["topics[0].subscribe", "topics[1].match", "topics[2].publish"],
    ],
    [
      "a subject's topic for anyone, and {sub} in odd places",
      'topics: [{ match: "u.{sub}", delivery: every, subscribe: anyone }, { match: "**.{sub}", delivery: every }, { match: "{sub}.{sub}", delivery: every }, { match: "u{sub}", delivery: every }]',
      ["topics[0].subscribe", "topics[1].match", "topics[2].match", "topics[3].match"],
    ],
    [
      "publish where clients may not",
      "topics: [{ match: a, delivery: every, publish: anyone }]",
      ["topics[0].publish"],
    ],
    [
      "subscribe by a wrong word",
      "topics: [{ match: a, delivery: every, subscribe: all }]",
      ["topics[0].subscribe"],
    ],
    ["short secret", "auth: { jwt: { algorithms: [HS256], secret: short } }", ["auth.jwt.secret"]],
    [
      "RS256 with a secret",
      "auth: { jwt: { algorithms: [HS256, RS256], secret: x0123456789abcdef0123456789abcde } }",
      ["auth.jwt.algorithms[1]"],
    ],
    [
      "HS256 with a public key",
      'auth: { jwt: { algorithms: [HS256], jwksUrl: "https://a.example/k" } }',
      ["auth.jwt.algorithms[0]"],
    ],
    [
      "key set over http",
      'auth: { jwt: { algorithms: [RS256], jwksUrl: "http://a.example/k" } }',
      ["auth.jwt.jwksUrl"],
    ],
    [
      "skew of a minute",
      "auth: { jwt: { algorithms: [HS256], secret: x0123456789abcdef0123456789abcde, clockSkewSec: 60 } }",
      ["auth.jwt.clockSkewSec"],
    ],
    [
      "missing public key file",
      "auth: { jwt: { algorithms: [RS256], publicKeyFile: /nonexistent } }",
      ["auth.jwt.publicKeyFile"],
    ],
    [
      "limit of zero",
      "limits: { messageBytesMax: 0, connectionsMax: 0 }",
      ["limits.connectionsMax", "limits.messageBytesMax"],
    ],
    ["tls without a key", "listen: { tls: { cert: /nonexistent } }", ["listen.tls.key"]],
    [
      "tls without files",
      "listen: { tls: { cert: /nonexistent, key: /nonexistent } }",
      ["listen.tls.cert", "listen.tls.key"],
    ],
    ["socket path that is cut", `listen: { unixSocket: /${"a".repeat(107)} }`, ["listen.unixSocket"]],
    ["admin on the same port", "admin: { port: 8080 }", ["admin.port"]],
    ["replay of a missing file", "demo: { replay: [/nonexistent.csv] }", ["demo.replay[0]"]],
    ["replay by a wrong word", "demo: { replay: everything }", ["demo.replay"]],
    ["no speed", "demo: { speed: 0 }", ["demo.speed"]],
    ["log level of no kind", "log: { level: loud }", ["log.level"]],
  ];
  it.each(rows)("%s", (_name, yaml, paths) => {
    expect(pathsOf(yaml)).toEqual([...paths].sort());
  });

  it("is told all its problems at once, those between options too", () => {
    const yaml =
      "listen: { port: 0x1ffff }\nworkers: no\nbroker: { redis: { mode: clutser, url: 5 } }\nauth: { required: true }\nx: 1";
    expect(pathsOf(yaml)).toEqual([
      "auth.required",
      "broker.redis.mode",
      "broker.redis.url",
      "listen.port",
      "workers",
      "x",
    ]);
  });

  it("is not told of a conflict that only a default would have", () => {
    expect(pathsOf("listen: { port: 70000 }\nadmin: { port: 8080 }")).toEqual(["listen.port"]);
  });

  it("names the line, and what was meant", () => {
    const file = fileOf("listen:\n  host: a\n  prot: 1\n");
    expect(problemsOf({ file })).toEqual([
      { path: "listen.prot", message: `unknown key; did you mean port? (${file}:3)` },
    ]);
  });

  it("suggests nothing for a short name that is half another", () => {
    expect(problemsOf({ file: fileOf("foo: 1\n") })[0]?.message).toMatch(/^unknown key \(/);
    expect(problemsOf({ file: fileOf("lgo: 1\n") })[0]?.message).toMatch(/^unknown key \(/);
    expect(problemsOf({ file: fileOf("logs: 1\n") })[0]?.message).toMatch(/did you mean log\?/);
  });

  it.each([
    {
      name: "no workers",
      yaml: "workers: 0",
      problems: [["workers", "auto, or a whole number from 1 to 1024"]],
    },
    {
      name: "1,025 workers",
      yaml: "workers: 1025",
      problems: [["workers", "auto, or a whole number from 1 to 1024"]],
    },
    {
      name: "bytes",
      yaml: "listen: !!binary aGk=",
      problems: [["listen", "a section with keys of its own"]],
    },
    { name: "a set", yaml: "topics: !!set {a}", problems: [["topics", "a list of rules"]] },
  ])("is told what would be right instead of $name", ({ yaml, problems }) => {
    const file = fileOf(yaml);
    expect(problemsOf({ file })).toEqual(
      problems.map(([path, message]) => ({ path, message: `${message} (${file}:1)` })),
    );
  });

  it("with broken YAML names line and column", () => {
    const file = fileOf("listen:\n  port: 1\n  port: 2\n");
    expect(problemsOf({ file })[0]?.path).toBe(`${file}:3:3`);
  });

  it("that does not exist is a problem of its own", () => {
    expect(problemsOf({ file: "/nonexistent.yaml" })).toEqual([
      { path: "/nonexistent.yaml", message: "no such file" },
    ]);
  });

  it("cannot grow by aliases", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let depth = 1; depth < 9; depth += 1) {
      lines.push(`a${depth}: &a${depth} [${`*a${depth - 1}, `.repeat(9)}*a${depth - 1}]`);
    }
    expect(problemsOf({ file: fileOf(lines.join("\n")) })[0]?.message).toMatch(/alias/i);
  });

  it("never has its secrets repeated", () => {
    const secret = "hunter2hunter2";
    const yaml = `broker: { redis: { url: "http://u:${secret}@h" } }\nauth: { publishKeys: ["${secret} x"], jwt: { algorithms: [HS256], secret: ${secret} } }`;
    const sets = [`auth.publishKeys=[${secret}`, `limits.messageBytesMax=${secret}`];
    const problems = problemsOf({ file: fileOf(yaml), sets });
    expect(problems.length).toBeGreaterThan(3);
    expect(JSON.stringify(problems)).not.toContain(secret);
  });
});

describe("public key files", () => {
  it.each([
    ["a private key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", /private key/],
    ["no key", "hello", /not a public key/],
  ])("%s is refused", (_name, text, message) => {
    const file = fileOf(text, "pem");
    const yaml = `auth: { jwt: { algorithms: [RS256], publicKeyFile: ${file} } }`;
    const [problem] = problemsOf({ file: fileOf(yaml) });
    expect(problem?.path).toBe("auth.jwt.publicKeyFile");
    expect(problem?.message).toMatch(message);
  });
});

describe("keys that do not fit", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
  const keys: readonly [string, KeyObject, string, RegExp | null][] = [
    ["RSA for RS256", rsa, "RS256", null],
    ["RSA for ES256", rsa, "ES256", /a key for RS256, not for ES256/],
    ["RSA of 1024 bits", generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey, "RS256", /2048 bits/],
    ["P-256 for ES256", generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey, "ES256", null],
    ["P-384 for ES256", generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey, "ES256", /nor P-256/],
    ["Ed25519 for EdDSA", generateKeyPairSync("ed25519").publicKey, "EdDSA", null],
  ];
  it.each(keys)("%s", (_name, key, algorithm, message) => {
    const file = fileOf(key.export({ type: "spki", format: "pem" }).toString(), "pem");
    const yaml = `auth: { jwt: { algorithms: [${algorithm}], publicKeyFile: ${file} } }`;
    const problems = problemsOf({ file: fileOf(yaml) });
    if (message === null) return expect(problems).toEqual([]);
    expect(problems).toEqual([{ path: "auth.jwt.publicKeyFile", message: expect.stringMatching(message) }]);
  });

  it("a certificate that is none is found at the start", () => {
    const [cert, key] = [fileOf("no certificate", "pem"), fileOf("no key", "pem")];
    const problems = problemsOf({ file: fileOf(`listen: { tls: { cert: ${cert}, key: ${key} } }`) });
    expect(problems).toEqual([{ path: "listen.tls", message: expect.stringMatching(/cannot be used/) }]);
  });

  it("reusePort is refused where Node does not have it", () => {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    const has = major > 22 || (major === 22 && minor >= 12);
    expect(pathsOf("listen: { reusePort: true }")).toEqual(has ? [] : ["listen.reusePort"]);
  });

  it.each(["null", "chrome-extension://abcdef", "http://localhost:8080"])(
    "the origin %s is one",
    (origin) => {
      expect(pathsOf(`auth: { allowedOrigins: ["${origin}"] }`)).toEqual([]);
    },
  );
});

describe("what is right", () => {
  it("is the default for everything that is not said", () => {
    expect(loadConfig({})).toEqual(defaultConfig());
    expect(loadConfig({ file: fileOf("# nothing\n") })).toEqual(defaultConfig());
    expect(loadConfig({ file: fileOf("listen: {}\nlimits: {}") })).toEqual(defaultConfig());
  });

  it("may have no topics, and null for any limit", () => {
    const config = loadConfig({
      file: fileOf("topics: []\nlimits: { messageBytesMax: null, headTimeoutMs: null }"),
    });
    expect(config.topics).toEqual([]);
    expect(config.limits.messageBytesMax).toBeNull();
    expect(config.limits.headTimeoutMs).toBeNull();
  });

  it("fills in rules", () => {
    const yaml = "topics: [{ match: a, delivery: sample }, { match: b, delivery: every }]";
    expect(loadConfig({ file: fileOf(yaml) }).topics).toEqual([
      {
        match: "a",
        delivery: "sample",
        samplePerSecMax: 60,
        history: null,
        clientPublish: false,
        subscribe: null,
        publish: null,
      },
      {
        match: "b",
        delivery: "every",
        samplePerSecMax: null,
        history: null,
        clientPublish: false,
        subscribe: null,
        publish: null,
      },
    ]);
  });

  it("is again right when it is loaded from what came out", () => {
    const config = loadConfig({ file: fileOf("topics: [{ match: a, delivery: every }]\nworkers: 3") });
    expect(loadConfig({ file: fileOf(JSON.stringify(config)) })).toEqual(config);
  });
});

describe("precedence", () => {
  const file = fileOf("listen: { port: 1000, host: file }\nworkers: 1");

  it("is file < environment < --set, the last --set winning", () => {
    expect(loadConfig({ file }).listen.port).toBe(1000);
    const env = { TAPECAST_LISTEN__PORT: "2000" };
    expect(loadConfig({ file, env }).listen).toMatchObject({ port: 2000, host: "file" });
    const sets = ["listen.port=3000", "listen.port=4000"];
    expect(loadConfig({ file, env, sets }).listen).toMatchObject({ port: 4000, host: "file" });
  });

  it("lets a good value win over a bad one below it", () => {
    expect(
      loadConfig({ file: fileOf("listen: { port: x }"), env: { TAPECAST_LISTEN__PORT: "1" } }).listen.port,
    ).toBe(1);
  });

  it("names the source of a bad value", () => {
    const env = { TAPECAST_LISTEN__PORT: "high" };
    expect(problemsOf({ file, env })[0]?.message).toMatch(/\(TAPECAST_LISTEN__PORT\)$/);
    expect(problemsOf({ file, env, sets: ["listen.port=low"] })[0]?.message).toMatch(
      /\(--set listen\.port\)$/,
    );
  });
});

describe("the environment", () => {
  const rows: readonly [name: string, variable: string, value: string, path: string, expected: unknown][] = [
    ["a number", "TAPECAST_LISTEN__PORT", "9090", "listen.port", 9090],
    [
      "camelCase as UPPER_SNAKE",
      "TAPECAST_LIMITS__INBOUND_BYTES_PER_SEC_MAX",
      "5",
      "limits.inboundBytesPerSecMax",
      5,
    ],
    ["three levels", "TAPECAST_BROKER__REDIS__SENTINEL_NAME", "main", "broker.redis.sentinelName", "main"],
    ["a boolean", "TAPECAST_DEMO__ROOT_ECHO", "true", "demo.rootEcho", true],
    ["null", "TAPECAST_LIMITS__MESSAGE_BYTES_MAX", "null", "limits.messageBytesMax", null],
    ["an option at the root", "TAPECAST_WORKERS", "3", "workers", 3],
    ["a list as JSON", "TAPECAST_AUTH__PUBLISH_KEYS", '["a","b"]', "auth.publishKeys", ["a", "b"]],
    ["a list of rules", "TAPECAST_TOPICS", "[]", "topics", []],
    ["a word or a list", "TAPECAST_AUTH__ALLOWED_ORIGINS", "any", "auth.allowedOrigins", "any"],
    [
      "a text that looks like a number",
      "TAPECAST_BROKER__REDIS__PREFIX",
      "1e5",
      "broker.redis.prefix",
      "1e5",
    ],
    [
      "a text that looks like YAML",
      "TAPECAST_LISTEN__UNIX_SOCKET",
      "/a: b #c",
      "listen.unixSocket",
      "/a: b #c",
    ],
    ["an empty text that may be null", "TAPECAST_LISTEN__UNIX_SOCKET", "", "listen.unixSocket", null],
    ["a float", "TAPECAST_DEMO__SPEED", "0.5", "demo.speed", 0.5],
  ];
  it.each(rows)("takes %s", (_name, variable, value, path, expected) => {
    const sets =
      path === "broker.redis.sentinelName"
        ? ["broker.redis.mode=sentinel", "broker.redis.urls=[redis://a:1]"]
        : [];
    let at: unknown = loadConfig({ env: { [variable]: value }, sets });
    for (const key of path.split(".")) at = (at as Record<string, unknown>)[key];
    expect(at).toEqual(expected);
  });

  it("builds a section that is null by default out of its keys", () => {
    const env = {
      TAPECAST_AUTH__JWT__ALGORITHMS: "[HS256]",
      TAPECAST_AUTH__JWT__SECRET: "01234567890123456789012345678901",
    };
    expect(loadConfig({ env }).auth.jwt).toMatchObject({
      algorithms: ["HS256"],
      secret: env.TAPECAST_AUTH__JWT__SECRET,
    });
  });

  it("is left alone where Kubernetes and others write", () => {
    const env = {
      TAPECAST_PORT: "tcp://10.0.0.1:8080",
      TAPECAST_SERVICE_HOST: "10.0.0.1",
      TAPECAST_PORT_8080_TCP_PORT: "8080",
      TAPECAST_LISTEN: "whatever",
      TAPECAST_TOKEN: "x",
      OTHER__THING: "1",
    };
    expect(loadConfig({ env })).toEqual(defaultConfig());
  });

  it.each([
    ["TAPECAST_LISTEN__PROT", /did you mean TAPECAST_LISTEN__PORT/],
    ["TAPECAST_NOPE__X", /unknown/],
    ["TAPECAST_listen__port", /unknown/],
    ["TAPECAST_LISTEN__PORT__X", /unknown/],
    ["TAPECAST___", /unknown/],
  ])("with the unknown %s is refused", (name, message) => {
    const problems = problemsOf({ env: { [name]: "1" } });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ path: name, message: expect.stringMatching(message) });
  });
});

describe("--set", () => {
  it.each([
    ["listen.prot=1", "--set listen.prot"],
    ["listen", "--set listen"],
    ["=5", "--set "],
    ["topics[0].match=a", "--set topics[0].match"],
    ["__proto__.x=1", "--set __proto__.x"],
    ["listen.port={", "--set listen.port"],
  ])("%s is refused", (argument, path) => {
    expect(problemsOf({ sets: [argument] }).map((problem) => problem.path)).toEqual([path]);
  });

  it("takes everything after the first = for the value", () => {
    expect(loadConfig({ sets: ["broker.redis.url=redis://h/0?a=b"] }).broker.redis.url).toBe(
      "redis://h/0?a=b",
    );
  });
});
