/** The commands as processes: output, standard error and exit codes (docs/CLI.md). */
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { parse } from "yaml";

import { Authenticator, type JwtOptions } from "../../src/auth/authenticator.ts";
import { systemClock } from "../../src/base/clock.ts";
import { generatedDocuments } from "../../src/cli/docs-command.ts";
import { defaultConfig } from "../../src/config/schema.ts";
import { FakePublishServer } from "./fake-publish-server.ts";
import { CliRun, runCli } from "./run-cli.ts";

const folder = mkdtempSync(join(tmpdir(), "tapecast-cli-"));
const secret = "0123456789abcdef0123456789abcdef";

function fileOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const badConfig = fileOf("bad.yaml", "listen: { port: 99999, prot: 1 }\nworkers: none\n");

function verifier(jwt: Partial<JwtOptions>): Authenticator {
  const none: JwtOptions = {
    algorithms: ["HS256"],
    secret: null,
    secrets: [],
    publicKeyFile: null,
    publicKeyFiles: [],
    jwksUrl: null,
    audience: null,
    issuer: null,
    clockSkewSec: 0,
  };
  return new Authenticator({ required: true, jwt: { ...none, ...jwt }, clock: systemClock });
}

describe("every command line", () => {
  it.each([
    ["no command", [], 2, /Usage: tapecast/],
    ["an unknown command", ["dance"], 2, /unknown command 'dance'/],
    ["an unknown option", ["serve", "--fast"], 2, /unknown option '--fast'/],
    ["a missing argument", ["publish"], 2, /missing required argument 'topic'/],
    ["a message that is not JSON", ["publish", "chat.a", "hello"], 2, /not JSON/],
    ["- with a message", ["publish", "-", "1"], 2, /standard input/],
    ["a URL of another kind", ["publish", "chat.a", "1", "--url", "ftp://h"], 2, /must be http/],
    ["a topic that is none", ["subscribe", "a b"], 2, /a topic is segments/],
    ["a pattern that is none", ["token", "--subscribe", "a*"], 2, /whole segments/],
    ["a duration that is none", ["token", "--expires", "soon"], 2, /Such as 90s/],
    ["a token for nobody", ["token", "--sub", ""], 2, /--sub.*empty/],
    ["an interval below 0", ["subscribe", "chat.a", "--interval", "-1"], 2, /0 or more/],
    ["a Redis of another kind", ["publish", "chat.a", "1", "--redis", "http://h"], 2, /must be redis:/],
    ["a speed of zero", ["replay", "x.csv", "--speed", "0"], 2, /above 0/],
    ["a missing recording", ["replay", "/nonexistent.csv"], 1, /no such file/],
    [
      "nobody to publish to",
      ["publish", "chat.a", "1", "--url", "http://127.0.0.1:1"],
      69,
      /connection refused/,
    ],
    [
      "nobody to subscribe to",
      ["subscribe", "chat.a", "--interval", "0", "--url", "ws://127.0.0.1:1"],
      69,
      /connection refused/,
    ],
    ["no Redis", ["publish", "chat.a", "1", "--redis", "redis://127.0.0.1:1"], 69, /Redis cannot be had/],
    ["a bad configuration to serve", ["serve", "--config", badConfig], 78, /3 problems/],
    ["a bad --set", ["print-config", "--set", "listen.prot=1"], 78, /--set listen\.prot: unknown key/],
    ["a configuration that is missing", ["check-config", "/nonexistent.yaml"], 78, /no such file/],
  ])("with %s says so", async (_name, args, code, message) => {
    const run = await runCli(args);
    expect({ code: run.code, stdout: run.stdout }).toEqual({ code, stdout: "" });
    expect(run.stderr).toMatch(message);
    expect(run.stderr).not.toMatch(/^\s+at /mu);
  });

  it("has help with examples, and a version", async () => {
    const main = await runCli(["--help"]);
    expect(main.code).toBe(0);
    expect(main.stdout).toMatch(/Exit codes:\n {2}0 [\s\S]* 2 [\s\S]* 69 [\s\S]* 78 /u);
    for (const command of [
      "serve",
      "publish",
      "subscribe",
      "replay",
      "token",
      "check-config",
      "print-config",
    ]) {
      expect(main.stdout).toContain(`\n  ${command} `);
    }
    expect((await runCli(["publish", "--help"])).stdout).toMatch(/Examples:\n {2}# /u);
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    expect(await runCli(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });
});

describe("check-config and print-config", () => {
  it("name all problems", async () => {
    const run = await runCli(["check-config", badConfig]);
    expect(run.stderr.split("\n").slice(1, -1).sort()).toEqual([
      `listen.port: at most 65535 (${badConfig}:1)`,
      `listen.prot: unknown key; did you mean port? (${badConfig}:1)`,
      `workers: auto, or a whole number from 1 to 1024 (${badConfig}:2)`,
    ]);
  });

  it("find no problem in what comes with Tapecast", async () => {
    const run = await runCli(["check-config", "config/production.yaml"]);
    expect(run).toEqual({ code: 0, stdout: "config/production.yaml: no problems\n", stderr: "" });
  });

  it("print what is in effect, secrets masked", async () => {
    const env = {
      TAPECAST_AUTH__PUBLISH_KEYS: '["alpha"]',
      TAPECAST_LISTEN__PORT: "1",
      TAPECAST_PORT: "tcp://x",
    };
    const run = await runCli(["print-config", "--config", "config/demo.yaml", "--set", "listen.port=2"], {
      env,
    });
    expect(run.code).toBe(0);
    expect(run.stdout).not.toContain("alpha");
    expect(parse(run.stdout)).toMatchObject({
      listen: { port: 2 },
      auth: { publishKeys: ["***"] },
      demo: { speed: 2 },
    });
    expect(parse((await runCli(["print-config"])).stdout)).toEqual(defaultConfig());
  });
});

describe("publish", () => {
  let server: FakePublishServer;
  beforeEach(async () => {
    server = await FakePublishServer.start();
  });
  afterEach(() => server.close());

  it("publishes one message byte for byte and prints its position", async () => {
    const run = await runCli([
      "publish",
      "quote.AAPL",
      '{"price":189.30}',
      "--url",
      server.url,
      "--key",
      "k",
    ]);
    expect(run).toEqual({ code: 0, stdout: '{"topic":"quote.AAPL","epoch":"17","seq":1}\n', stderr: "" });
    expect(server.lines).toEqual(['{"topic":"quote.AAPL","data":{"price":189.30}}']);
    expect(server.requests[0]?.headers.authorization).toBe("Bearer k");
  });

  it("takes the key from the environment", async () => {
    await runCli(["publish", "a", "1", "--url", server.url], { env: { TAPECAST_KEY: "from-env" } });
    expect(server.requests[0]?.headers.authorization).toBe("Bearer from-env");
  });

  it("says why one message was refused", async () => {
    const run = await runCli(["publish", "a", '"REFUSE"', "--url", server.url]);
    expect(run).toEqual({ code: 1, stdout: "", stderr: "tapecast: bad_topic: not that one\n" });
  });

  it("publishes lines of objects, names the refused ones and goes on", async () => {
    const input = [
      '{"topic":"quote.A","data":{"price":1.10}}',
      "",
      "not json",
      '{"topic":"quote.B","data":1,"extra":2}',
      '{"topic":7,"data":1}',
      '{"topic":"quote.C","data":"REFUSE"}',
      '{"data": [1.0,12345678901234567890] , "topic":"quote.\\u0044"}',
    ].join("\n");
    const run = await runCli(["publish", "-", "--url", server.url], { input });
    expect(run.code).toBe(1);
    expect(run.stdout).toBe("");
    expect(run.stderr.split("\n").slice(0, -1).sort()).toEqual([
      'line 3: bad_request: not an object of "topic" and "data"',
      'line 4: bad_request: not an object of "topic" and "data"',
      "line 5: bad_topic: a topic is a string",
      "line 6: bad_topic: not that one",
      "published 2, refused 4",
    ]);
    expect(server.lines).toEqual([
      '{"topic":"quote.A","data":{"price":1.10}}',
      '{"topic":"quote.C","data":"REFUSE"}',
      '{"topic":"quote.D","data":[1.0,12345678901234567890]}',
    ]);
  });

  it("publishes lines that are the data, and no line can pass for more", async () => {
    const input = '{"price":1.10}\n1},"topic":"evil"\n"x"\n';
    const run = await runCli(["publish", "trade.A", "--url", server.url], { input });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("line 2: bad_request: not a JSON value");
    expect(server.lines).toEqual([
      '{"topic":"trade.A","data":{"price":1.10}}',
      '{"topic":"trade.A","data":"x"}',
    ]);
  });

  it("sends 5,000 lines in order, at most 1,000 at a time", async () => {
    const input = Array.from({ length: 5000 }, (_, index) => `{"topic":"a","data":${index}}`).join("\n");
    const run = await runCli(["publish", "-", "--url", server.url], { input });
    expect(run).toEqual({ code: 0, stdout: "", stderr: "published 5000\n" });
    expect(server.lines.map((line) => Number(JSON.parse(line).data))).toEqual(
      Array.from({ length: 5000 }, (_, index) => index),
    );
    for (const request of server.requests)
      expect(request.body.split("\n").length - 1).toBeLessThanOrEqual(1000);
    expect(server.requests.length).toBeLessThan(30);
  });

  it("sends a live feed line by line, without waiting for its end", async () => {
    const run = new CliRun(["publish", "-", "--url", server.url]);
    const seen = (count: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setInterval(() => {
          if (server.lines.length < count) return;
          clearInterval(timer);
          resolve();
        }, 5);
      });
    for (let count = 1; count <= 3; count += 1) {
      run.child.stdin.write(`{"topic":"a","data":${count}}\n`);
      await seen(count);
    }
    run.child.kill("SIGINT");
    expect(await run.ended).toBe(0);
    expect(run.stderr).toBe("published 3\n");
  });

  it("ends with 1 when the key is refused, also in the middle of a feed", async () => {
    server.answers.push({
      status: 401,
      body: '{"error":{"code":"unauthorized","message":"a publish key is needed"}}',
    });
    const run = new CliRun(["publish", "-", "--url", server.url]);
    run.child.stdin.write('{"topic":"a","data":1}\n');
    expect(await run.ended).toBe(1);
    expect(run.stderr).toBe("tapecast: unauthorized: a publish key is needed\n");
  });
});

describe("replay", () => {
  let server: FakePublishServer;
  beforeAll(async () => {
    server = await FakePublishServer.start();
  });
  afterAll(() => server.close());

  it("publishes a recording in time order, every digit of it", async () => {
    const csv = fileOf(
      "walk.csv",
      "symbol,date,price\nB,Feb 1 2000,2.50\nA,Jan 1 2000,1.10\nB,Jan 1 2000,3.000\n",
    );
    const run = await runCli(["replay", csv, "--speed", "1000", "--url", server.url]);
    expect(run).toEqual({ code: 0, stdout: "", stderr: "replayed 3\n" });
    expect(server.lines).toEqual([
      '{"topic":"quote.A","data":{"symbol":"A","price":1.10,"date":"2000-01-01"}}',
      '{"topic":"quote.B","data":{"symbol":"B","price":3.000,"date":"2000-01-01"}}',
      '{"topic":"quote.B","data":{"symbol":"B","price":2.50,"date":"2000-02-01"}}',
    ]);
  });

  it("loops until Ctrl-C", async () => {
    const before = server.lines.length;
    const run = new CliRun([
      "replay",
      "src/feed/data/stocks.csv",
      "--speed",
      "5000",
      "--loop",
      "--url",
      server.url,
    ]);
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (server.lines.length < before + 600) return;
        clearInterval(timer);
        resolve();
      }, 5);
    });
    run.child.kill("SIGINT");
    expect(await run.ended).toBe(0);
  });
});

describe("subscribe", () => {
  it("prints lines, and ends with 0 on Ctrl-C after a close handshake", async () => {
    const peers = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await new Promise((resolve) => peers.once("listening", resolve));
    const closed = new Promise<number>((resolve) => {
      peers.on("connection", (peer, request) => {
        peer.on("close", resolve);
        peer.on("message", () => {
          peer.send('{"id":1,"result":{"topics":{"a":{}}}}');
          peer.send(`{"topic":"a","data":{"path":${JSON.stringify(request.url)},"price":1.10}}`);
        });
      });
    });
    const run = new CliRun([
      "subscribe",
      "a",
      "--url",
      `http://127.0.0.1:${(peers.address() as AddressInfo).port}`,
    ]);
    await run.until(() => run.lines.length === 1);
    expect(run.lines).toEqual(['{"topic":"a","data":{"path":"/ws","price":1.10}}']);
    run.child.kill("SIGINT");
    expect(await run.ended).toBe(0);
    expect(await closed).toBe(1000);
    peers.close();
  });

  it("ends with 1 when it is not to come back", async () => {
    const peers = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await new Promise((resolve) => peers.once("listening", resolve));
    peers.on("connection", (peer) => peer.close(4500, "unauthorized"));
    const run = await runCli([
      "subscribe",
      "a",
      "--url",
      `ws://127.0.0.1:${(peers.address() as AddressInfo).port}/ws`,
      "--token",
      "s3cret",
    ]);
    expect(run).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("4500 unauthorized") });
    expect(run.stderr).not.toContain("s3cret");
    peers.close();
  });
});

describe("topic-key", () => {
  it("prints channel and key, with the hash tag in a cluster only", async () => {
    const plain = await runCli(["topic-key", "quote.AAPL"]);
    expect(JSON.parse(plain.stdout)).toEqual({
      topic: "quote.AAPL",
      channel: "tape:quote.AAPL",
      key: "tape:log:quote.AAPL",
    });
    const cluster = ["-s", "broker.redis.mode=cluster"];
    const both = await runCli(["topic-key", ...cluster, "quote.AAPL", "chat.lobby"]);
    expect(
      both.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      {
        topic: "quote.AAPL",
        channel: "tape:{p73}:quote.AAPL",
        key: "tape:{p73}:log:quote.AAPL",
        partition: 73,
        slot: 570,
      },
      {
        topic: "chat.lobby",
        channel: "tape:{p83}:chat.lobby",
        key: "tape:{p83}:log:chat.lobby",
        partition: 83,
        slot: 4612,
      },
    ]);
  });

  it("prints one of them as plain text, with the prefix and partitions of the configuration", async () => {
    const sets = [
      "-s",
      "broker.redis.mode=cluster",
      "-s",
      "broker.redis.partitions=10",
      "-s",
      "broker.redis.prefix=x:",
    ];
    expect((await runCli(["topic-key", "--key", ...sets, "quote.AAPL"])).stdout).toBe(
      "x:{p7}:log:quote.AAPL\n",
    );
    expect((await runCli(["topic-key", "--channel", ...sets, "quote.AAPL"])).stdout).toBe(
      "x:{p7}:quote.AAPL\n",
    );
  });

  it("refuses what is no topic, and both options at once", async () => {
    for (const args of [["a b"], ["quote.AAPL", "--key", "--channel"]]) {
      const { code, stdout, stderr } = await runCli(["topic-key", ...args]);
      expect([args, code, stdout]).toEqual([args, 2, ""]);
      expect(stderr).toMatch(/^tapecast: (a b: a topic is segments|--channel and --key exclude each other)/u);
    }
  });
});

describe("token", () => {
  const claims = [
    "--sub",
    "alice",
    "--subscribe",
    "quote.**",
    "trade.*",
    "--publish",
    "chat.*",
    "--expires",
    "90s",
  ];

  it("signs with the secret of the configuration, for its issuer and audience", async () => {
    const config = fileOf(
      "jwt.yaml",
      `auth: { jwt: { algorithms: [HS256], secret: ${secret}, issuer: us, audience: tape } }`,
    );
    const run = await runCli(["token", ...claims, "--config", config]);
    expect(run).toMatchObject({ code: 0, stderr: "" });
    const identity = await verifier({ secret, issuer: "us", audience: "tape" }).verify(run.stdout.trim());
    expect(identity.sub).toBe("alice");
    expect([
      identity.maySubscribe("trade.A"),
      identity.maySubscribe("chat.a"),
      identity.mayPublish("chat.a"),
    ]).toEqual([true, false, true]);
    expect(Math.abs((identity.expiresWallMs ?? 0) - Date.now() - 90_000)).toBeLessThan(60_000);
  });

  it("signs with a private key", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const keyFile = fileOf("private.pem", privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    const publicKeyFile = fileOf("public.pem", publicKey.export({ type: "spki", format: "pem" }).toString());
    const run = await runCli(["token", ...claims, "--key-file", keyFile]);
    expect((await verifier({ algorithms: ["EdDSA"], publicKeyFile }).verify(run.stdout.trim())).sub).toBe(
      "alice",
    );
  });

  it.each([
    ["without a key", [], /no key/],
    ["with a short secret", ["--secret", "short"], /at least 32 bytes/],
    ["with a public key", ["--key-file", "package.json"], /not a private key/],
  ])("%s is refused", async (_name, args, message) => {
    const run = await runCli(["token", "--sub", "a", ...args]);
    expect(run).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(message) });
  });
});

describe("docs", () => {
  it("are as generated, and a planted difference is found", async () => {
    for (const [path, text] of await generatedDocuments()) {
      if (path !== "docs/METRICS.md") expect(readFileSync(path, "utf8"), path).toBe(text);
    }
    const run = await runCli(["docs", "--check", "--root", folder]);
    expect(run.code).toBe(1);
    expect(run.stderr).toContain("docs/CLI.md is not what the code says");
  });
});
