import { describe, expect, it } from "vitest";
import { ClientError } from "../../src/client/client-error.ts";
import type { LinkStatus } from "../../src/client/link.ts";
import { TapecastClient } from "../../src/client/tapecast-client.ts";
import type { TapecastClientOptions } from "../../src/client/tapecast-client.ts";
import type { Publication, SubscribeOptions, TopicSnapshot } from "../../src/client/wanted-topics.ts";
import { FakeSurroundings } from "./fake-surroundings.ts";

const welcome = { event: "welcome", connection: "c1", heartbeatMs: 25_000 };

function connected(options: TapecastClientOptions = {}) {
  const around = new FakeSurroundings();
  const statuses: LinkStatus[] = [];
  const client = new TapecastClient("ws://tape.test/ws", {
    webSocket: around.webSocket,
    timers: around.after,
    die: () => 0,
    onStatus: (status) => statuses.push(status),
    ...options,
  });
  around.socket.open();
  around.socket.receive(welcome);
  return { around, client, statuses };
}

/** Collects everything that a subscription tells the page, in order. */
function recorder(options: SubscribeOptions = {}) {
  const told: string[] = [];
  const publications: Publication[] = [];
  const snapshots: TopicSnapshot[] = [];
  return {
    told,
    publications,
    snapshots,
    options: {
      ...options,
      onPublication: (publication: Publication) => {
        publications.push(publication);
        told.push(
          `${publication.topic} ${publication.seq} ${publication.text}${publication.recovered ? " recovered" : ""}`,
        );
      },
      onSnapshot: (snapshot: TopicSnapshot) => {
        snapshots.push(snapshot);
        told.push(
          `snapshot ${snapshot.topic} ${snapshot.seq} ${snapshot.value?.text ?? "-"} ${snapshot.recovered}`,
        );
      },
      onLost: (lost: { topic: string; count: number; reason: string }) => {
        told.push(`lost ${lost.topic} ${lost.count} ${lost.reason}`);
      },
      onError: (topic: string, error: { code: string }) => told.push(`error ${topic} ${error.code}`),
    } satisfies SubscribeOptions,
  };
}

/** Loses a connection `count` times as soon as the server has welcomed it, and says how long each wait was. */
function cutAgainAndAgain(count: number, code: number, isWelcomed: boolean): number[] {
  const { around, statuses } = connected({ die: () => 0.999_999 });
  return Array.from({ length: count }, () => {
    around.socket.end(code);
    const status = statuses.at(-1);
    if (status?.state !== "waiting") throw new Error("not waiting");
    around.pass(status.retryInMs);
    around.socket.open();
    if (isWelcomed) around.socket.receive(welcome);
    return status.retryInMs;
  });
}

/** A chat topic at seq 13 whose connection was lost and is open again; `id` is the resuming command's. */
function resumed() {
  const { around, client, statuses } = connected();
  const record = recorder();
  client.subscribe(["chat.lobby"], record.options);
  around.socket.receive({ id: 1, result: { topics: { "chat.lobby": { epoch: "7", seq: 12 } } } });
  around.socket.receive({ topic: "chat.lobby", seq: 13, data: "live" });
  record.told.length = 0;
  around.socket.end(1006);
  around.pass(250);
  around.socket.open();
  const id = around.socket.commands[0]?.id;
  return { around, client, record, statuses, id };
}

describe("the address", () => {
  const rows: [name: string, options: TapecastClientOptions, url: string][] = [
    ["is the one given", {}, "ws://tape.test/ws"],
    ["carries the rate", { intervalMs: 250 }, "ws://tape.test/ws?interval=250"],
    ["carries a token, escaped", { token: "a b&c" }, "ws://tape.test/ws?token=a+b%26c"],
    ["asks for batches", { batch: true }, "ws://tape.test/ws?batch=1"],
  ];
  it.each(rows)("%s", (_name, options, url) => {
    expect(connected(options).around.socket.url).toBe(url);
  });

  it("stops where the platform refuses it, and says why", () => {
    const around = new FakeSurroundings();
    const statuses: LinkStatus[] = [];
    const client = new TapecastClient("ws://tape.test/ws", {
      webSocket: () => {
        throw new Error("mixed content");
      },
      timers: around.after,
      onStatus: (status) => statuses.push(status),
    });
    expect(statuses.at(-1)).toEqual({ state: "stopped", code: 1006, reason: "mixed content" });
    expect(around.timerCount).toBe(0);
    client.close();
  });
});

describe("subscribing", () => {
  it("sends one command per rate and tells snapshot, publications and losses in order", () => {
    const { around, client } = connected();
    const quotes = recorder({ intervalMs: 250 });
    const chat = recorder();
    client.subscribe(["quote.AAPL"], quotes.options);
    client.subscribe(["chat.lobby"], chat.options);
    expect(around.socket.commands).toEqual([
      { id: 1, method: "subscribe", params: { topics: ["quote.AAPL"], intervalMs: 250 } },
      { id: 2, method: "subscribe", params: { topics: ["chat.lobby"] } },
    ]);
    around.socket.receive(
      '{"id":1,"result":{"topics":{"quote.AAPL":{"epoch":"7","seq":17,"data":{"price":189.30},"intervalMs":250}}}}',
    );
    around.socket.receive('{"topic":"quote.AAPL","seq":18,"data":{"price": 189.40}}');
    around.socket.receive({ event: "lost", topic: "quote.AAPL", count: 3, reason: "overrun" });
    expect(quotes.told).toEqual([
      'snapshot quote.AAPL 17 {"price":189.30} null',
      'quote.AAPL 18 {"price": 189.40}',
      "lost quote.AAPL 3 overrun",
    ]);
    expect(quotes.publications[0]?.data).toEqual({ price: 189.4 });
    expect(quotes.snapshots[0]?.intervalMs).toBe(250);
    expect(chat.told).toEqual([]);
  });

  it("tells that a new token took topics away, and asks for them no more", () => {
    const { around, client } = connected();
    const told: string[] = [];
    const options = {
      onError: (topic: string, error: { code: string }) => void told.push(`${topic} ${error.code}`),
    };
    client.subscribe(["quote.AAPL", "chat.a"], options);
    around.socket.receive({ event: "unsubscribed", topics: ["chat.a", 5, "other"], reason: "forbidden" });
    expect(told).toEqual(["chat.a forbidden"]);
    client.unsubscribe(["chat.a"]);
    expect(around.socket.commands.map((command) => command.method)).toEqual(["subscribe"]);
  });

  it("splits many topics into commands of a hundred", () => {
    const { around, client } = connected();
    client.subscribe(
      Array.from({ length: 250 }, (_, index) => `t.${index}`),
      {},
    );
    expect(around.socket.commands.map((command) => (command.params["topics"] as string[]).length)).toEqual([
      100, 100, 50,
    ]);
  });

  it("waits for the connection and subscribes then", () => {
    const around = new FakeSurroundings();
    const client = new TapecastClient("ws://tape.test/ws", {
      webSocket: around.webSocket,
      timers: around.after,
    });
    client.subscribe(["a"], {});
    expect(around.socket.sent).toEqual([]);
    around.socket.open();
    expect(around.socket.commands.map((command) => command.params)).toEqual([{ topics: ["a"] }]);
  });

  it("tells nothing of a topic after unsubscribe, though its messages were on the way", () => {
    const { around, client } = connected();
    const record = recorder();
    client.subscribe(["a"], record.options);
    client.unsubscribe(["a", "never"]);
    around.socket.receive({ id: 1, result: { topics: { a: { data: 1 } } } });
    around.socket.receive({ topic: "a", data: 2 });
    expect(record.told).toEqual([]);
    expect(around.socket.commands[1]).toMatchObject({ method: "unsubscribe", params: { topics: ["a"] } });
  });

  it("takes a batch apart, and leaves a reply whole that has a line feed in its data", () => {
    const { around, client } = connected({ batch: true });
    const record = recorder();
    client.subscribe(["a"], record.options);
    around.socket.receive('{"id":1,"result":{"topics":{"a":{"epoch":"7","seq":1,"data":[\n1]}}}}');
    around.socket.receive('{"topic":"a","seq":2,"data":2}\n{"topic":"a","seq":3,"data":3}\n');
    expect(record.told).toEqual(["snapshot a 1 [\n1] null", "a 2 2", "a 3 3"]);
  });

  it.each([
    ["no JSON", "{"],
    ["no object", "7"],
    ["an unknown event", '{"event":"weather"}'],
    ["an answer that nobody asked for", '{"id":99,"result":{}}'],
    ["an error without id", '{"id":null,"error":{"code":"bad_request","message":"?"}}'],
    ["a topic that nobody wanted", '{"topic":"__proto__","data":1}'],
    ["a publication without data", '{"topic":"a"}'],
  ])("lives through %s", (_name, text) => {
    const { around, client } = connected();
    const record = recorder();
    client.subscribe(["a"], record.options);
    around.socket.receive(text);
    expect(record.told).toEqual([]);
    around.socket.receive({ topic: "a", data: 1 });
    expect(record.told).toEqual(["a null 1"]);
  });
});

describe("refusals", () => {
  it("gives up what is refused for good and tries again what is refused for now", () => {
    const { around, client } = connected();
    const record = recorder();
    client.subscribe(["nope!", "busy", "fine"], record.options);
    around.socket.receive({
      id: 1,
      result: {
        topics: { fine: {} },
        errors: {
          "nope!": { code: "bad_topic", message: "…" },
          busy: { code: "unavailable", message: "…", temporary: true },
        },
      },
    });
    expect(record.told).toEqual([
      "snapshot fine null - null",
      "error nope! bad_topic",
      "error busy unavailable",
    ]);
    around.pass(1000);
    expect(around.socket.commands.at(-1)?.params).toEqual({ topics: ["busy"] });
    around.socket.end(1006);
    around.pass(1000);
    around.socket.open();
    expect(around.socket.commands.at(-1)?.params).toEqual({ topics: ["busy", "fine"] });
  });

  it("spreads an error of the whole command over its topics", () => {
    const { around, client } = connected();
    const record = recorder();
    client.subscribe(["a", "b"], record.options);
    around.socket.receive({ id: 1, error: { code: "limit", message: "at most 1024 topics" } });
    expect(record.told).toEqual(["error a limit", "error b limit"]);
  });

  it("waits longer each time", () => {
    const { around, client } = connected();
    client.subscribe(["busy"], {});
    const refuse = () =>
      around.socket.receive({
        id: around.socket.commands.at(-1)?.id,
        error: { code: "rate_limited", message: "", temporary: true },
      });
    refuse();
    around.pass(250);
    expect(around.socket.commands).toHaveLength(2);
    refuse();
    around.pass(499);
    expect(around.socket.commands).toHaveLength(2);
    around.pass(1);
    expect(around.socket.commands).toHaveLength(3);
  });
});

describe("publish, history, token", () => {
  it("resolves with the position, and history with the text of each message", async () => {
    const { around, client } = connected();
    const published = client.publish("a", { text: "哈哈哈" });
    const history = client.history("a", { since: { epoch: "7", seq: 3 }, limit: 50 });
    expect(around.socket.commands.map(({ method, params }) => ({ method, params }))).toEqual([
      { method: "publish", params: { topic: "a", data: { text: "哈哈哈" } } },
      { method: "history", params: { topic: "a", since: { epoch: "7", seq: 3 }, limit: 50 } },
    ]);
    around.socket.receive({ id: 1, result: { topic: "a", epoch: "7", seq: 5 } });
    around.socket.receive(
      '{"id":2,"result":{"topic":"a","epoch":"7","seq":5,"messages":[{"seq":4,"data":1.10},{"seq":5,"data":"x"}]}}',
    );
    expect(await published).toEqual({ epoch: "7", seq: 5 });
    expect(await history).toEqual({
      epoch: "7",
      seq: 5,
      messages: [
        { seq: 4, data: 1.1, text: "1.10" },
        { seq: 5, data: "x", text: '"x"' },
      ],
    });
  });

  it("rejects with the server's code", async () => {
    const { around, client } = connected();
    const published = client.publish("a", 1);
    around.socket.receive({
      id: 1,
      error: { code: "rate_limited", message: "at most 5 messages a second", temporary: true },
    });
    await expect(published).rejects.toMatchObject({ code: "rate_limited", temporary: true });
  });

  it("rejects what a lost connection left without an answer, and what has no connection", async () => {
    const { around, client } = connected();
    const pending = client.publish("a", 1);
    around.socket.end(1006);
    await expect(pending).rejects.toBeInstanceOf(ClientError);
    await expect(client.publish("a", 1)).rejects.toMatchObject({ code: "disconnected" });
  });

  it("uses a fresh token now and on the next connection", async () => {
    const { around, client } = connected({ token: "old" });
    const done = client.token("new");
    around.socket.receive({ id: 1, result: {} });
    await done;
    around.socket.end(1006);
    around.pass(250);
    expect(around.socket.url).toBe("ws://tape.test/ws?token=new");
  });
});

describe("coming back", () => {
  it("resumes from the last position seen", () => {
    expect(resumed().around.socket.commands[0]?.params).toEqual({
      topics: ["chat.lobby"],
      since: { "chat.lobby": { epoch: "7", seq: 13 } },
    });
  });

  it("merges what was missed, in order, none twice", () => {
    const { around, record, id } = resumed();
    const messages = [13, 14, 15].map((seq) => ({ seq, data: seq }));
    around.socket.receive({
      id,
      result: { topics: { "chat.lobby": { epoch: "7", seq: 15, recovered: true, messages } } },
    });
    around.socket.receive({ topic: "chat.lobby", seq: 16, data: 16 });
    expect(record.told).toEqual([
      "snapshot chat.lobby 15 - true",
      "chat.lobby 14 14 recovered",
      "chat.lobby 15 15 recovered",
      "chat.lobby 16 16",
    ]);
    expect(record.snapshots.at(-1)?.recoveredCount).toBe(2);
  });

  it("follows a publication into a new epoch, and resumes from there", () => {
    const { around, client } = connected();
    client.subscribe(["chat.lobby"], {});
    around.socket.receive({ id: 1, result: { topics: { "chat.lobby": { epoch: "7", seq: 12 } } } });
    around.socket.receive({ topic: "chat.lobby", seq: 13, data: 1 });
    around.socket.receive({ topic: "chat.lobby", epoch: "8", seq: 14, data: 2 });
    around.socket.receive({ topic: "chat.lobby", seq: 15, data: 3 });
    around.socket.end(1006);
    around.pass(250);
    around.socket.open();
    expect(around.socket.commands[0]?.params).toMatchObject({
      since: { "chat.lobby": { epoch: "8", seq: 15 } },
    });
  });
  it("is given nothing twice when it is recovered into a new epoch", () => {
    const { around, record, id } = resumed();
    const messages = [12, 13, 14].map((seq) => ({ seq, data: seq }));
    around.socket.receive({
      id,
      result: { topics: { "chat.lobby": { epoch: "8", seq: 14, recovered: true, messages } } },
    });
    around.socket.receive({ topic: "chat.lobby", seq: 15, data: 15 });
    expect(record.told).toEqual([
      "snapshot chat.lobby 14 - true",
      "chat.lobby 14 14 recovered",
      "chat.lobby 15 15",
    ]);
  });
  it("says that it was not recovered, and goes on from the new position", () => {
    const { around, record, id } = resumed();
    around.socket.receive({
      id,
      result: { topics: { "chat.lobby": { epoch: "8", seq: 2, recovered: false, data: "new" } } },
    });
    expect(record.told).toEqual(['snapshot chat.lobby 2 "new" false']);
    around.socket.end(1006);
    around.pass(500);
    around.socket.open();
    expect(around.socket.commands[0]?.params["since"]).toEqual({ "chat.lobby": { epoch: "8", seq: 2 } });
  });

  it("does not move backwards when a renewed subscription is overtaken by live messages", () => {
    const { around, client, record } = resumed();
    around.socket.receive({
      id: 2,
      result: { topics: { "chat.lobby": { epoch: "7", seq: 13, recovered: true, messages: [] } } },
    });
    client.subscribe(["chat.lobby"], record.options);
    around.socket.receive({ topic: "chat.lobby", seq: 14, data: 14 });
    const id = around.socket.commands.at(-1)?.id;
    around.socket.receive({
      id,
      result: {
        topics: { "chat.lobby": { epoch: "7", seq: 14, recovered: true, messages: [{ seq: 14, data: 14 }] } },
      },
    });
    expect(record.publications.map((each) => each.seq)).toEqual([13, 14]);
  });

  it("asks for no recovery on a topic without history", () => {
    const { around, client } = connected();
    client.subscribe(["live.only"], {});
    around.socket.receive({ id: 1, result: { topics: { "live.only": {} } } });
    around.socket.receive({ topic: "live.only", data: 1 });
    around.socket.end(1006);
    around.pass(250);
    around.socket.open();
    expect(around.socket.commands[0]?.params).toEqual({ topics: ["live.only"] });
  });

  const ends: [name: string, code: number, waitMs: number | null][] = [
    ["a lost connection", 1006, 250],
    ["going away", 1001, 250],
    ["restart", 4000, 250],
    ["slow consumer", 4001, 250],
    ["history gap", 4003, 250],
    ["unauthorized", 4500, null],
    ["forbidden", 4501, null],
    ["connection limit", 4504, null],
  ];
  it.each(ends)("after %s (%i) waits %s ms", (_name, code, waitMs) => {
    const { around, statuses } = connected();
    around.socket.end(code, "why");
    if (waitMs === null) {
      expect(statuses.at(-1)).toEqual({ state: "stopped", code, reason: "why" });
      around.pass(600_000);
      expect(around.sockets).toHaveLength(1);
      expect(around.timerCount).toBe(0);
    } else {
      expect(statuses.at(-1)).toEqual({ state: "waiting", retryInMs: waitMs, code, reason: "why" });
      around.pass(waitMs - 1);
      expect(around.sockets).toHaveLength(1);
      around.pass(1);
      expect(around.sockets).toHaveLength(2);
    }
  });

  it("waits as long as the server's closing event says, once", () => {
    const { around, statuses } = connected();
    around.socket.receive({ event: "closing", reason: "restart", reconnectAfterMs: 1840 });
    around.socket.end(4000);
    expect(statuses.at(-1)).toMatchObject({ state: "waiting", retryInMs: 1840 });
    around.pass(1840);
    around.socket.end(1006);
    expect(statuses.at(-1)).toMatchObject({ state: "waiting", retryInMs: 500 });
  });

  it("backs off further while connections do not last, and begins anew after one that did", () => {
    const { around, statuses } = connected();
    const waits: number[] = [];
    const loseAfter = (openMs: number) => {
      around.pass(openMs);
      around.socket.end(4004);
      const status = statuses.at(-1);
      if (status?.state !== "waiting") throw new Error("not waiting");
      waits.push(status.retryInMs);
      around.pass(status.retryInMs);
      around.socket.open();
    };
    for (const openMs of [0, 1000, 4999, 5000, 0]) loseAfter(openMs);
    expect(waits).toEqual([250, 500, 1000, 250, 500]);
  });

  it("waits no longer than 5 s where the server welcomes it each time and something cuts", () => {
    expect(cutAgainAndAgain(8, 1006, true)).toEqual([500, 1000, 2000, 4000, 5000, 5000, 5000, 5000]);
  });

  it.each([
    ["the server never welcomes it", 1006, false],
    ["the server has too much to do", 4004, true],
  ])("waits up to 30 s where %s", (_name, code, isWelcomed) => {
    expect(cutAgainAndAgain(8, code, isWelcomed).slice(1)).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000,
    ]);
  });

  it("comes back at once when the network does, but not before the time that the server asked for", () => {
    const listeners: (() => void)[] = [];
    const { around, statuses } = connected({ online: (callback) => listeners.push(callback) });
    const online = () => {
      for (const listener of listeners) listener();
    };
    online();
    expect(around.sockets, "nothing was lost").toHaveLength(1);
    for (let attempt = 0; attempt < 8; attempt += 1) {
      around.socket.end(1006);
      const status = statuses.at(-1);
      if (attempt < 7 && status?.state === "waiting") around.pass(status.retryInMs);
    }
    expect(statuses.at(-1)).toMatchObject({ state: "waiting", retryInMs: 15_000 });
    online();
    expect(around.sockets).toHaveLength(9);
    online();
    expect(around.sockets, "it is connecting").toHaveLength(9);
    around.socket.open();
    around.socket.receive({ event: "closing", reason: "restart", reconnectAfterMs: 1840 });
    around.socket.end(4000);
    online();
    expect(around.sockets).toHaveLength(9);
    around.pass(1840);
    expect(around.sockets).toHaveLength(10);
    around.socket.end(4500);
    online();
    expect(around.sockets, "stopped for good").toHaveLength(10);
    expect(around.timerCount).toBe(0);
  });

  it("gives up an attempt that is never answered", () => {
    const around = new FakeSurroundings();
    const client = new TapecastClient("ws://tape.test/ws", {
      webSocket: around.webSocket,
      timers: around.after,
      die: () => 0,
    });
    around.pass(10_250);
    expect(around.sockets).toHaveLength(2);
    expect(around.sockets[0]?.closedWith).toBe(1000);
    around.sockets[0]?.open();
    expect(client.connection).toBe(null);
    expect(around.sockets[0]?.sent).toEqual([]);
  });

  it("drops the connection and resumes when the page asks", () => {
    const { around, client, statuses } = connected();
    client.reconnect(3000);
    expect(around.socket.closedWith).toBe(1000);
    expect(statuses.at(-1)).toMatchObject({ state: "waiting", retryInMs: 3000 });
    client.reconnect();
    around.pass(0);
    expect(around.sockets).toHaveLength(2);
  });

  it("stays away after close and leaves no timer", () => {
    const { around, client, statuses } = connected();
    client.subscribe(["a"], {});
    around.socket.receive({ id: 1, error: { code: "unavailable", message: "", temporary: true } });
    client.close();
    expect(statuses.at(-1)).toEqual({ state: "stopped", code: 1000, reason: "" });
    expect(around.timerCount).toBe(0);
    around.socket.end(1000);
    expect(around.sockets).toHaveLength(1);
  });
});

describe("heartbeat", () => {
  it("asks after silence and lives on the answer", () => {
    const { around } = connected();
    around.pass(24_999);
    expect(around.socket.sent).toEqual([]);
    around.pass(1);
    const ping = around.socket.commands[0];
    expect(ping?.method).toBe("ping");
    around.socket.receive({ id: ping?.id, result: {} });
    around.pass(8000);
    expect(around.sockets).toHaveLength(1);
    around.pass(25_000);
    expect(around.socket.sent).toHaveLength(2);
  });

  it("does not ask while messages come", () => {
    const { around } = connected();
    for (let turn = 0; turn < 10; turn += 1) {
      around.pass(20_000);
      around.socket.receive({ topic: "a", data: turn });
    }
    expect(around.socket.sent).toEqual([]);
  });

  it("gives a dead connection up without waiting for its close event", () => {
    const { around, statuses } = connected();
    around.pass(33_000);
    expect(statuses.at(-1)).toEqual({ state: "waiting", retryInMs: 250, code: 1006, reason: "silence" });
    const dead = around.socket;
    around.pass(250);
    around.socket.open();
    dead.receive({ topic: "a", data: 1 });
    dead.end(1006);
    expect(statuses.at(-1)).toEqual({ state: "open" });
  });

  it("watches nothing where the server names no heartbeat", () => {
    const { around } = connected();
    around.socket.receive({ ...welcome, heartbeatMs: 0 });
    around.pass(600_000);
    expect(around.socket.sent).toEqual([]);
  });
});
