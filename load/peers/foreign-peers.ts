/** Servers with an entrance of their own, fed through it: Nchan and Centrifugo over HTTP, NATS with its own protocol. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { processTree } from "../bench/proc.ts";
import { topicPrefix, type Peer } from "./peer.ts";
import { Program, freePort } from "./processes.ts";
import { buildFolder, run, unpackDebian } from "./tools.ts";

const nginxBinary = "usr/sbin/nginx";
const nchanModule = "usr/lib/nginx/modules/ngx_nchan_module.so";

export const nchanPeer: Peer = {
  name: "nchan",
  title: "Nchan",
  async prepare({ note }) {
    const root = await unpackDebian("nchan", ["nginx", "libnginx-mod-nchan"], note);
    if (!root.ok) return { absent: root.reason };
    const module = join(root.output, nchanModule);
    if (!existsSync(module)) return { absent: "the package has no module" };
    writeFileSync(module, withLocalFolder(readFileSync(module)));
    const version = await run([join(root.output, nginxBinary), "-v"], 10_000);
    if (!version.ok) return { absent: `nginx does not run here: ${version.reason}` };
    return { version: `Debian's, in ${version.output.trim().replace("nginx version: ", "")}` };
  },
  async start(world) {
    const root = join(buildFolder, "nchan", "root");
    const folder = join(buildFolder, "nchan", "run");
    mkdirSync(folder, { recursive: true });
    const port = await freePort();
    const configuration = join(folder, "nginx.conf");
    writeFileSync(configuration, nginxConfiguration(root, folder, port));
    const command = [
      join(root, nginxBinary),
      "-p",
      folder,
      "-c",
      configuration,
      "-e",
      join(folder, "error.log"),
    ];
    const program = new Program("nginx", command, world.pinning?.server ?? null);
    await program.listening(port);
    return {
      port,
      pids: processTree(program.pid),
      path: "/sub?id=%T",
      send: null,
      feed: { mode: "http", port, prefix: topicPrefix, path: "/pub?id=%s" },
      stop: () => program.stop(),
    };
  },
};

/**
 * The module has Debian's folder for large bodies compiled in, and its directive for another one calls itself a
 * duplicate; nginx does not start where that folder cannot be made. Our copy is given a path of the same length that
 * lies in nginx's prefix.
 */
function withLocalFolder(module: Buffer): Buffer {
  const at = module.indexOf("/var/lib/nginx/body");
  if (at !== -1) module.write("./././././././././b", at, "latin1");
  return module;
}

function nginxConfiguration(root: string, folder: string, port: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  return `load_module ${join(root, nchanModule)};
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 60000;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log crit;
events { worker_connections 50000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 512M;
  nchan_message_buffer_length 1;
  ${temporary.join("\n  ")}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /pub { nchan_publisher http; nchan_channel_id $arg_id; }
    location = /sub { nchan_subscriber websocket; nchan_subscriber_first_message newest; nchan_channel_id $arg_id; nchan_channel_id_split_delimiter ","; }
  }
}
`;
}

export const natsPeer: Peer = {
  name: "nats",
  title: "NATS over WebSocket",
  async prepare({ note }) {
    const root = await unpackDebian("nats", ["nats-server"], note);
    if (!root.ok) return { absent: root.reason };
    const version = await run([join(root.output, "usr/sbin/nats-server"), "--version"], 10_000);
    return version.ok ? { version: `Debian's, ${version.output.trim()}` } : { absent: version.reason };
  },
  async start(world) {
    const folder = join(buildFolder, "nats", "run");
    mkdirSync(folder, { recursive: true });
    const [port, webSocketPort] = [await freePort(), await freePort()];
    const configuration = join(folder, "nats.conf");
    writeFileSync(
      configuration,
      `host: "127.0.0.1"
port: ${port}
max_connections: 65536
ping_interval: "10m"
max_pending: 268435456
websocket { host: "127.0.0.1", port: ${webSocketPort}, no_tls: true, compression: false }
`,
    );
    const binary = join(buildFolder, "nats", "root", "usr/sbin/nats-server");
    const program = new Program("nats-server", [binary, "-c", configuration], world.pinning?.server ?? null);
    await program.listening(webSocketPort);
    return {
      port: webSocketPort,
      pids: processTree(program.pid),
      path: "/",
      // RFC 6455 text or binary alike: NATS reads its own protocol out of the frames.
      send: 'CONNECT {"verbose":false,"pedantic":false}\r\n%N',
      feed: { mode: "nats", port, prefix: topicPrefix, path: "" },
      stop: () => program.stop(),
    };
  },
};

const centrifugoModule = "github.com/centrifugal/centrifugo/v6@latest";
const centrifugoFolder = join(buildFolder, "centrifugo");
const centrifugoBuildMs = 300_000;

/** With its Redis engine: what is published goes through Redis, as it does for us. */
export const centrifugoPeer: Peer = {
  name: "centrifugo",
  title: "Centrifugo",
  async prepare({ note }) {
    const binary = join(centrifugoFolder, "centrifugo");
    if (!existsSync(binary)) {
      note(`building ${centrifugoModule} with Go, at most ${centrifugoBuildMs / 60_000} minutes`);
      const env = { ...process.env, GOBIN: centrifugoFolder };
      const built = await run(["go", "install", centrifugoModule], centrifugoBuildMs, { env });
      if (!built.ok) return { absent: `go install: ${built.reason}` };
    }
    const version = await run([binary, "version"], 10_000);
    return version.ok ? { version: version.output.trim() } : { absent: version.reason };
  },
  async start(world) {
    const port = await freePort();
    const configuration = join(centrifugoFolder, "config.json");
    writeFileSync(
      configuration,
      JSON.stringify({
        http_server: { address: "127.0.0.1", port: String(port) },
        client: { insecure: true, allowed_origins: ["*"] },
        http_api: { insecure: true },
        engine: { type: "redis", redis: { address: `redis://127.0.0.1:${world.redisPort}` } },
        log: { level: "error" },
      }),
    );
    const command = [join(centrifugoFolder, "centrifugo"), "--config", configuration];
    const program = new Program("centrifugo", command, world.pinning?.server ?? null);
    await program.listening(port);
    return {
      port,
      pids: processTree(program.pid),
      path: "/connection/websocket",
      send: '{"id":1,"connect":{}}%C',
      feed: { mode: "centrifugo", port, prefix: topicPrefix, path: "" },
      stop: () => program.stop(),
    };
  },
};
