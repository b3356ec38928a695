/** What is generated from the schema, and the configurations that come with Tapecast. */
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { limitNames } from "../../src/base/limit-counters.ts";
import { configMarkdown } from "../../src/config/config-markdown.ts";
import { defaultYaml } from "../../src/config/default-yaml.ts";
import { loadConfig } from "../../src/config/load.ts";
import { maskSecrets, maskUrl } from "../../src/config/mask.ts";
import { type OptionNode, optionTree } from "../../src/config/option-tree.ts";
import { defaultConfig } from "../../src/config/schema.ts";
import { schemaJson } from "../../src/config/schema-json.ts";

describe("config/", () => {
  it("default.yaml is what the schema says, and loads as the defaults", () => {
    expect(readFileSync("config/default.yaml", "utf8")).toBe(defaultYaml());
    expect(loadConfig({ file: "config/default.yaml" })).toEqual(defaultConfig());
  });

  it("demo.yaml needs no Redis, replays and echoes at the root", () => {
    const config = loadConfig({ file: "config/demo.yaml" });
    expect(config.broker.kind).toBe("memory");
    expect(config.workers).toBe(2);
    expect(config.demo).toEqual({ replay: "recorded", speed: 2, loop: true, rootEcho: true });
    expect(config.topics).toEqual(defaultConfig().topics);
  });

  it("production.yaml uses Redis and has the contract's rules", () => {
    const config = loadConfig({ file: "config/production.yaml" });
    expect(config.broker.kind).toBe("redis");
    expect(config.topics).toEqual(defaultConfig().topics);
  });
});

describe("the documents", () => {
  it("in the repository are what the schema says", () => {
    expect(readFileSync("docs/CONFIGURATION.md", "utf8")).toBe(configMarkdown());
    expect(readFileSync("config/tapecast.schema.json", "utf8")).toBe(schemaJson());
  });

  it("name every option with a sentence, and every duration, size and rate with its unit", () => {
    const markdown = configMarkdown();
    const visit = (node: OptionNode, path: string): void => {
      for (const child of node.children.values()) {
        const childPath = path === "" ? child.key : `${path}.${child.key}`;
        expect(markdown, childPath).toContain(`\`${childPath}\``);
        expect(child.description, childPath).not.toBe("");
        if (/(?:Ms|Sec|Bytes|PerSec)(?:Max)?$/u.test(child.key)) expect(child.unit, childPath).not.toBeNull();
        visit(child, childPath);
        if (child.element !== null) visit(child.element, `${childPath}[]`);
      }
    };
    visit(optionTree(), "");
  });

  it("have the keys and defaults of the contract", () => {
    const { limits, heartbeat, flush, demo, auth, listen, admin, workers } = defaultConfig();
    expect(limits).toEqual({
      connectionsMax: null,
      connectionsPerAddressMax: null,
      connectionsPerUserMax: null,
      handshakesPerSecMax: 2000,
      handshakesPerAddressPerSecMax: null,
      badCredentialsPerAddressPerSecMax: 100,
      headBytesMax: 16_384,
      headTimeoutMs: 10_000,
      topicsPerConnectionMax: 1024,
      topicsPerWorkerMax: 262_144,
      messageBytesMax: 65_536,
      echoMessageBytesMax: 16_777_216,
      fragmentsPerMessageMax: 1024,
      echoFragmentBytesMin: 64,
      messageTimeoutMs: 60_000,
      controlFramesPerSecMax: 20,
      inboundMessagesPerSecMax: 100,
      inboundBytesPerSecMax: 1_048_576,
      workMsPerSecMax: 20,
      workMsPerAddressPerSecMax: null,
      commandsPerWorkerPerSecMax: null,
      clientPublishesPerSecMax: 5,
      clientPublishesPerUserPerSecMax: null,
      ringBytesTotalMax: 268_435_456,
      httpPublishesPerSecMax: null,
      httpBodyBytesInFlightMax: 268_435_456,
      httpAnswerBytesTotalMax: 134_217_728,
      httpRequestsInFlightMax: 4096,
      httpRequestsPerAddressPerSecMax: null,
      pendingBytesMax: 1_048_576,
      pendingAgeMsMax: 10_000,
      pendingBytesTotalMax: 536_870_912,
      arrivingBytesTotalMax: 268_435_456,
      echoPendingBytesTotalMax: 134_217_728,
      waitingCommandBytesMax: 1_048_576,
      waitingCommandBytesTotalMax: 67_108_864,
    });
    expect(heartbeat).toEqual({ intervalMs: 25_000, timeoutMs: 8000 });
    expect(flush).toEqual({ windowMsMax: 20, batchWindowMsMax: 60, ringMessagesMax: 256 });
    expect(demo).toEqual({ replay: null, speed: 1, loop: true, rootEcho: false });
    expect(auth).toEqual({ required: false, publishKeys: [], jwt: null, allowedOrigins: "same-origin" });
    expect(listen).toEqual({
      host: "0.0.0.0",
      port: 8080,
      unixSocket: null,
      trustedProxies: [],
      tls: null,
      reusePort: false,
      directHandles: true,
      sendBufferBytes: 131_072,
      warmUpConnections: 500,
    });
    // A condition of fragmentsPerMessageMax: it stops nobody by itself.
    const stopping = Object.keys(limits).filter((key) => key !== "echoFragmentBytesMin");
    expect(stopping.toSorted()).toEqual([...limitNames].toSorted());
    expect(admin).toEqual({ host: "127.0.0.1", port: 9464 });
    expect(workers).toBe("auto");
  });
});

describe("masking", () => {
  it("hides keys, secrets and the passwords of URLs, and nothing else", () => {
    const secret = "01234567890123456789012345678901";
    const config = loadConfig({
      sets: [
        "auth.publishKeys=[alpha, beta]",
        `auth.jwt={algorithms: [HS256], secret: x${secret}}`,
        "broker.redis.mode=sentinel",
        "broker.redis.sentinelName=main",
        "broker.redis.url=redis://user:gamma@host:1/2",
        "broker.redis.urls=[redis://:delta@s1:1, redis://s2:2]",
      ],
    });
    const text = JSON.stringify(maskSecrets(config));
    for (const hidden of ["alpha", "beta", "gamma", "delta", secret]) expect(text).not.toContain(hidden);
    expect(text).toContain('"publishKeys":["***","***"]');
    expect(text).toContain("redis://user:***@host:1/2");
    expect(text).toContain("redis://s2:2");
    expect(maskSecrets(defaultConfig())).toEqual(defaultConfig());
  });

  it("masks a text that is no URL as a whole", () => {
    expect(maskUrl("user:password@host")).toBe("***");
  });
});
