import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";

import { AdminServer, type AdminSources } from "../../src/primary/admin-server.ts";

const servers: AdminServer[] = [];

async function listening(sources: Partial<AdminSources> = {}, host = "127.0.0.1"): Promise<string> {
  const server = new AdminServer({
    metricsContentType: "text/plain; version=0.0.4",
    metrics: () => Promise.resolve("x_total 1\n"),
    problems: () => [],
    insight: (path, query) =>
      path === "/workers" ? Promise.resolve({ status: 200, body: { asked: query.get("a") } }) : null,
    ...sources,
  });
  servers.push(server);
  return server.listen(host, 0);
}

function call(
  url: string,
  method = "GET",
  headers: Record<string, string> = {},
): Promise<{ status: number; type: string; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (bytes: Buffer) => (text += bytes.toString()));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", text });
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

describe("the admin port", () => {
  it.each([
    { host: "127.0.0.1", name: "evil.example:9464", status: 403 },
    { host: "127.0.0.1", name: "127.0.0.1.evil.example", status: 403 },
    { host: "127.0.0.1", name: "10.0.0.5:9464", status: 403 },
    { host: "127.0.0.1", name: "localhost:9464", status: 200 },
    { host: "127.0.0.1", name: "tape:9464", status: 200 },
    { host: "127.0.0.1", name: "[::1]:9464", status: 200 },
    { host: "localhost", name: "evil.example", status: 403 },
    { host: "0.0.0.0", name: "tape.example.com:9464", status: 200 },
  ])("at $host answers $status to Host: $name (DNS rebinding)", async ({ host, name, status }) => {
    const url = (await listening({}, host)).replace("0.0.0.0", "127.0.0.1");
    const answer = await call(`${url}/workers`, "GET", { host: name });
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.text).toContain("Host must name it");
  });

  it.each([
    { name: "metrics", path: "/metrics", status: 200, text: "x_total 1\n" },
    { name: "metrics with a query", path: "/metrics?name=x", status: 200, text: "x_total 1\n" },
    { name: "health", path: "/healthz", status: 200, text: '{"status":"ok"}\n' },
    { name: "readiness", path: "/readyz", status: 200, text: '{"ready":true,"reasons":[]}\n' },
    { name: "an unknown path", path: "/secret", status: 404, text: expect.stringContaining("not_found") },
    { name: "a path above", path: "/../etc/passwd", status: 404, text: expect.stringContaining("not_found") },
    {
      name: "a POST",
      path: "/metrics",
      method: "POST",
      status: 405,
      text: expect.stringContaining("method_not_allowed"),
    },
    { name: "insight, with its query", path: "/workers?a=b?c", status: 200, text: '{"asked":"b?c"}\n' },
    { name: "a HEAD", path: "/healthz", method: "HEAD", status: 200, text: "" },
  ])("$name", async ({ path, method, status, text }) => {
    expect(await call((await listening()) + path, method)).toMatchObject({ status, text });
  });

  it("says why it is not ready", async () => {
    const url = await listening({ problems: () => ["worker 0: starting", "worker 1: Redis is away"] });
    const { status, text } = await call(`${url}/readyz`);
    expect(status).toBe(503);
    expect(JSON.parse(text)).toEqual({
      ready: false,
      reasons: ["worker 0: starting", "worker 1: Redis is away"],
    });
  });

  it("a figure that cannot be read fails the scrape, not the server", async () => {
    const url = await listening({
      metrics: () => Promise.reject(new Error("'median' is not a defined aggregator.")),
    });
    expect((await call(`${url}/metrics`)).status).toBe(500);
    expect((await call(`${url}/healthz`)).status).toBe(200);
  });

  it("writes an IPv6 address as a URL does", async () => {
    expect(await listening({}, "::1")).toMatch(/^http:\/\/\[::1\]:\d+$/u);
  });

  it("closes although somebody keeps a connection open", async () => {
    const url = new URL(await listening());
    const socket = connect(Number(url.port), url.hostname);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    await servers[0]?.close();
    await closed;
  });
});
