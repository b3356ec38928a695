/**
 * Two servers on one Redis behind nginx and behind haproxy, round-robin and without stickiness: whoever loses its server
 * resumes on the other, and nothing is missing. One server is drained, the other is killed, while messages flow.
 */
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { TapecastClient } from "../../src/client/tapecast-client.ts";
import { get, publish } from "../e2e/http.ts";
import { Running } from "../e2e/run.ts";
import { onRedis, Server } from "../e2e/server.ts";
import { delay, until } from "../e2e/until.ts";
import { freePort } from "../setup/redis-server.ts";
import { redisUrl, uniquePrefix } from "../setup/redis-url.ts";

const topic = "chat.two-nodes";
const clientCount = 20;

interface Balancer {
  readonly name: string;
  /** Files that it needs, by name; `folder` is theirs. */
  config(port: number, nodePorts: readonly number[], folder: string): string;
  command(file: string): readonly [string, readonly string[]];
}

const nginx: Balancer = {
  name: "nginx",
  config: (port, nodePorts, folder) => `
daemon off;
pid ${folder}/nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  upstream tapecast {
    ${nodePorts.map((each) => `server 127.0.0.1:${each} max_fails=1 fail_timeout=1s;`).join("\n    ")}
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://tapecast;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_connect_timeout 1s;
      proxy_read_timeout 60s;
    }
  }
}`,
  command: (file) => ["nginx", ["-e", "stderr", "-c", file]],
};

const haproxy: Balancer = {
  name: "haproxy",
  config: (port, nodePorts) => `
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  retries 2
  option redispatch
frontend all
  bind 127.0.0.1:${port}
  default_backend tapecast
backend tapecast
  balance roundrobin
  option httpchk GET /readyz
  ${nodePorts.map((each, index) => `server node${index} 127.0.0.1:${each} check inter 200ms fall 1 rise 1`).join("\n  ")}
`,
  command: (file) => ["haproxy", ["-db", "-f", file]],
};

const ended: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});

async function startNode(prefix: string, port: number): Promise<Server> {
  const server = await Server.start({ sets: { ...onRedis(redisUrl(), prefix), "listen.port": port } });
  ended.push(() => server[Symbol.asyncDispose]());
  return server;
}

/** Starts the balancer. @returns its address, `http://127.0.0.1:PORT`. */
async function startBalancer(balancer: Balancer, nodePorts: readonly number[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "tapecast-balancer-"));
  const port = await freePort();
  const file = join(folder, "balancer.conf");
  writeFileSync(file, balancer.config(port, nodePorts, folder));
  mkdirSync(join(folder, "proxy"));
  const [command, args] = balancer.command(file);
  const process = new Running(command, args);
  ended.push(async () => {
    await process.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  const address = `http://127.0.0.1:${port}`;
  await until(`${balancer.name} to serve`, async () => {
    if (process.hasEnded) throw new Error(`${balancer.name} ended: ${process.stdout}${process.stderr}`);
    return (await get(`${address}/readyz`).catch(() => null))?.status === 200;
  });
  return address;
}

/** A browser: the SDK, on the package `ws`. */
class Browser {
  readonly numbers: number[] = [];
  readonly ends: number[] = [];
  failedRecoveries = 0;
  #isSubscribed = false;
  readonly #client: TapecastClient;

  constructor(balancer: string) {
    this.#client = new TapecastClient(`${balancer.replace("http", "ws")}/ws`, {
      webSocket: (url) => new WebSocket(url, "tapecast.v1", { perMessageDeflate: false }),
      onStatus: (status) => {
        if (status.state === "waiting") this.ends.push(status.code);
      },
    });
    this.#client.subscribe([topic], {
      onSnapshot: ({ recovered }) => {
        this.#isSubscribed = true;
        if (recovered === false) this.failedRecoveries++;
      },
      onPublication: ({ data }) => this.numbers.push(Number(data)),
    });
    ended.push(async () => this.#client.close());
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed;
  }
}

/** Publishes 1, 2, 3 … through the balancer, each until it is stored, as a careful program does. */
function publishSteadily(balancer: string): { stop(): Promise<number> } {
  const stopping = new AbortController();
  let last = 0;
  const publishing = (async () => {
    while (!stopping.signal.aborted) {
      const key = randomUUID();
      const number = last + 1;
      await until(`message ${number} to be stored`, async () => {
        const headers = { "idempotency-key": key };
        const answer = await publish(balancer, topic, String(number), { headers }).catch(() => null);
        return answer?.status === 200;
      });
      last = number;
      // A client is told to stay away for up to 4 s: in that time less than the history keeps, 300 messages.
      await delay(15);
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await publishing;
      return last;
    },
  };
}

async function connectionsOf(server: Server): Promise<number> {
  return (await server.metrics()).sum("tapecast_connections_open");
}

for (const balancer of [nginx, haproxy]) {
  describe(`two servers behind ${balancer.name}, round-robin, no stickiness`, () => {
    it("one is drained, the other killed: every client resumes on the other with 0 lost", async () => {
      const prefix = uniquePrefix();
      const ports = [await freePort(), await freePort()] as const;
      const starting = startNode(prefix, ports[1]);
      let first = await startNode(prefix, ports[0]);
      const second = await starting;
      const address = await startBalancer(balancer, ports);
      const browsers = Array.from({ length: clientCount }, () => new Browser(address));
      await until("all to be subscribed", () => browsers.every((browser) => browser.isSubscribed));
      let shares: number[] = [];
      await until("both servers to have told their share", async () => {
        // Workers tell their figures once a second.
        shares = [await connectionsOf(first), await connectionsOf(second)];
        return shares.reduce((sum, share) => sum + share, 0) === clientCount;
      });
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(clientCount / 4);
      const publishing = publishSteadily(address);
      await until("a flow", () => browsers.every(({ numbers }) => numbers.length > 20));

      // Drained: its clients are told, and resume on the other.
      expect(await first.stop()).toEqual({ code: 0, signal: null });
      await until("all on the second", async () => (await connectionsOf(second)) === clientCount);
      const told = browsers.filter(({ ends }) => ends.length > 0);
      expect(told).toHaveLength(shares[0]!);
      expect(new Set(told.flatMap(({ ends }) => ends))).toEqual(new Set([4000]));

      first = await startNode(prefix, ports[0]);
      await flow(browsers);

      // Killed: nobody is told anything.
      await second.process.kill();
      await until("all on the first", async () => (await connectionsOf(first)) === clientCount);
      await flow(browsers);
      const last = await publishing.stop();
      await until("the last message everywhere", () =>
        browsers.every(({ numbers }) => numbers.at(-1) === last),
      );

      const everything = Array.from({ length: last }, (_, index) => index + 1);
      for (const { numbers, failedRecoveries } of browsers) {
        expect(failedRecoveries).toBe(0);
        expect(numbers).toEqual(everything);
      }
    });
  });
}

async function flow(browsers: readonly Browser[]): Promise<void> {
  const before = browsers.map(({ numbers }) => numbers.length);
  await until("a flow again", () =>
    browsers.every(({ numbers }, index) => numbers.length > before[index]! + 20),
  );
}
