/**
 * What the dashboards show when nobody names a Prometheus: two servers on one Redis, under a bit of every load, with
 * clients that make mistakes, so that no panel has a reason to be empty.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { OwnServer } from "../own-server.ts";
import { startRedis, type OwnRedis } from "../peers/redis.ts";
import { exitInterrupted } from "../run/run-scenario.ts";
import { OwnPrometheus } from "./own-prometheus.ts";

const loadEntry = fileURLToPath(new URL("../main.ts", import.meta.url));
const smallMs = 500;
/** Quotes of one batch: only what is long enough is compressed. */
const boardTopics = Array.from({ length: 20 }, (_, index) => `quote.board.${index}`);
/** Loads run on for so long after the span that is drawn: their end is no part of the picture. */
const spareSec = 10;

/** Sizes that two cores carry with everything else on them. */
const loads: readonly { readonly server: 0 | 1; readonly args: readonly string[] }[] = [
  { server: 0, args: ["soak", "--subscribers", "60", "--rate", "100"] },
  { server: 0, args: ["danmaku-burst", "--viewers", "30", "--burst", "600"] },
  { server: 1, args: ["slow-readers", "--subscribers", "24", "--rate", "200"] },
  {
    server: 1,
    args: [
      "quote-fanout",
      "--subscribers",
      "60",
      "--symbols",
      "20",
      "--board",
      "10",
      "--rate",
      "100",
      "--interval",
      "250",
    ],
  },
];

export class DemoCluster {
  readonly prometheusUrl: string;
  readonly #prometheus: OwnPrometheus;
  readonly #servers: readonly OwnServer[];
  readonly #redis: OwnRedis;
  readonly #sockets = new Set<WebSocket>();

  private constructor(prometheus: OwnPrometheus, servers: readonly OwnServer[], redis: OwnRedis) {
    this.#prometheus = prometheus;
    this.#servers = servers;
    this.#redis = redis;
    this.prometheusUrl = prometheus.url;
  }

  /** @throws CliError without Redis or Prometheus. */
  static async start(): Promise<DemoCluster> {
    const redis = await startRedis(null);
    const settings = [
      "workers=2",
      "broker.kind=redis",
      `broker.redis.url=redis://127.0.0.1:${redis.port}`,
      "limits.handshakesPerSecMax=null",
    ];
    const servers = await Promise.all([
      OwnServer.start([...settings, "demo.replay=recorded", "demo.speed=20"]),
      OwnServer.start(settings),
    ]);
    const prometheus = await OwnPrometheus.start(servers.map(({ adminUrl }) => new URL(adminUrl).host));
    return new DemoCluster(prometheus, servers, redis);
  }

  /**
   * Puts it under load, and calls `draw` when that has lasted for `seconds`.
   * @throws CliError when a load says that a promise was broken.
   */
  async load<Drawn>(
    seconds: number,
    interrupted: AbortSignal,
    onSecond: (second: number) => void,
    draw: () => Promise<Drawn>,
  ): Promise<Drawn | null> {
    const path = `/ws?batch=1&topics=${boardTopics.join(",")}`;
    for (const server of this.#servers) this.#socket(server, path, true);
    const small = setInterval(() => {
      for (const server of this.#servers) this.#someMore(server);
    }, smallMs);
    const children = loads.map(
      ({ server, args }) => new LoadProcess(this.#servers[server]?.url ?? "", args, seconds + spareSec),
    );
    const interrupt = (): void => {
      for (const child of children) child.interrupt();
    };
    interrupted.addEventListener("abort", interrupt);
    try {
      await Promise.all(children.map(({ publishing }) => publishing));
      for (let second = 0; second < seconds && !interrupted.aborted; second++) {
        onSecond(second);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
      const drawn = interrupted.aborted ? null : await draw();
      await Promise.all(children.map(({ done }) => done));
      return drawn;
    } finally {
      interrupt();
      clearInterval(small);
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    await this.#prometheus.stop();
    await Promise.all(this.#servers.map((server) => server.stop()));
    await this.#redis.stop();
  }

  /**
   * A batch for those who compress, and mistakes: a topic that cannot be, a page of elsewhere, a method that nobody has,
   * a client that leaves at once.
   */
  #someMore(server: OwnServer): void {
    const socket = this.#socket(server, "/ws", false);
    socket.once("open", () => {
      socket.send(JSON.stringify({ id: 1, method: "subscribe", params: { topics: ["no!topic"] } }));
      socket.send(JSON.stringify({ id: 2, method: "fly" }));
      socket.ping();
      setTimeout(() => socket.close(), smallMs / 2);
    });
    this.#socket(server, "/ws", false, { origin: "http://elsewhere.example" });
    const lines = [...boardTopics, "no!topic"].map((topic) =>
      JSON.stringify({ topic, data: { price: 189.3, time: Date.now() } }),
    );
    const headers = { "content-type": "application/x-ndjson" };
    // Counted by the server, whatever it answers.
    fetch(`${server.url}/api/publish`, { method: "POST", headers, body: lines.join("\n") }).catch(
      () => undefined,
    );
  }

  #socket(
    { url }: OwnServer,
    path: string,
    perMessageDeflate: boolean,
    headers: Record<string, string> = {},
  ): WebSocket {
    const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, { perMessageDeflate, headers });
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // Refused, which is what it is for, or ended with the server.
    socket.on("error", () => undefined);
    return socket;
  }
}

/** One scenario as a process. */
class LoadProcess {
  readonly #child: ChildProcess;
  /** Resolves when its clients are there and it publishes. */
  readonly publishing: Promise<void>;
  readonly done: Promise<void>;

  constructor(url: string, args: readonly string[], seconds: number) {
    const all = [loadEntry, ...args, "--url", url, "--seconds", String(seconds), "--processes", "1"];
    const child = spawn(process.execPath, ["--import", "tsx", ...all, "--out", "load/results/dashboards"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    let output = "";
    this.done = new Promise((resolve, reject) => {
      child.once("close", (code) => {
        if (code === exitCode.ok || code === exitInterrupted) resolve();
        else reject(new CliError(exitCode.failed, `load -- ${args.join(" ")}: exit code ${code}\n${output}`));
      });
    });
    const publishing = new Promise<void>((resolve) => {
      const take = (bytes: Buffer): void => {
        output += bytes.toString();
        if (output.includes("publishing for")) resolve();
      };
      child.stdout.on("data", take);
      child.stderr.on("data", take);
    });
    this.publishing = Promise.race([publishing, this.done]);
  }

  interrupt(): void {
    this.#child.kill("SIGINT");
  }
}
