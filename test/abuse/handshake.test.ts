/** Rows HS1 to HS20 of docs/ABUSE.md: what comes before the 101. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { RawPeer } from "../connection/raw-peer.ts";
import { Server } from "../e2e/server.ts";
import { delay } from "../e2e/until.ts";
import { AbusedServer } from "./abused-server.ts";
import { answerTo, frame, handshake, scale, text } from "./raw.ts";

let abused: AbusedServer;

beforeAll(async () => {
  abused = await AbusedServer.start({ sets: { "limits.headTimeoutMs": 2000 } });
}, 60_000);
afterEach(() => abused.expectNobodyHurt());
afterAll(async () => {
  try {
    await abused.expectBackToStart();
  } finally {
    await abused.end();
  }
}, 60_000);

/** The status, and that a refusal closes the connection. */
async function statusOf(bytes: string): Promise<number> {
  const { status, isClosed, text: answer } = await answerTo(abused.where, bytes);
  if (status === 101) return status;
  expect(isClosed, `closed behind ${answer.slice(0, 40)}`).toBe(true);
  expect(answer.match(/^HTTP\/1\.1 /gmu), "one answer").toHaveLength(1);
  return status;
}

describe("HS1 another method, or a body", () => {
  const smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  it.each([
    { row: "POST", bytes: handshake({}, "POST /ws HTTP/1.1"), status: 405 },
    { row: "HEAD", bytes: handshake({}, "HEAD /ws HTTP/1.1"), status: 405 },
    {
      row: "GET with Content-Length",
      bytes: handshake({ "Content-Length": String(smuggled.length) }) + smuggled,
      status: 400,
    },
    {
      row: "GET with a chunked body",
      bytes: `${handshake({ "Transfer-Encoding": "chunked" })}5\r\nhello\r\n0\r\n\r\n`,
      status: 400,
    },
  ])("HS1 $row: $status and the end", async ({ bytes, status }) => {
    expect(await statusOf(bytes)).toBe(status);
  });
});

it("HS2 HTTP/1.0 is never upgraded", async () => {
  expect(await statusOf(handshake({}, "GET /ws HTTP/1.0"))).toBe(400);
});

describe("HS3 Host", () => {
  it.each([
    { row: "missing", host: null },
    { row: "twice", host: ["a", "b"] },
    { row: "empty", host: "" },
    { row: "with userinfo", host: "user@127.0.0.1" },
    { row: "with a path", host: "127.0.0.1/ws" },
    { row: "with a port that is none", host: "127.0.0.1:80x" },
  ])("HS3 $row: 400", async ({ host }) => {
    expect(await statusOf(handshake({ Host: host }))).toBe(400);
  });
});

describe("HS4 Sec-WebSocket-Key", () => {
  it.each([
    { row: "missing", key: null },
    { row: "empty", key: "" },
    { row: "15 bytes", key: Buffer.alloc(15).toString("base64") },
    { row: "17 bytes", key: Buffer.alloc(17).toString("base64") },
    { row: "not base64", key: "dGhlIHNhbXBsZSBub25j*Q==" },
    { row: "twice", key: ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="] },
  ])("HS4 $row: 400", async ({ key }) => {
    expect(await statusOf(handshake({ "Sec-WebSocket-Key": key }))).toBe(400);
  });
});

describe("HS5 Sec-WebSocket-Version", () => {
  it.each([null, "8", "99", "13, 8", "013"])("HS5 %s: 426, the right version, the end", async (version) => {
    const {
      status,
      text: answer,
      isClosed,
    } = await answerTo(abused.where, handshake({ "Sec-WebSocket-Version": version }));
    expect(status).toBe(426);
    expect(answer).toMatch(/\r\nSec-WebSocket-Version: 13\r\n/u);
    expect(isClosed).toBe(true);
  });
});

describe("HS6 Upgrade to something else", () => {
  it.each(["h2c", "foo", "h2c, foo", "websocket/13 x", ""])("HS6 '%s' is no 101", async (protocol) => {
    const { status } = await answerTo(abused.where, handshake({ Upgrade: protocol }));
    expect([200, 400, 404, 426]).toContain(status);
  });
});

describe("HS7 Connection", () => {
  it.each([
    { connection: "keep-alive", isUpgraded: false },
    { connection: "close", isUpgraded: false },
    { connection: "uPgRaDe", isUpgraded: true },
    { connection: "keep-alive, Upgrade", isUpgraded: true },
    { connection: ", ,Upgrade,", isUpgraded: true },
  ])("HS7 '$connection': upgraded $isUpgraded", async ({ connection, isUpgraded }) => {
    const { status } = await answerTo(abused.where, handshake({ Connection: connection }));
    expect(status === 101).toBe(isUpgraded);
  });
});

describe("HS8 2,500 header lines", () => {
  const crowd = Array.from({ length: 2500 }, () => "a");
  it.each([
    {
      row: "in front",
      bytes: handshake({}).replace("Host:", `${crowd.map(() => "X: a\r\n").join("")}Host:`),
    },
    { row: "behind", bytes: handshake({ X: crowd }) },
  ])("HS8 $row of Upgrade: refused, nothing thrown", async ({ bytes }) => {
    expect([400, 431]).toContain(await statusOf(bytes));
  });
});

describe("HS9 long heads", () => {
  it.each([
    { row: "a header of 17 KiB", bytes: handshake({ X: "a".repeat(17_408) }), statuses: [431] },
    {
      row: "an address of 17 KiB",
      bytes: handshake({}, `GET /ws?${"a".repeat(17_408)} HTTP/1.1`),
      statuses: [431],
    },
    {
      row: "4 KiB of spaces in Protocol",
      bytes: handshake({ "Sec-WebSocket-Protocol": `a${" ".repeat(4096)}b` }),
      statuses: [400],
    },
    {
      row: "4,000 escapes in Extensions",
      bytes: handshake({ "Sec-WebSocket-Extensions": `a; b="${"\\c".repeat(4000)}` }),
      statuses: [400],
    },
    {
      row: "10,000 commas",
      bytes: handshake({ "Sec-WebSocket-Extensions": ",".repeat(10_000) }),
      statuses: [101, 400],
    },
  ])("HS9 $row: $statuses in less than 5 ms of processor time", async ({ bytes, statuses }) => {
    const count = 40;
    const beforeMs = abused.cpuMs();
    const answers = await Promise.all(Array.from({ length: count }, () => answerTo(abused.where, bytes)));
    const usedMs = abused.cpuMs() - beforeMs;
    for (const { status } of answers) expect(statuses).toContain(status);
    // The neighbours' feed runs meanwhile; it is given 100 ms.
    expect((usedMs - 100) / count).toBeLessThan(5);
  });
});

describe("HS10 names of Object.prototype", () => {
  it.each(["constructor", "__proto__", "toString", "NaN", "hasOwnProperty"])(
    "HS10 %s: 101 without it",
    async (name) => {
      const { status, text: answer } = await answerTo(
        abused.where,
        handshake({
          "Sec-WebSocket-Extensions": `${name}, ${name}; ${name}=1, permessage-deflate; ${name}`,
          "Sec-WebSocket-Protocol": name,
        }),
      );
      expect(status).toBe(101);
      expect(answer).not.toMatch(/Sec-WebSocket-(?:Extensions|Protocol)/iu);
    },
  );
});

describe("HS11 subprotocols", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => `p${index}`).join(", ");
  it.each([
    { row: "a separator in one", offered: "a b", status: 400, chosen: null },
    { row: "parentheses", offered: "(tapecast.v1)", status: 400, chosen: null },
    { row: "one twice", offered: "a, a", status: 400, chosen: null },
    { row: "empty", offered: "", status: 400, chosen: null },
    { row: "commas only", offered: ", ,", status: 400, chosen: null },
    { row: "100 of others", offered: hundred, status: 101, chosen: null },
    { row: "ours behind 100 others", offered: `${hundred}, tapecast.v1`, status: 101, chosen: "tapecast.v1" },
  ])("HS11 $row: $status, chosen $chosen", async ({ offered, status, chosen }) => {
    const answer = await answerTo(abused.where, handshake({ "Sec-WebSocket-Protocol": offered }));
    expect(answer.status).toBe(status);
    const named = /\r\nSec-WebSocket-Protocol: (.*)\r\n/iu.exec(answer.text)?.[1] ?? null;
    expect(named).toBe(chosen);
  });
});

describe("HS12 cookies", () => {
  it.each([
    { row: "malformed", cookie: "===;;;", statuses: [101] },
    {
      row: "1,000 of them",
      cookie: Array.from({ length: 1000 }, (_, i) => `c${i}=v`).join("; "),
      statuses: [101],
    },
    { row: "percent signs", cookie: "a=%zz%00; =; __proto__=x", statuses: [101] },
    { row: "NUL", cookie: "a=\0", statuses: [400] },
  ])("HS12 $row: $statuses", async ({ cookie, statuses }) => {
    expect(statuses).toContain(await statusOf(handshake({ Cookie: cookie })));
  });
});

describe("HS13 request targets", () => {
  it.each([
    { target: "/%zz%00", statuses: [400, 404] },
    { target: "/ws%", statuses: [400, 404] },
    { target: "//evil/../ws", statuses: [400, 404] },
    { target: "*", statuses: [400] },
    { target: "http://evil.example/ws", statuses: [400] },
    { target: "/raw/%00", statuses: [400, 404] },
    { target: "/raw/..%2f..%2fetc", statuses: [400, 404] },
    { target: `/ws?x=${"%41".repeat(2700)}`, statuses: [101] },
    { target: "/ws?topics=%zz&token=%", statuses: [101, 400] },
  ])("HS13 $target: $statuses", async ({ target, statuses }) => {
    expect(statuses).toContain(await statusOf(handshake({}, `GET ${target} HTTP/1.1`)));
  });
});

describe("HS14 Origin", () => {
  it.each([
    { row: "another site's", origin: "https://evil.example", status: 403 },
    { row: "null", origin: "null", status: 403 },
    { row: "ours with more behind it", origin: "http://good.example.evil", status: 403 },
    { row: "ours with more in front", origin: "http://evilgood.example", status: 403 },
    { row: "another port", origin: "http://good.example:81", status: 403 },
    { row: "the scheme of another default port", origin: "https://good.example", status: 403 },
    { row: "garbage", origin: "good.example", status: 403 },
    { row: "empty", origin: "", status: 403 },
    { row: "two", origin: ["http://good.example", "http://evil.example"], status: 400 },
    { row: "ours", origin: "http://good.example:8080", status: 101 },
    { row: "none", origin: null, status: 101 },
  ])("HS14 $row: $status", async ({ origin, status }) => {
    expect(await statusOf(handshake({ Host: "good.example:8080", Origin: origin }))).toBe(status);
  });
});

describe("HS15 resets", () => {
  it.each([
    { row: "right after the request", bytes: handshake({}) },
    { row: "while 403 is written", bytes: handshake({ Origin: "https://evil.example" }) },
    { row: "in the middle of the head", bytes: handshake({}).slice(0, 60) },
    { row: "after an HTTP request", bytes: "GET / HTTP/1.1\r\nHost: x\r\n\r\n" },
  ])("HS15 $row: nothing thrown", async ({ bytes }) => {
    for (let round = 0; round < 50; round++) {
      const peer = await RawPeer.connect(abused.where);
      peer.send(bytes);
      if (round % 2 === 0) await delay(1);
      peer.socket.resetAndDestroy();
    }
  });
});

describe("HS16 frames before the 101", () => {
  it("HS16 in the same packet: answered after the 101", async () => {
    const peer = await RawPeer.upgrade(abused.where, "/echo", Buffer.concat([text("one"), text("two")]));
    await peer.until(() => peer.events.length === 2);
    expect(peer.events.map((event) => event.text)).toEqual(["one", "two"]);
    peer.socket.destroy();
  });

  it.each([
    { row: "1 MB in one frame", bytes: frame(0x81, Buffer.alloc(1_000_000, "x")), code: 1009 },
    {
      row: "1 MB in small ones",
      bytes: Buffer.concat(Array.from({ length: 20_000 }, () => text("x".repeat(50)))),
      code: 4503,
    },
  ])("HS16 $row: the limits hold from the first byte, $code", async ({ bytes, code }) => {
    const peer = await RawPeer.upgrade(abused.where, "/ws", bytes);
    await peer.until(() => peer.events.some(({ kind }) => kind === "close"));
    expect(peer.events.at(-1)).toMatchObject({ kind: "close", code });
    peer.socket.destroy();
  });
});

describe("HS17 slow and silent", () => {
  it("HS17 a byte now and then: 408; nothing at all: closed; each costs less than 64 KB", async () => {
    const before = await abused.keptBytes();
    const peers = await Promise.all(Array.from({ length: 200 }, () => RawPeer.connect(abused.where)));
    const slow = peers.slice(0, 100);
    const bytes = handshake({});
    const startMs = performance.now();
    let offset = 0;
    const dribble = setInterval(() => {
      for (const peer of slow) if (!peer.isEnded) peer.send(bytes.slice(offset, offset + 1));
      offset += 1;
    }, 200);
    await delay(500);
    const during = await abused.keptBytes();
    const cost =
      [...during].reduce((sum, [pid, kept]) => sum + kept - (before.get(pid) ?? 0), 0) / peers.length;
    expect(cost).toBeLessThan(65_536);
    for (const peer of peers) await peer.until(() => peer.isEnded || peer.isClosed, 15_000);
    clearInterval(dribble);
    expect(performance.now() - startMs).toBeLessThan(15_000);
    expect(slow.every((peer) => peer.text.startsWith("HTTP/1.1 408 "))).toBe(true);
    expect(peers.slice(100).every((peer) => peer.text === "")).toBe(true);
    for (const peer of peers) peer.socket.destroy();
  });

  it(
    "HS17 with the limits as they come: a byte a second, nothing, a slow second request: all over within 15 s",
    { timeout: 60_000 },
    async () => {
      await using server = await Server.start();
      const open = async (first: string): Promise<RawPeer[]> => {
        const peers = await Promise.all(Array.from({ length: 20 }, () => RawPeer.connect(server.http)));
        for (const peer of peers) peer.send(first);
        return peers;
      };
      const startMs = performance.now();
      const silent = await open("");
      const slow = await open(handshake({}).slice(0, 20));
      // node:http has them from their first request on; a probe is answered, and what follows is late.
      const second = await open("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
      for (const peer of second) {
        await peer.until(() => peer.text.endsWith('{"status":"ok"}'), 10_000);
        peer.received = Buffer.alloc(0);
        peer.send("GET /ws HTTP/1.1\r\n");
      }
      const dribble = setInterval(() => {
        for (const peer of [...slow, ...second]) if (!peer.isEnded) peer.send("X");
      }, 1000);
      for (const peer of [...silent, ...slow, ...second])
        await peer.until(() => peer.isEnded || peer.isClosed, 20_000);
      clearInterval(dribble);
      expect(performance.now() - startMs).toBeLessThan(15_000);
      for (const peer of [...slow, ...second]) expect(peer.text).toMatch(/^HTTP\/1\.1 408 /u);
      expect(silent.map((peer) => peer.text)).toEqual(silent.map(() => ""));
      for (const peer of [...silent, ...slow, ...second]) peer.socket.destroy();
    },
  );

  it(
    "HS17 upgraded, where a token is needed, and never a good one sent, whatever else is: 4500 after 10 s",
    { timeout: 60_000 },
    async () => {
      await using strict = await Server.start({
        sets: {
          workers: 1,
          "auth.required": true,
          "auth.jwt": { algorithms: ["HS256"], secret: "a secret of more than thirty-two bytes" },
        },
      });
      const resident = async (): Promise<number> =>
        (await strict.metrics()).sum("tapecast_heap_used_bytes") +
        (await strict.metrics()).sum("tapecast_external_memory_bytes");
      await delay(1200);
      const before = await resident();
      const startMs = performance.now();
      const chatter = [
        null,
        () => frame(0x89, "x"),
        () => text('{"id":1,"method":"ping"}'),
        () => text('{"id":1,"method":"token","params":{"token":"a.b.c"}}'),
        () => text('{"id":1,"method":"subscribe","params":{"topics":["quote.A"]}}'),
      ];
      const peers = await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          return {
            peer: await RawPeer.upgrade(strict.http, "/ws"),
            says: chatter[index % chatter.length] ?? null,
          };
        }),
      );
      const talking = setInterval(() => {
        for (const { peer, says } of peers) if (says !== null && !peer.isEnded) peer.send(says());
      }, 500);
      await delay(4000);
      // Garbage lies about as well: what is kept for each is far below.
      expect(((await resident()) - before) / peers.length).toBeLessThan(2 * 65_536);
      for (const { peer } of peers)
        await peer.until(() => peer.events.some(({ kind }) => kind === "close"), 20_000);
      const tookMs = performance.now() - startMs;
      clearInterval(talking);
      for (const { peer } of peers) {
        expect(peer.events.at(-1)).toMatchObject({ kind: "close", code: 4500 });
        peer.socket.destroy();
      }
      expect(tookMs).toBeGreaterThan(9000);
      expect(tookMs).toBeLessThan(12_000);
    },
  );
});

describe("HS18 handshakes without end", () => {
  it.each([
    { row: "from one address: 429", sets: { "limits.handshakesPerAddressPerSecMax": 20 }, status: 429 },
    { row: "from everywhere: 503", sets: { "limits.handshakesPerSecMax": 20 }, status: 503 },
  ])("HS18 $row with Retry-After, and others get in", { timeout: 60_000 }, async ({ sets, status }) => {
    await using limited = await Server.start({ sets });
    const answers = await Promise.all(
      Array.from({ length: 400 * scale }, () => answerTo(limited.http, handshake())),
    );
    const refused = answers.filter((answer) => answer.status === status);
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([101, status]));
    expect(refused.length).toBeGreaterThan(answers.length / 2);
    expect(refused.every(({ text: answer }) => /\r\nRetry-After: 1\r\n/u.test(answer))).toBe(true);
    // Where everybody counts together, the others' turn comes with the next second.
    if (status === 503) await delay(1000);
    const startMs = performance.now();
    const where = { host: "127.0.0.1", port: limited.port, localAddress: "127.0.0.2" };
    for (let count = 0; count < 10; count++) (await RawPeer.upgrade(where)).socket.destroy();
    expect((performance.now() - startMs) / 10).toBeLessThan(1000);
  });
});

it(
  "HS18 a flood with tokens from one address: no token of a refused handshake is looked at, and others get in meanwhile",
  { timeout: 60_000 },
  async () => {
    const perSec = 20;
    await using limited = await Server.start({
      sets: {
        "limits.handshakesPerAddressPerSecMax": perSec,
        "auth.required": true,
        "auth.jwt": { algorithms: ["HS256"], secret: "a secret of more than thirty-two bytes" },
      },
    });
    const over = new AbortController();
    const statuses = new Map<number, number>();
    const startMs = performance.now();
    const flood = Promise.all(
      Array.from({ length: 40 }, async () => {
        while (!over.signal.aborted) {
          const { status } = await answerTo(limited.http, handshake({}, "GET /ws?token=a.b.c HTTP/1.1"), 50);
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      }),
    );
    const tookMs: number[] = [];
    // From as many addresses as it takes to stay below the limit of each.
    for (let count = 0; count < 100; count++) {
      const where = { host: "127.0.0.1", port: limited.port, localAddress: `127.0.0.${2 + (count % 20)}` };
      const beganMs = performance.now();
      (await RawPeer.upgrade(where)).socket.destroy();
      tookMs.push(performance.now() - beganMs);
      await delay(20);
    }
    over.abort();
    await flood;
    const seconds = (performance.now() - startMs) / 1000 + 1;
    const accepted = statuses.get(101) ?? 0;
    expect(new Set(statuses.keys())).toEqual(new Set([101, 429]));
    // On two workers, each with a burst of a second's worth.
    expect(accepted).toBeLessThanOrEqual(2 * perSec * (seconds + 1));
    expect(statuses.get(429) ?? 0).toBeGreaterThan(accepted);
    await delay(1200);
    const { closed, refused } = await (async () => {
      const metrics = await limited.metrics();
      return {
        closed: metrics.sum("tapecast_connections_closed_total", { reason: "unauthorized" }),
        refused: metrics.sum("tapecast_handshakes_refused_total", { reason: "handshake_rate_per_address" }),
      };
    })();
    expect(closed, "bad tokens that were looked at").toBeLessThanOrEqual(accepted);
    expect(refused).toBe(statuses.get(429));
    expect(tookMs.toSorted((a, b) => a - b).at(-2), "the others' 99th percentile").toBeLessThan(1000);
  },
);

describe("HS19 what is reflected", () => {
  const evil = "%0d%0aSet-Cookie:%20a=b";
  it.each([
    { row: "a subprotocol", bytes: handshake({ "Sec-WebSocket-Protocol": "echo\r\n Set-Cookie: a=b" }) },
    { row: "the query", bytes: handshake({}, `GET /ws?topics=${evil}&interval=${evil} HTTP/1.1`) },
    { row: "a token", bytes: handshake({}, `GET /ws?token=${evil} HTTP/1.1`) },
    { row: "a topic", bytes: handshake({}, `GET /raw/${evil} HTTP/1.1`) },
    { row: "the key", bytes: handshake({ "Sec-WebSocket-Key": "x\r\nSet-Cookie: a=b" }) },
    { row: "an HTTP address", bytes: `GET /${evil} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n` },
  ])("HS19 $row brings no header of its own", async ({ bytes }) => {
    const { text: answer } = await answerTo(abused.where, bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 \d/u);
    expect(answer).not.toMatch(/^Set-Cookie/imu);
  });
});

describe("HS20 a request behind a refused upgrade", () => {
  it("HS20 an upgrade sent ahead, and a peer that never ends its side: the connection ends", async () => {
    const peer = await RawPeer.connect(abused.where);
    peer.send(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n${handshake()}`);
    await peer.until(() => peer.isEnded, 10_000);
    expect(peer.text.match(/HTTP\/1\.1 \d+/gu)).toEqual(["HTTP/1.1 200"]);
    const sending = setInterval(() => peer.socket.write("more"), 20);
    await peer.until(() => peer.isClosed, 10_000);
    clearInterval(sending);
  });

  it.each([
    { row: "a bad version", bytes: handshake({ "Sec-WebSocket-Version": "8" }) },
    { row: "an Origin", bytes: handshake({ Origin: "https://evil.example" }) },
    { row: "an unknown path", bytes: handshake({}, "GET /nothing HTTP/1.1") },
    { row: "another method", bytes: handshake({}, "POST /ws HTTP/1.1") },
  ])("HS20 $row: the second is never processed", async ({ bytes }) => {
    const { text: answer, isClosed } = await answerTo(
      abused.where,
      `${bytes}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
    expect(isClosed).toBe(true);
    expect(answer.match(/^HTTP\/1\.1 /gmu)).toHaveLength(1);
    expect(answer).not.toContain('"status":"ok"');
  });
});
