/** A real nginx or haproxy in front of a server, set up as docs/SECURITY.md says; it lets nobody publish. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Running } from "../e2e/run.ts";
import { until } from "../e2e/until.ts";
import { freePort } from "../setup/redis-server.ts";
import { clientAt } from "./raw-client.ts";

export type ProxyKind = "nginx" | "haproxy";

/** After this long without a byte in either direction the proxies cut a WebSocket; their own defaults are a minute. */
export const proxyIdleMs = 3000;

export class ProxyServer {
  readonly kind: ProxyKind;
  readonly port: number;
  readonly #process: Running;
  readonly #folder: string;

  private constructor(kind: ProxyKind, port: number, process: Running, folder: string) {
    this.kind = kind;
    this.port = port;
    this.#process = process;
    this.#folder = folder;
  }

  /** Starts one before the server on `backendPort`. @throws Error that says what is missing */
  static async start(kind: ProxyKind, backendPort: number): Promise<ProxyServer> {
    const folder = mkdtempSync(join(tmpdir(), `tapecast-${kind}-`));
    const port = await freePort();
    const file = join(folder, "proxy.conf");
    writeFileSync(
      file,
      kind === "nginx" ? nginxConfig(folder, port, backendPort) : haproxyConfig(port, backendPort),
    );
    const args = kind === "nginx" ? ["-c", file, "-e", join(folder, "error.log")] : ["-db", "-f", file];
    const process = new Running(`/usr/sbin/${kind}`, args);
    const proxy = new ProxyServer(kind, port, process, folder);
    await until(`${kind} to listen: ${process.stderr}`, async () => {
      if (process.hasEnded) throw new Error(`${kind} ended: ${process.stdout}${process.stderr}`);
      return (await clientAt(port, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).includes(
        " 200 ",
      );
    });
    return proxy;
  }

  async stop(): Promise<void> {
    await this.#process.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function nginxConfig(folder: string, port: number, backendPort: number): string {
  return `
daemon off;
user root;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
  upstream tapecast { server 127.0.0.1:${backendPort}; keepalive 4; }
  server {
    listen 127.0.0.1:${port};
    location = /api/publish { return 403; }
    location / {
      proxy_pass http://tapecast;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout ${proxyIdleMs}ms;
      proxy_send_timeout ${proxyIdleMs}ms;
    }
  }
}
`;
}

function haproxyConfig(port: number, backendPort: number): string {
  return `
global
  maxconn 256
defaults
  mode http
  timeout connect 5s
  retries 0
  timeout client 10s
  timeout server 10s
  timeout tunnel ${proxyIdleMs}ms
  http-reuse always
frontend in
  bind 127.0.0.1:${port}
  http-request deny if { path /api/publish }
  http-request set-header X-Forwarded-Proto http
  option forwardfor
  default_backend tapecast
backend tapecast
  server one 127.0.0.1:${backendPort}
`;
}
