import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";

import { get, publish } from "../e2e/http.ts";
import { Peer } from "../e2e/peer.ts";
import { cli, root, Running } from "../e2e/run.ts";
import { Server } from "../e2e/server.ts";
import { until } from "../e2e/until.ts";
import { freePort } from "../setup/redis-server.ts";
import { handshake, RawClient } from "./raw-client.ts";

// docker-compose.yml without an engine: its own commands, environment and mounts as plain processes on loopback. Only
// names of other services become addresses, and ports become free ones.

const folder = mkdtempSync(join(tmpdir(), "tapecast-compose-"));
const key = "a-publish-key-of-this-test";

interface Service {
  /** `./source:/target[:ro]`, or a named volume. */
  readonly volumes?: readonly string[];
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

interface Networked {
  readonly networks: { readonly default: { readonly ipv4_address: string } };
}

const { services }: { services: Record<string, Service> & { nginx: Networked } } = parse(
  readFileSync(`${root}docker-compose.yml`, "utf8"),
  { merge: true },
);

const nginxAddress = services.nginx.networks.default.ipv4_address;

let redis: ChildProcess;
let redisPort = 0;
let nginx: Running | undefined;
let nginxUrl = "";
const servers = new Map<string, Server>();
let replay: Running | undefined;
let prometheus: Running | undefined;

beforeAll(async () => {
  const [program = "", ...args] = services["redis"]?.command ?? [];
  redisPort = await freePort();
  redis = spawn(program, [...args, "--port", String(redisPort), "--bind", "127.0.0.1", "--dir", folder]);
  process.once("exit", () => redis.kill("SIGKILL"));
  await until("Redis", () =>
    spawnSync("redis-cli", ["-p", String(redisPort), "ping"]).stdout.includes("PONG"),
  );
  for (const name of ["server", "server-2"]) servers.set(name, await startServer(name));
  nginxUrl = await startNginx();
  replay = new Running(process.execPath, [cli, ...commandOf("replay")], { cwd: root });
}, 90_000);

afterAll(async () => {
  await replay?.kill();
  await prometheus?.kill();
  await nginx?.kill();
  for (const server of servers.values()) await server[Symbol.asyncDispose]();
  redis.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

describe("docker-compose.yml without an engine", () => {
  it.each([[], ["demo"], ["scale-out"], ["demo", "scale-out"]])(
    "docker-compose finds nothing to say about the profiles %j %j",
    (...profiles) => {
      const args = profiles.flatMap((profile) => ["--profile", profile]);
      const { status, stderr } = spawnSync("docker-compose", [
        "-f",
        `${root}docker-compose.yml`,
        ...args,
        "config",
        "-q",
      ]);
      expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: "" });
    },
  );

  it("both servers are ready, and their health checks say so", async () => {
    for (const server of servers.values()) {
      await until("readiness", async () => (await get(`${server.admin}/readyz`)).status === 200);
    }
  });

  it("Prometheus, with what is mounted for it, scrapes both servers and knows every rule", async () => {
    const port = await freePort();
    const top = mount("prometheus");
    const file = join(top, "/etc/prometheus/prometheus.yml");
    const config = parse(readFileSync(file, "utf8"));
    expect(config.scrape_configs[0].static_configs[0].targets).toEqual(["server:9464"]);
    expect(config.scrape_configs[0].dns_sd_configs[0]).toMatchObject({ names: ["server-2"], port: 9464 });
    const targets = [...servers.values()].map(({ admin }) => new URL(admin).host);
    config.scrape_configs[0].static_configs[0].targets = targets;
    // Names are the engine's to resolve.
    delete config.scrape_configs[0].dns_sd_configs;
    writeFileSync(file, JSON.stringify(config));
    // The image's own command (prometheus/prometheus, Dockerfile).
    prometheus = new Running("prometheus", [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(top, "/prometheus")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
    const url = `http://127.0.0.1:${port}`;
    await until(
      "its health check",
      async () => (await get(`${url}/-/ready`).catch(() => null))?.status === 200,
    );
    await until("both targets", async () => {
      const { data } = JSON.parse((await get(`${url}/api/v1/targets`)).text);
      const up = data.activeTargets.filter(({ health }: { health: string }) => health === "up");
      return up.length === targets.length;
    });
    const { data } = JSON.parse((await get(`${url}/api/v1/rules`)).text);
    const written = parse(readFileSync(join(top, "/etc/prometheus/prometheus-rules.yml"), "utf8"));
    expect(ruleNames(data.groups)).toEqual(ruleNames(written.groups));
  }, 30_000);

  it("Grafana is given dashboards where it looks for them, and the source that they ask", () => {
    const top = mount("grafana");
    const [provider] = read<{ options: { path: string } }>(
      top,
      "/etc/grafana/provisioning/dashboards",
      "providers",
    );
    const [source] = read<{ uid: string }>(top, "/etc/grafana/provisioning/datasources", "datasources");
    expect(source).toMatchObject({ type: "prometheus", url: "http://prometheus:9090" });
    const home = services["grafana"]?.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] ?? "";
    const files = readdirSync(join(top, provider.options.path));
    expect(files).toHaveLength(3);
    expect(files.map((file) => join(provider.options.path, file))).toContain(home);
    for (const file of files) {
      const dashboard = JSON.parse(readFileSync(join(top, provider.options.path, file), "utf8"));
      const uids = dashboard.panels.flatMap((panel: { datasource?: { uid: string } }) =>
        panel.datasource === undefined ? [] : [panel.datasource.uid],
      );
      expect(new Set(uids), file).toEqual(new Set([source.uid]));
    }
  });

  it("profile demo: prices move on both servers", async () => {
    for (const server of servers.values()) {
      const peer = await Peer.open(`${server.ws}/raw/quote.AAPL`);
      const prices = [JSON.parse(await peer.text()), JSON.parse(await peer.text())];
      for (const { price } of prices) expect(price).toBeGreaterThan(0);
      await peer.close();
    }
  });

  it("profile scale-out: a client has its own address behind nginx and on a server itself, whatever it writes", async () => {
    const direct = servers.get("server")?.http ?? "";
    const clients = [await pretend(nginxUrl, "127.0.0.7"), await pretend(direct, "127.0.0.8")];
    await until("both addresses", async () => {
      const addresses = await addressesOf("raw");
      return addresses.includes("127.0.0.7") && addresses.includes("127.0.0.8");
    });
    expect(await addressesOf("raw")).not.toContain("192.0.2.1");
    for (const client of clients) client.socket.destroy();
  });

  it("profile scale-out: a client resumes on the other node behind nginx, with nothing missed", async () => {
    const ws = nginxUrl.replace("http", "ws");
    const peer = await Peer.native(ws);
    const { epoch = "", seq = 0 } = await peer.subscribe("chat.lobby");
    await say("one");
    expect(await peer.json()).toMatchObject({ topic: "chat.lobby", seq: seq + 1, data: "one" });

    const first = await holderOf("chat.lobby");
    const other = first === "server" ? "server-2" : "server";
    await servers.get(first)?.stop();
    await peer.ended;
    await say("two");
    await say("three");

    const again = await Peer.native(ws);
    const state = await again.subscribe("chat.lobby", { since: { "chat.lobby": { epoch, seq: seq + 1 } } });
    expect(state).toMatchObject({
      recovered: true,
      messages: [
        { seq: seq + 2, data: "two" },
        { seq: seq + 3, data: "three" },
      ],
    });
    // An answer may be half a second old.
    await until("the other server to have it", async () => (await holderOf("chat.lobby")) === other);
    await say("four");
    expect(await again.json()).toMatchObject({ seq: seq + 4, data: "four" });
    await again.close();
  });
});

/** The files that a service is given, below a folder that stands for its root. */
function mount(name: string): string {
  const top = join(folder, name);
  for (const volume of services[name]?.volumes ?? []) {
    const [source = "", target = ""] = volume.split(":");
    if (source.startsWith("./")) cpSync(join(root, source), join(top, target), { recursive: true });
  }
  return top;
}

function ruleNames(groups: readonly { rules: readonly { name?: string; alert?: string }[] }[]): unknown[] {
  return groups.flatMap(({ rules }) => rules.map(({ name, alert }) => name ?? alert));
}

/** A list in the one YAML file of a folder. */
function read<Item>(top: string, path: string, key: string): [Item] {
  const [file = ""] = readdirSync(join(top, path));
  return parse(readFileSync(join(top, path, file), "utf8"))[key];
}

function commandOf(name: string): string[] {
  return (services[name]?.command ?? []).map((word) => onLoopback(word));
}

function onLoopback(text: string): string {
  return text
    .replaceAll("redis://redis:6379", `redis://127.0.0.1:${redisPort}`)
    .replaceAll(nginxAddress, "127.0.0.1");
}

function startServer(name: string): Promise<Server> {
  const { environment = {} } = services[name] ?? {};
  const own = Object.entries(environment).map(([variable, value]) => [variable, onLoopback(value)]);
  const env = {
    ...Object.fromEntries(own),
    TAPECAST_AUTH__PUBLISH_KEYS: JSON.stringify([key]),
    TAPECAST_LISTEN__PORT: "0",
    TAPECAST_ADMIN__PORT: "0",
    TAPECAST_SHUTDOWN__DRAIN_TIMEOUT_MS: "3000",
  };
  return Server.attach(new Running(process.execPath, [cli, ...commandOf(name)], { cwd: root, env }));
}

async function startNginx(): Promise<string> {
  const port = await freePort();
  const config = readFileSync(`${root}config/nginx.conf`, "utf8")
    .replace("listen 8080 ", `listen 127.0.0.1:${port} `)
    .replace("server server:8080", `server 127.0.0.1:${servers.get("server")?.port}`)
    .replace("server server-2:8080", `server 127.0.0.1:${servers.get("server-2")?.port}`)
    .replaceAll("/tmp/", `${folder}/`);
  writeFileSync(`${folder}/nginx.conf`, config);
  nginx = new Running("/usr/sbin/nginx", ["-c", `${folder}/nginx.conf`, "-g", "daemon off;"], {});
  const url = `http://127.0.0.1:${port}`;
  await until("nginx", async () => (await get(`${url}/readyz`).catch(() => null))?.status === 200);
  return url;
}

/** Publishes through nginx as a publisher does: again when the way was just cut. */
async function say(data: string): Promise<void> {
  await until("a publication to be accepted", async () => {
    const headers = { authorization: `Bearer ${key}` };
    const answer = await publish(nginxUrl, "chat.lobby", JSON.stringify(data), { headers });
    return answer.status === 200;
  });
}

/** The running server on which a topic has a subscriber; `nobody` if none. */
async function holderOf(topic: string): Promise<string> {
  for (const [name, server] of servers) {
    if (server.process.hasEnded) continue;
    const { text } = await get(`${server.admin}/topics?limit=100`);
    const items: { topic: string; subscribers: number }[] = JSON.parse(text).items;
    if (items.some((item) => item.topic === topic && item.subscribers > 0)) return name;
  }
  return "nobody";
}

/** A client at an address of this machine that says it were elsewhere. */
async function pretend(url: string, from: string): Promise<RawClient> {
  const client = new RawClient(Number(new URL(url).port), from);
  client.send(handshake("/raw/chat.address", ["X-Forwarded-For: 192.0.2.1"]));
  await client.until((text) => text.includes("101 Switching Protocols"), 10_000);
  return client;
}

/** Of the clients of both servers on this endpoint. */
async function addressesOf(endpoint: string): Promise<string[]> {
  const addresses: string[] = [];
  for (const server of servers.values()) {
    const { text } = await get(`${server.admin}/connections?limit=100`);
    const items: { endpoint: string; address: string }[] = JSON.parse(text).items;
    addresses.push(...items.filter((item) => item.endpoint === endpoint).map((item) => item.address));
  }
  return addresses;
}
