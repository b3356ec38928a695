/**
 * The defaults that tools outside the project rely on. Keys may be added; those here keep their names, meanings and
 * values. Written out on purpose: a test that read them from the schema could not fail.
 */
import { parse } from "yaml";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";

const promised = `
listen: { host: 0.0.0.0, port: 8080, unixSocket: null, tls: null, reusePort: false }
admin: { host: 127.0.0.1, port: 9464 }
workers: auto
broker:
  kind: memory
  redis:
    { url: "redis://127.0.0.1:6379", urls: [], sentinelName: null, prefix: "tape:", mode: standalone }
topics:
  - { match: "quote.**", delivery: latest, history: { size: 1, ttlMs: 86400000 } }
  - { match: "trade.**", delivery: every, history: { size: 300, ttlMs: 300000 } }
  - { match: "danmaku.**", delivery: sample, samplePerSecMax: 60, history: { size: 50, ttlMs: 300000 }, clientPublish: true }
  - { match: "chat.**", delivery: every, history: { size: 300, ttlMs: 300000 }, clientPublish: true }
auth: { required: false, publishKeys: [], jwt: null, allowedOrigins: same-origin }
limits:
  connectionsMax: null
  connectionsPerAddressMax: null
  handshakesPerSecMax: 2000
  headBytesMax: 16384
  headTimeoutMs: 10000
  topicsPerConnectionMax: 1024
  messageBytesMax: 65536
  echoMessageBytesMax: 16777216
  fragmentsPerMessageMax: 1024
  controlFramesPerSecMax: 20
  inboundMessagesPerSecMax: 100
  inboundBytesPerSecMax: 1048576
  clientPublishesPerSecMax: 5
  pendingBytesMax: 1048576
  pendingAgeMsMax: 10000
heartbeat: { intervalMs: 25000, timeoutMs: 8000 }
flush: { windowMsMax: 20, ringMessagesMax: 256 }
demo: { replay: null, speed: 1, loop: true, rootEcho: false }
`;

it("the defaults are those that are promised to the outside", () => {
  expect(loadConfig({})).toMatchObject(parse(promised) as object);
  expect(loadConfig({}).topics).toHaveLength(4);
});
