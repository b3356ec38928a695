import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, describe, expect, it } from "vitest";

import { supportsReusePort } from "../../src/http/listen.ts";
import { clientRequest, createKey } from "../../src/handshake/client-handshake.ts";
import { selfSigned } from "../setup/certificate.ts";
import { eventually, RawPeer } from "../connection/raw-peer.ts";
import { openDoor, type Door } from "./front-door-fixture.ts";

let open: Door | null = null;
const folder = mkdtempSync(join(tmpdir(), "tapecast-listen-"));

afterEach(async () => {
  await open?.stop();
  open = null;
});

async function echo(where: string): Promise<void> {
  const peer = await RawPeer.upgrade(where);
  peer.sendText("hello");
  await peer.until(() => peer.events.length === 2);
  expect(peer.events.map((event) => event.text)).toEqual(["welcome", "hello"]);
  peer.sendClose(1000);
  await peer.until(() => peer.isEnded);
  peer.socket.end();
}

async function get(where: string): Promise<void> {
  const peer = await RawPeer.connect(where);
  peer.send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await peer.until(() => peer.text.includes("GET /a ;"));
  peer.socket.destroy();
}

describe("listening", () => {
  it("on IPv6, and prints the address with brackets", async () => {
    open = await openDoor({ host: "::1" });
    expect(open.where).toMatch(/^http:\/\/\[::1\]:\d+$/);
    await echo(open.where);
    await get(open.where);
    expect(open.clients[0]).toBe("::1");
  });

  it("on every address, and IPv4 peers keep their IPv4 address", async () => {
    open = await openDoor({ host: "::" });
    await echo(open.where.replace("[::]", "127.0.0.1"));
    expect(open.clients[0]).toBe("127.0.0.1");
  });

  it("with TLS: both protocols, the scheme of Origin compared, and plain text refused", async () => {
    open = await openDoor({ tls: selfSigned(), headTimeoutMs: Number.POSITIVE_INFINITY });
    expect(open.where).toMatch(/^https:/);
    await echo(open.where);
    await get(open.where);
    expect(open.requests[0]!.encrypted).toBe(true);
    for (const { origin, status } of [
      { origin: "http://test", status: 403 },
      { origin: "https://test", status: 101 },
    ]) {
      const peer = await RawPeer.connect(open.where);
      peer.send(clientRequest({ host: "test", target: "/ws" }, createKey(), [], { Origin: origin }));
      await peer.until(() => peer.text.includes("\r\n\r\n"));
      expect(peer.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      peer.socket.destroy();
    }
    const plain = await RawPeer.connect(open.where.replace("https:", "http:"));
    plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await plain.until(() => plain.isEnded || plain.isClosed);
    await eventually(() => open!.refused("tls") === 1);
    plain.socket.destroy();
    await eventually(() => open!.connections.counters.open === 0 && open!.door.counters.httpOpen === 0);
  });

  it("on a unix socket beside TCP, and takes its file away again", async () => {
    const path = join(folder, "door");
    open = await openDoor({ unixSocket: path });
    expect(open.addresses).toEqual([expect.stringMatching(/^http:/), `unix:${path}`]);
    await echo(open.addresses[1]!);
    await get(open.addresses[1]!);
    expect(open.clients[0]).toBe("");
    await open.stop();
    expect(existsSync(path)).toBe(false);
  });

  it("on a unix socket alone, in place of one that a dead process left", async () => {
    const path = join(folder, "stale");
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await new Promise((resolve) => spawn(process.execPath, ["-e", script]).once("exit", resolve));
    expect(existsSync(path)).toBe(true);
    open = await openDoor({ port: null, unixSocket: path });
    expect(open.addresses).toEqual([`unix:${path}`]);
    await echo(open.where);
  });

  it("refuses what it cannot have, naming the key", async () => {
    const path = join(folder, "file");
    writeFileSync(path, "");
    await expect(openDoor({ port: null, unixSocket: path })).rejects.toThrow(
      /listen\.unixSocket: .* is not a socket/,
    );
    open = await openDoor({ unixSocket: join(folder, "taken") });
    const { port } = new URL(open.where);
    await expect(openDoor({ port: Number(port) })).rejects.toThrow(/listen\.port: .* is already in use/);
    await expect(openDoor({ unixSocket: join(folder, "taken") })).rejects.toThrow(/another process listens/);
    const nowhere = join(folder, "missing", "socket");
    await expect(openDoor({ unixSocket: nowhere })).rejects.toThrow(/missing does not exist/);
    await expect(openDoor({ host: "192.0.2.1" })).rejects.toThrow(
      /listen\.port: .*is no address of this machine/,
    );
    await echo(open.addresses[1]!);
  });

  it("closes what it had opened when the next address cannot be opened", async () => {
    const path = join(folder, "file2");
    writeFileSync(path, "");
    const probe = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => probe.once("listening", resolve));
    const port = (probe.address() as { port: number }).port;
    await new Promise((resolve) => probe.close(resolve));
    await expect(openDoor({ port, unixSocket: path })).rejects.toThrow(/is not a socket/);
    await expect(RawPeer.connect(`http://127.0.0.1:${port}`)).rejects.toThrow(/ECONNREFUSED/);
  });

  it.each([
    { version: "20.19.0", supported: false },
    { version: "22.11.0", supported: false },
    { version: "22.12.0", supported: true },
    { version: "23.0.0", supported: false },
    { version: "23.1.0", supported: true },
    { version: "24.0.0", supported: true },
  ])("reusePort on $version: $supported", ({ version, supported }) => {
    expect(supportsReusePort(version)).toBe(supported);
  });

  it("says which Node.js reusePort needs, or uses it", async () => {
    if (supportsReusePort(process.versions.node)) {
      open = await openDoor({ reusePort: true });
      await echo(open.where);
    } else {
      await expect(openDoor({ reusePort: true })).rejects.toThrow(/listen\.reusePort: needs Node\.js 22\.12/);
    }
  });
});

describe("stopping", () => {
  it("stopAccepting leaves what is connected, refuses newcomers and late upgrades; stop ends the rest", async () => {
    open = await openDoor();
    const { where, door } = open;
    const peer = await RawPeer.upgrade(where);
    const kept = await RawPeer.connect(where);
    kept.send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1");
    const waiting = await RawPeer.connect(where);
    waiting.send("GET /ws");
    await eventually(() => door.counters.waiting === 1 && door.counters.httpOpen === 1);
    door.stopAccepting();
    door.stopAccepting();
    await expect(RawPeer.connect(where)).rejects.toThrow(/ECONNREFUSED/);
    kept.send("2");
    await kept.until(() => kept.text.includes("POST /b 12;"));
    kept.send(clientRequest({ host: "test", target: "/ws" }, createKey()));
    await kept.until(() => kept.isEnded || kept.text.includes("503"));
    expect(kept.text).toMatch(/HTTP\/1\.1 503 [^]*is going away/);
    peer.sendText("alive");
    await peer.until(() => peer.events.some((event) => event.text === "alive"));
    await open.stop();
    await waiting.until(() => waiting.isEnded || waiting.isClosed);
    await peer.until(() => peer.isEnded || peer.isClosed);
    expect(open.closes).toEqual([1006]);
    for (const each of [peer, kept, waiting]) each.socket.destroy();
  });
});

describe("those who had connected when the listeners closed", () => {
  it("are heard to the end: hearLast waits for them, and their handshakes are good", async () => {
    open = await openDoor();
    const { where, door } = open;
    const head = clientRequest({ host: "test", target: "/ws" }, createKey());
    const peers = [await RawPeer.connect(where), await RawPeer.connect(where)];
    for (const peer of peers) peer.send(head.subarray(0, 10));
    await eventually(() => door.counters.waiting === 2);
    const [prompt, late] = peers as [RawPeer, RawPeer];
    door.stopAccepting();
    let isHeard = false;
    const heard = door.hearLast(400).then(() => {
      isHeard = true;
    });
    prompt.send(head.subarray(10));
    await prompt.until(() => prompt.text.includes("HTTP/1.1 101"));
    expect(isHeard).toBe(false);
    await heard;
    late.send(head.subarray(10));
    await late.until(() => late.text.includes("503"));
    expect(late.text).toMatch(/HTTP\/1\.1 503 [^]*is going away/);
    for (const peer of peers) peer.socket.destroy();
  });
});

describe("stopping with TLS", () => {
  it("does not wait for a peer that never speaks TLS", async () => {
    open = await openDoor({ tls: selfSigned() });
    const silent = await RawPeer.connect(open.where.replace("https:", "http:"));
    const peer = await RawPeer.upgrade(open.where);
    await open.stop();
    await silent.until(() => silent.isEnded || silent.isClosed);
    for (const each of [silent, peer]) each.socket.destroy();
  }, 5000);
});

describe("under node:cluster", () => {
  it("two workers share the port and the unix socket, whose file goes with them", async () => {
    const path = join(folder, "cluster");
    const script = join(import.meta.dirname, "front-door-cluster.ts");
    const child = spawn(process.execPath, ["--import", "tsx", script, path], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const exited = new Promise((resolve) => child.once("exit", resolve));
    try {
      await eventually(() => output.split("\n").length > 2, 15_000);
      const [first, second] = output.split("\n").map((line) => line.split(" "));
      expect(first).toEqual(second);
      const [tcp, unix] = first as [string, string];
      for (const where of [tcp, unix, tcp, unix, tcp, tcp]) await echo(where);
    } finally {
      child.stdin.end();
    }
    await exited;
    expect(existsSync(path)).toBe(false);
    rmSync(folder, { recursive: true });
  });
});
