/**
 * Chromium and Firefox: a page of ours does what talk.ts says and posts its report. Firefox's stock build has no
 * protocol that playwright speaks, so it is simply started with the address of the page.
 */
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Running } from "../../e2e/run.ts";
import { launchChromium } from "../chromium.ts";
import { data, megabyte, silenceMs, text, type Report, type Task } from "./talk.ts";

const firefoxPath = "/usr/bin/firefox-esr";

/** No first-run pages, no calls home, and no limit to what a page may do that nobody has clicked on. */
const firefoxPreferences: Readonly<Record<string, boolean | number | string>> = {
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "browser.safebrowsing.downloads.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "toolkit.telemetry.enabled": false,
};

export async function talkChromium(task: Task): Promise<Report> {
  const page = await servePage(task);
  try {
    await using browser = await launchChromium();
    const tab = await browser.newPage();
    await tab.goto(page.url);
    return await page.report;
  } finally {
    page.close();
  }
}

export async function talkFirefox(task: Task): Promise<Report> {
  try {
    accessSync(firefoxPath, constants.X_OK);
  } catch {
    throw new Error(`${firefoxPath} is missing: apt-get install -y firefox-esr`);
  }
  const page = await servePage(task);
  const profile = mkdtempSync(join(tmpdir(), "tapecast-firefox-"));
  const lines = Object.entries(firefoxPreferences).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
  );
  writeFileSync(join(profile, "user.js"), lines.join(""));
  const firefox = new Running(
    firefoxPath,
    ["--headless", "--no-remote", "--new-instance", "--profile", profile, page.url],
    { env: { HOME: profile, MOZ_CRASHREPORTER_DISABLE: "1" } },
  );
  try {
    const ended = firefox.exited.then(({ code }) => {
      throw new Error(`Firefox ended with ${code}: ${firefox.stderr}`);
    });
    return await Promise.race([page.report, ended]);
  } finally {
    await firefox.kill();
    page.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Serves one page and waits for its report. */
async function servePage(task: Task): Promise<{ url: string; report: Promise<Report>; close: () => void }> {
  const argument = JSON.stringify({ ...task, text, size: megabyte, silenceMs, data });
  const html =
    `<!doctype html><meta charset="utf-8"><title>foreign client</title><script>const talk = ${talkInPage.toString()};\n` +
    `talk(${argument.replaceAll("<", "\\u003c")}).catch((error) => ({ error: String(error) }))` +
    `.then((report) => fetch("/report", { method: "POST", body: JSON.stringify(report) }));</script>`;
  let settle: ((report: Report) => void) | null = null;
  const report = new Promise<Report>((resolve) => (settle = resolve));
  const server = createServer((request, response) => {
    if (request.method !== "POST") {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end(request.url === "/" ? html : "");
      return;
    }
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      response.end();
      settle?.(JSON.parse(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}/`, report, close };
}

/** Runs in the page: it knows nothing but its argument. */
async function talkInPage(task: Task & { text: string; size: number; silenceMs: number; data: unknown }) {
  // What is outside of this function does not exist in the page.
  // oxlint-disable-next-line unicorn/consistent-function-scoping
  const open = async (url: string) => {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    const came: unknown[] = [];
    // oxlint-disable-next-line unicorn/consistent-function-scoping
    let wake = (): void => undefined;
    socket.addEventListener("message", (event) => {
      came.push(event.data);
      wake();
    });
    const closed = new Promise<number>((resolve) => {
      socket.addEventListener("close", (event) => resolve(event.code));
    });
    const next = async (): Promise<unknown> => {
      while (came.length === 0) {
        await Promise.race([
          new Promise<void>((resolve) => (wake = resolve)),
          closed.then((code) => Promise.reject(new Error(`closed with ${code}`))),
        ]);
      }
      return came.shift();
    };
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error(`no connection to ${url}`)));
    });
    return { socket, next, closed };
  };

  const echo = await open(`${task.server}/echo`);
  const bytes = Uint8Array.from({ length: task.size }, (_, index) => (index * 7 + (index >> 8)) & 255);
  echo.socket.send(task.text);
  const first = await echo.next();
  echo.socket.send(bytes);
  const second = await echo.next();
  const isSame =
    second instanceof ArrayBuffer &&
    second.byteLength === task.size &&
    new Uint8Array(second).every((byte, index) => byte === bytes[index]);
  // A page can send no ping, but its browser answers them.
  await new Promise((resolve) => setTimeout(resolve, task.silenceMs));
  echo.socket.send("still here");
  const third = await echo.next();
  const deflate = echo.socket.extensions.includes("permessage-deflate");
  echo.socket.close(task.code);
  const code = await echo.closed;

  const native = await open(`${task.server}/ws`);
  const until = async (isIt: (message: { id?: number; topic?: string; data?: unknown }) => boolean) => {
    for (;;) {
      const message = JSON.parse(String(await native.next()));
      if (isIt(message)) return message;
    }
  };
  const { topic, data: published } = task;
  native.socket.send(JSON.stringify({ id: 1, method: "subscribe", params: { topics: [topic] } }));
  await until(({ id }) => id === 1);
  native.socket.send(JSON.stringify({ id: 2, method: "publish", params: { topic, data: published } }));
  const publication = await until((message) => message.topic === topic);
  native.socket.send(new Uint8Array([1, 2, 3]));
  return {
    text: first === task.text,
    binary: isSame,
    fragmented: null,
    pong: third === "still here",
    deflate,
    code,
    native: publication.data,
    serverCode: await native.closed,
  };
}
