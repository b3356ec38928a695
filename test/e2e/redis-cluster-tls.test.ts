/** A whole server on a Redis Cluster that speaks TLS and wants a password, while its slots move. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionOf, partitionSlot } from "../../src/broker/topic-partition.ts";
import { selfSigned } from "../setup/certificate.ts";
import { RedisCluster } from "../setup/redis-cluster.ts";
import { publish } from "./http.ts";
import { Peer } from "./peer.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

const password = "cluster-secret-canary";
const topic = "chat.guarded";
const moves = 20;
const folder = mkdtempSync(join(tmpdir(), "tapecast-cluster-tls-"));

let cluster: RedisCluster;
let server: Server;

beforeAll(async () => {
  const { cert, key } = selfSigned();
  const guard = { password, cert, certFile: join(folder, "cert.pem"), keyFile: join(folder, "key.pem") };
  writeFileSync(guard.certFile, cert);
  writeFileSync(guard.keyFile, key);
  cluster = await RedisCluster.start({ guard });
  server = await Server.start({
    sets: {
      "broker.kind": "redis",
      "broker.redis.mode": "cluster",
      "broker.redis.urls": cluster.urls.map((url) => url.replace("//", `//:${password}@`)),
    },
    env: { NODE_EXTRA_CA_CERTS: guard.certFile },
  });
}, 60_000);

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

it(`rediss with a password: ${moves} moves of a topic's slot under load, nothing missing, redirections are counted`, async () => {
  const peer = await Peer.native(server.ws);
  expect(await peer.subscribe(topic)).toMatchObject({ seq: 0 });
  const stopping = new AbortController();
  let last = 0;
  const publishing = (async () => {
    while (!stopping.signal.aborted) {
      const number = last + 1;
      // With a key of its own a publish may be repeated after a 503.
      const headers = { "idempotency-key": `number-${number}` };
      await until(`message ${number} to be stored`, async () => {
        return (await publish(server.http, topic, String(number), { headers })).status === 200;
      });
      last = number;
    }
  })();
  const slot = partitionSlot(partitionOf(topic, 256));
  for (let move = 0; move < moves; move++) {
    const before = last;
    const owner = await cluster.ownerOf(slot);
    await cluster.moveSlot(
      slot,
      cluster.masters.find((master) => master !== owner)!,
    );
    await until("a publication after the move", () => last > before + 2);
  }
  stopping.abort();
  await publishing;
  for (let number = 1; number <= last; number++) {
    expect(await peer.json()).toEqual({ topic, seq: number, data: number });
  }
  await peer.close();
  await until("redirections in the metrics", async () => {
    const metrics = await server.metrics();
    return metrics.sum("tapecast_broker_redirects_total") >= moves / 2;
  });
  expect(server.process.stdout + server.process.stderr).not.toContain(password);
  expect(server.process.stdout + server.process.stderr).not.toContain("DEP0123");
}, 60_000);
