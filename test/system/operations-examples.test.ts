import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";

import { get, publish } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { root, Running, tapecast } from "../e2e/run.ts";
import { Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { freePort, type RedisServer, startRedisServer } from "../setup/redis-server.ts";

// The examples of docs/OPERATIONS.md, as they stand there but for addresses, run by the programs that they are for.

const document = readFileSync(new URL("../../docs/OPERATIONS.md", import.meta.url), "utf8");
const key = "a-publish-key-of-this-test";
const folder = mkdtempSync(join(tmpdir(), "tapecast-operations-"));

let redis: RedisServer;
const servers: Server[] = [];
const proxies: Running[] = [];

beforeAll(async () => {
  redis = await startRedisServer();
  for (let count = 0; count < 2; count += 1) {
    const sets = {
      workers: 1,
      "broker.kind": "redis",
      "broker.redis.url": redis.url,
      "listen.trustedProxies": ["127.0.0.1"],
      "auth.publishKeys": [key],
    };
    servers.push(await Server.start({ sets }));
  }
}, 60_000);

afterAll(async () => {
  for (const proxy of proxies) await proxy.kill();
  for (const server of servers) await server[Symbol.asyncDispose]();
  await redis?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("docs/OPERATIONS.md", () => {
  it("systemd finds nothing to say about the unit", () => {
    // The program and the user are of the machine it is meant for.
    const unit = block("ini").replace("/usr/bin/node", process.execPath);
    const file = join(folder, "tapecast.service");
    writeFileSync(file, unit);
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], {
      encoding: "utf8",
    });
    // It looks at units of this machine, too.
    const ours = stderr.split("\n").filter((line) => line.includes("tapecast.service"));
    expect({ status, ours }).toEqual({ status: 0, ours: [] });
    expect(Number(/^TimeoutStopSec=(\d+)$/mu.exec(unit)?.[1]) * 1000).toBeGreaterThan(drainTimeoutMs());
  });

  it("haproxy: clients are spread over both servers and get what is published", async () => {
    const port = await freePort();
    const config = block("haproxy")
      .replace("bind :8080", `bind 127.0.0.1:${port}`)
      .replace("10.0.0.1:8080", `127.0.0.1:${servers[0]?.port}`)
      .replace("10.0.0.2:8080", `127.0.0.1:${servers[1]?.port}`)
      // This machine has fewer open files than a balancer.
      .replace("maxconn 200000", "maxconn 1000");
    const file = join(folder, "haproxy.cfg");
    writeFileSync(file, `${config}\n`);
    await expectProxy("/usr/sbin/haproxy", ["-db", "-f", file], port);
  }, 30_000);

  it("Caddy: the same", async () => {
    const port = await freePort();
    const config = block("caddyfile")
      // Without a name of its own it asks nobody for a certificate.
      .replace("tape.example.com", `http://127.0.0.1:${port}`)
      .replace("10.0.0.1:8080", `127.0.0.1:${servers[0]?.port}`)
      .replace("10.0.0.2:8080", `127.0.0.1:${servers[1]?.port}`);
    const file = join(folder, "Caddyfile");
    writeFileSync(file, `{\n  admin off\n}\n${config}`);
    await expectProxy("caddy", ["run", "--adapter", "caddyfile", "--config", file], port);
  }, 30_000);

  it("Kubernetes: names, ports and times fit each other, and the server takes arguments and environment", async () => {
    const objects = parseAllDocuments(block("yaml", "### Kubernetes")).map((each) => {
      expect(each.errors).toEqual([]);
      return each.toJS();
    });
    expect(objects.map(({ kind, apiVersion }) => `${apiVersion} ${kind}`)).toEqual([
      "apps/v1 Deployment",
      "policy/v1 PodDisruptionBudget",
      "v1 Service",
    ]);
    const [deployment, budget, service] = objects;
    const pod = deployment.spec.template;
    const [container] = pod.spec.containers;
    const ports = container.ports.map(({ name }: { name: string }) => name);
    for (const selector of [
      deployment.spec.selector.matchLabels,
      budget.spec.selector.matchLabels,
      service.spec.selector,
    ]) {
      expect(pod.metadata.labels).toMatchObject(selector);
    }
    for (const probe of ["livenessProbe", "readinessProbe", "startupProbe"]) {
      const { path, port } = container[probe].httpGet;
      expect(ports).toContain(port);
      expect((await get(`${servers[0]?.admin}${path}`)).status).toBe(200);
    }
    expect(ports).toContain(service.spec.ports[0].targetPort);
    const pauseMs = Number(container.lifecycle.preStop.exec.command[1]) * 1000;
    expect(pod.spec.terminationGracePeriodSeconds * 1000).toBeGreaterThan(pauseMs + drainTimeoutMs());

    const env: Record<string, string> = {};
    const secrets: Record<string, string> = {
      "redis-url": "redis://redis:6379",
      "publish-keys": '["a-long-publish-key"]',
    };
    for (const { name, value, valueFrom } of container.env) {
      env[name] = value ?? secrets[valueFrom.secretKeyRef.key] ?? "no such secret";
    }
    const { args } = container;
    expect(args.slice(0, 2)).toEqual(["serve", "--config"]);
    const effective = await tapecast(["print-config", "--config", args[2]], { cwd: root, env });
    expect([effective.code, effective.stderr]).toEqual([0, ""]);
    expect(parse(effective.stdout)).toMatchObject({
      workers: 2,
      broker: { kind: "redis", redis: { url: "redis://redis:6379" } },
      // The kubelet asks from outside of the pod's loopback.
      admin: { host: "0.0.0.0", port: 9464 },
    });
  });
});

/** Of the configuration that both deployments name. */
function drainTimeoutMs(): number {
  return parse(readFileSync(`${root}config/production.yaml`, "utf8")).shutdown.drainTimeoutMs;
}

/** The first code block of a language, behind a heading. */
function block(language: string, heading = ""): string {
  const text = document.slice(document.indexOf(heading));
  const [, code] = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, "mu").exec(text) ?? [];
  if (code === undefined) throw new Error(`docs/OPERATIONS.md has no example for ${language}`);
  return code;
}

/** Six clients through a proxy that was started on `port`, and a publication for them. */
async function expectProxy(program: string, args: readonly string[], port: number): Promise<void> {
  const proxy = new Running(program, args, { env: { HOME: folder, XDG_DATA_HOME: folder } });
  proxies.push(proxy);
  const url = `http://127.0.0.1:${port}`;
  await until(`${program} to pass requests on`, async () => {
    if (proxy.hasEnded) throw new Error(`it ended: ${proxy.stdout}${proxy.stderr}`);
    return (await get(`${url}/readyz`).catch(() => null))?.status === 200;
  });

  const topic = `chat.${port}`;
  const peers: Peer[] = [];
  for (let count = 0; count < 6; count += 1)
    peers.push(await Peer.open(`ws://127.0.0.1:${port}/raw/${topic}`));
  for (const server of servers) {
    const { text } = await get(`${server.admin}/connections?limit=100`);
    const items: { endpoint: string }[] = JSON.parse(text).items;
    expect(items.filter(({ endpoint }) => endpoint === "raw")).toHaveLength(3);
  }
  const word = JSON.stringify(`through ${program}`);
  const headers = { authorization: `Bearer ${key}` };
  expect((await publish(url, topic, word, { headers })).status).toBe(200);
  for (const peer of peers) {
    expect(await peer.text()).toBe(word);
    await peer.close();
  }
}
