/** `tapecast subscribe` over a real socket: what it prints, how it comes back, when it ends. */
import type { AddressInfo } from "node:net";

import { afterEach, describe, expect, it } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";

import { Subscription, type SubscriptionEnd, type SubscriptionOptions } from "../../src/cli/subscription.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Command {
  readonly method: string;
  readonly params: {
    readonly topics: readonly string[];
    readonly since?: unknown;
    readonly intervalMs?: number;
  };
}

/** A server whose connections the test handles one after the other. */
async function scene(...handlers: readonly ((peer: WebSocket, command: Command) => void)[]) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await new Promise((resolve) => server.once("listening", resolve));
  cleanups.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  const commands: Command[] = [];
  const authorizations: (string | undefined)[] = [];
  let connections = 0;
  server.on("connection", (peer, request) => {
    const handler = handlers[connections];
    connections += 1;
    authorizations.push(request.headers.authorization);
    peer.send('{"event":"welcome","connection":"x","heartbeatMs":25000}');
    peer.on("message", (data) => {
      const command = JSON.parse((data as Buffer).toString()) as Command;
      commands.push(command);
      handler?.(peer, command);
    });
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`, commands, authorizations };
}

function subscribe(url: string, options: Partial<SubscriptionOptions> = {}) {
  const lines: string[] = [];
  const notices: string[] = [];
  const wakers: (() => void)[] = [];
  let end: SubscriptionEnd | null = null;
  const wake = (): void => {
    for (const waker of wakers.splice(0)) waker();
  };
  const subscription = new Subscription(
    { url, topics: ["a"], token: null, intervalMs: null, current: true, backoff: () => 0, ...options },
    {
      onPublication: (line) => {
        lines.push(line);
        wake();
        return true;
      },
      onNotice: (text) => {
        notices.push(text);
        wake();
      },
      onEnd: (how) => {
        end = how;
        wake();
      },
    },
  );
  cleanups.push(() => subscription.stop());
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        wakers.push(resolve);
      });
    }
  };
  return {
    lines,
    notices,
    until,
    ended: async (): Promise<SubscriptionEnd | null> => {
      await until(() => end !== null);
      return end;
    },
  };
}

function reply(topics: string, errors = ""): string {
  return `{"id":1,"result":{"topics":{${topics}}${errors === "" ? "" : `,"errors":{${errors}}`}}}`;
}

describe("subscribe", () => {
  it("prints the current value and then publications, digits and order untouched", async () => {
    const { url, commands, authorizations } = await scene((peer) => {
      peer.send(reply('"a":{"epoch":"7","seq":17,"data":{"price":189.30,"id":12345678901234567890}}'));
      peer.send('{"topic":"a","seq":18,"data":{"price":189.40}}');
      peer.send('{"topic":"a","data":[1,\n2]}');
      peer.send('{"event":"lost","topic":"a","count":312,"reason":"sampled"}');
    });
    const { lines, notices, until } = subscribe(url, { token: "t0ken", intervalMs: 250, topics: ["a", "b"] });
    await until(() => notices.length === 1);
    expect(lines).toEqual([
      '{"topic":"a","seq":17,"data":{"price":189.30,"id":12345678901234567890}}',
      '{"topic":"a","seq":18,"data":{"price":189.40}}',
      '{"topic":"a","data":[1, 2]}',
    ]);
    expect(notices).toEqual(["a: 312 publications left out (sampled)"]);
    expect(commands).toEqual([
      { id: 1, method: "subscribe", params: { topics: ["a", "b"], intervalMs: 250 } },
    ]);
    expect(authorizations).toEqual(["Bearer t0ken"]);
  });

  it("leaves out the current value when asked to", async () => {
    const { url } = await scene((peer) => {
      peer.send(reply('"a":{"epoch":"7","seq":17,"data":1}'));
      peer.send('{"topic":"a","seq":18,"data":2}');
    });
    const { lines, until } = subscribe(url, { current: false });
    await until(() => lines.length > 0);
    expect(lines).toEqual(['{"topic":"a","seq":18,"data":2}']);
  });

  it("follows its topic into a new epoch, and comes back with a position of it", async () => {
    const { url, commands } = await scene(
      (peer) => {
        peer.send(reply('"a":{"epoch":"7","seq":1}'));
        peer.send('{"topic":"a","epoch":"8","seq":2,"data":2}');
        peer.send('{"topic":"a","seq":3,"data":3}');
        peer.terminate();
      },
      (peer) => {
        peer.send(reply('"a":{"epoch":"8","seq":3,"recovered":true,"messages":[]}'));
        peer.send('{"topic":"a","seq":4,"data":4}');
      },
    );
    const { lines, until } = subscribe(url, { current: false });
    await until(() => lines.length === 3);
    expect(commands[1]).toMatchObject({ params: { since: { a: { epoch: "8", seq: 3 } } } });
  });

  it("comes back with its position and prints what it missed", async () => {
    const { url, commands } = await scene(
      (peer) => {
        peer.send(reply('"a":{"epoch":"7","seq":1}'));
        peer.send('{"topic":"a","seq":2,"data":2.0}');
        peer.terminate();
      },
      (peer) => {
        peer.send(
          reply(
            '"a":{"epoch":"7","seq":4,"recovered":true,"messages":[{"seq":3,"data":"}]"},{"seq":4,"data":4.0}]}',
          ),
        );
        peer.close(4000, "restart");
      },
      (peer) => {
        peer.send(reply('"a":{"epoch":"8","seq":9,"recovered":false,"data":9.0}'));
        peer.send('{"topic":"a","seq":10,"data":10}');
      },
    );
    const { lines, notices, until } = subscribe(url, { current: false });
    await until(() => lines.length === 5);
    expect(lines).toEqual([
      '{"topic":"a","seq":2,"data":2.0}',
      '{"topic":"a","seq":3,"data":"}]"}',
      '{"topic":"a","seq":4,"data":4.0}',
      '{"topic":"a","seq":9,"data":9.0}',
      '{"topic":"a","seq":10,"data":10}',
    ]);
    expect(commands.map((command) => command.params.since)).toEqual([
      undefined,
      { a: { epoch: "7", seq: 2 } },
      { a: { epoch: "7", seq: 4 } },
    ]);
    expect(notices).toContain("a: some publications were missed");
    expect(notices.some((notice) => notice.includes("4000 restart"))).toBe(true);
  });

  it("waits as long as the server asks", async () => {
    const { url } = await scene(
      (peer) => {
        peer.send(reply('"a":{}'));
        peer.send('{"event":"closing","reason":"restart","reconnectAfterMs":40}');
        peer.close(4000);
      },
      (peer) => peer.send('{"topic":"a","data":1}'),
    );
    const { lines, notices, until } = subscribe(url);
    await until(() => lines.length === 1);
    expect(notices).toEqual(["the server closed the connection (4000); connecting again in 0.0 s"]);
  });

  it.each([
    ["a close code of 4500", (peer: WebSocket) => peer.close(4500, "unauthorized"), "(4500 unauthorized)"],
    [
      "a refused command",
      (peer: WebSocket) => peer.send('{"id":1,"error":{"code":"limit","message":"too many"}}'),
      "too many (limit)",
    ],
    [
      "no topic that is good",
      (peer: WebSocket) => peer.send(reply("", '"a":{"code":"unknown_topic","message":"no rule"}')),
      "no topic is subscribed",
    ],
  ])("ends after %s", async (_name, handler, reason) => {
    const { url } = await scene(handler);
    const end = await subscribe(url).ended();
    expect(end?.isUnreachable).toBe(false);
    expect(end?.reason).toContain(reason);
  });

  it("goes on with the good topics when some are refused, naming those", async () => {
    const { url } = await scene((peer) => {
      peer.send(
        reply('"a":{"seq":0,"epoch":"1"}', '"b":{"code":"unknown_topic","message":"no rule matches"}'),
      );
      peer.send('{"topic":"a","seq":1,"data":1}');
    });
    const { lines, notices, until } = subscribe(url, { topics: ["a", "b"] });
    await until(() => lines.length === 1);
    expect(notices).toEqual(["b: no rule matches (unknown_topic)"]);
  });

  it("ends at once when nobody was ever there", async () => {
    expect(await subscribe("ws://127.0.0.1:1/ws").ended()).toEqual({
      isUnreachable: true,
      reason: "connection refused",
    });
  });

  it("is not ended by what is no JSON", async () => {
    const { url } = await scene((peer) => {
      peer.send('{"\\');
      peer.send(Buffer.from([1]));
      peer.send('{"topic":"a","data":1}');
    });
    const { lines, notices, until } = subscribe(url);
    await until(() => lines.length === 1);
    expect(notices).toEqual(Array(2).fill("a message that is not JSON was left out"));
  });
});
