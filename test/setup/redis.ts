/**
 * vitest globalSetup: a Redis ≥ 7 for the run, in this order: REDIS_URL; redis-server on the PATH, started on a free
 * port; on Debian as root, Debian's redis-server, installed now (TEST_INSTALL=0 forbids that). Otherwise the run
 * stops with one line that says what to install. Nothing is skipped in silence.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestProject } from "vitest/node";
import { redisVersion, startRedisServer, type RedisServer } from "./redis-server.ts";

let server: RedisServer | null = null;

/** Provides `redisUrl` (see redis-url.ts). */
export async function setup(project: TestProject): Promise<void> {
  const given = process.env["REDIS_URL"];
  if (given !== undefined && given !== "") {
    await checkVersion(given, "REDIS_URL");
    provide(project, given);
    return;
  }
  if (!onPath("redis-server")) installOnDebian();
  server = await startRedisServer();
  try {
    await checkVersion(server.url, "redis-server on the PATH");
  } catch (error) {
    await teardown();
    throw error;
  }
  provide(project, server.url);
}

/** Ends the server if the run started one. */
export async function teardown(): Promise<void> {
  await server?.stop();
  server = null;
}

function provide(project: TestProject, url: string): void {
  process.env["TAPECAST_TEST_REDIS_URL"] = url;
  project.provide("redisUrl", url);
}

async function checkVersion(url: string, source: string): Promise<void> {
  let version: string;
  try {
    version = await redisVersion(url);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw oneLine(`${source} does not answer (${reason}): the tests need Redis 7 or newer`);
  }
  if (Number.parseInt(version, 10) < 7) {
    throw oneLine(`${source} is Redis ${version}: the tests need Redis 7 or newer`);
  }
}

function installOnDebian(): void {
  if (process.env["TEST_INSTALL"] === "0" || !existsSync("/etc/debian_version") || process.getuid?.() !== 0) {
    throw oneLine(
      "the tests need redis-server 7 or newer on the PATH, or REDIS_URL: on Debian, apt install redis-server",
    );
  }
  console.log("test set-up: no redis-server here, installing Debian's (TEST_INSTALL=0 forbids this)");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update"], ["install", "-y", "--no-install-recommends", "redis-server"]]) {
    const result = spawnSync("apt-get", ["-q", ...args], { env, encoding: "utf8" });
    if (result.status !== 0) {
      const last = `${result.stdout}${result.stderr}`.trim().split("\n").at(-1) ?? "";
      throw oneLine(
        `apt-get ${args.join(" ")} failed (${last}): install redis-server 7 or newer, or set REDIS_URL`,
      );
    }
  }
  // There was no redis-server before, so a service that runs now is the one Debian's package started.
  if (onPath("systemctl")) spawnSync("systemctl", ["disable", "--now", "redis-server"], { stdio: "ignore" });
  if (onPath("service")) spawnSync("service", ["redis-server", "stop"], { stdio: "ignore" });
  if (!onPath("redis-server")) throw oneLine("redis-server was installed but is not on the PATH");
}

function onPath(name: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** An error whose stack says nothing about our set-up: vitest prints the line and ends with 1. */
function oneLine(message: string): Error {
  const error = new Error(message);
  error.stack = message;
  return error;
}
