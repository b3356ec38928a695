import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packageRoot, readPages } from "../../src/http/page-table.ts";
import { ask, errorOf, exchange, type Harness, startHarness } from "./http-harness.ts";

let root: string;
let harness: Harness;

const files: Readonly<Record<string, string>> = {
  "src/web/static/index.html": "<!doctype html><title>index</title>",
  "src/web/static/chat.html": "<!doctype html><title>chat</title>",
  "src/web/static/style.css": "body{}",
  "src/web/static/favicon.ico": "ico",
  "src/web/static/images/logo.svg": "<svg/>",
  "src/web/static/.hidden.html": "hidden",
  "src/web/static/notes.sh": "echo",
  "dist/web/board.js": "export {};",
  "dist/web/board.js.map": "{}",
  "dist/web/board.d.ts": "export {};",
  "dist/client/tapecast-client.js": "export {};",
  "dist/protocol/messages.js": "export {};",
  "dist/base/topic.js": "export {};",
  "dist/worker/worker.js": "server code",
  "package.json": "{}",
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "tapecast-pages-"));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(root, path, ".."), { recursive: true });
    await writeFile(join(root, path), content);
  }
  await symlink("/etc/hostname", join(root, "src/web/static/link.txt"));
  harness = await startHarness({ root });
});
afterAll(async () => {
  await harness.stop();
  await rm(root, { recursive: true });
});

describe("pages", () => {
  it.each([
    ["/", "text/html; charset=utf-8", "src/web/static/index.html"],
    ["/?lang=zh", "text/html; charset=utf-8", "src/web/static/index.html"],
    ["/demo/chat", "text/html; charset=utf-8", "src/web/static/chat.html"],
    ["/demo/chat.html", "text/html; charset=utf-8", "src/web/static/chat.html"],
    ["/demo/style.css", "text/css; charset=utf-8", "src/web/static/style.css"],
    ["/demo/images/logo.svg", "image/svg+xml", "src/web/static/images/logo.svg"],
    ["/favicon.ico", "image/x-icon", "src/web/static/favicon.ico"],
    ["/demo/js/web/board.js", "text/javascript; charset=utf-8", "dist/web/board.js"],
    ["/demo/js/web/board.js.map", "application/json; charset=utf-8", "dist/web/board.js.map"],
    [
      "/demo/js/client/tapecast-client.js",
      "text/javascript; charset=utf-8",
      "dist/client/tapecast-client.js",
    ],
    ["/demo/js/protocol/messages.js", "text/javascript; charset=utf-8", "dist/protocol/messages.js"],
    ["/demo/js/base/topic.js", "text/javascript; charset=utf-8", "dist/base/topic.js"],
  ])("serves %s", async (path, type, file) => {
    const answer = await ask(harness.port, "GET", path);
    expect([answer.status, answer.headers["content-type"], answer.text]).toEqual([200, type, files[file]]);
    expect(answer.headers["cache-control"]).toBe("no-cache");
    expect(answer.headers["content-security-policy"]).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
        "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " +
        "require-trusted-types-for 'script'",
    );
    expect(answer.headers["x-content-type-options"]).toBe("nosniff");
    expect(answer.headers["referrer-policy"]).toBe("no-referrer");
    expect(answer.headers["x-frame-options"]).toBe("DENY");
    expect(answer.headers["cross-origin-opener-policy"]).toBe("same-origin");
    expect(answer.headers["cross-origin-resource-policy"]).toBe("same-origin");
  });

  it.each([
    "/demo/",
    "/demo/nothing",
    "/demo/.hidden.html",
    "/demo/notes.sh",
    "/demo/link.txt",
    "/demo/js/web/board.d.ts",
    "/demo/js/web/missing.js",
    "/demo/js/worker/worker.js",
    "/demo/../package.json",
    "/demo/%2e%2e/%2e%2e/%2e%2e/package.json",
    "/demo/..%2f..%2f..%2fpackage.json",
    "/demo/js/web/../../../package.json",
    "/demo/chat%00.html",
    "/demo//etc/passwd",
    "//etc/passwd",
    "/demo/Chat",
    "/DEMO/chat",
    "/demo/__proto__",
    "/demo/constructor",
  ])("answers 404 in JSON to %s", async (path) => {
    const text = await exchange(harness.port, `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
    expect(text).toContain('{"error":{"code":"not_found"');
    expect(text.toLowerCase()).toContain("content-security-policy:");
  });

  it("hints at the build where a page is missing", async () => {
    expect(errorOf(await ask(harness.port, "GET", "/demo/js/web/x.js")).message).toContain("npm run build");
  });

  it.each([
    ["the tag", (tag: string) => tag, 304],
    ["the tag, weak", (tag: string) => `W/${tag}`, 304],
    ["a list with it", (tag: string) => `"other", ${tag}`, 304],
    ["a star", () => "*", 304],
    ["another tag", () => '"other"', 200],
    ["garbage", () => ",,W/,", 200],
  ])("revalidates by ETag: %s", async (_name, header, status) => {
    const first = await ask(harness.port, "GET", "/demo/chat");
    const tag = first.headers.etag!;
    expect(tag).toMatch(/^"[\w-]{22}"$/);
    const second = await ask(harness.port, "GET", "/demo/chat", { "if-none-match": header(tag) });
    expect([second.status, second.text.length]).toEqual([status, status === 304 ? 0 : first.text.length]);
    expect(second.headers.etag).toBe(tag);
    expect(second.headers["cache-control"]).toBe("no-cache");
  });

  it("answers HEAD without a body", async () => {
    const head = await ask(harness.port, "HEAD", "/");
    expect([head.status, head.text, head.headers["content-length"]]).toEqual([200, "", "35"]);
  });

  it("starts without any page: an empty directory gives an empty table", async () => {
    const empty = await mkdtemp(join(tmpdir(), "tapecast-empty-"));
    try {
      expect([...(await readPages(empty)).keys()]).toEqual([]);
    } finally {
      await rm(empty, { recursive: true });
    }
  });

  it("finds the package from where this code lies", async () => {
    const { readFile } = await import("node:fs/promises");
    const manifest = JSON.parse(await readFile(join(packageRoot(), "package.json"), "utf8")) as {
      name: string;
    };
    expect(manifest.name).toBe("tapecast");
  });
});
