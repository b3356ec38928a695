/** Our client against a server that we did not write (the npm package ws), and against one that misbehaves. */
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";

import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";

import {
  WebSocketClient,
  type WebSocketClientOptions,
  type WebSocketEnd,
} from "../../src/cli/websocket-client.ts";
import { acceptKey } from "../../src/handshake/accept-response.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function wsServer(): Promise<{ server: WebSocketServer; url: string }> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", autoPong: true });
  await new Promise((resolve) => server.once("listening", resolve));
  cleanups.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { server, url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws?x=1` };
}

async function tcpServer(onHead: (socket: Socket, key: string) => void): Promise<string> {
  const server: Server = createTcpServer((socket) => {
    let head = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      head += chunk.toString("latin1");
      const key = /Sec-WebSocket-Key: (\S+)/u.exec(head)?.[1];
      if (head.includes("\r\n\r\n") && key !== undefined) {
        head = "";
        onHead(socket, key);
      }
    });
    cleanups.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

function accept(key: string): string {
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`;
}

/** A client whose events can be waited for. */
function open(url: string, options: Partial<WebSocketClientOptions> = {}) {
  const messages: (string | Uint8Array)[] = [];
  const wakers: (() => void)[] = [];
  let end: WebSocketEnd | null = null;
  let endCount = 0;
  let isOpen = false;
  const wake = (): void => {
    for (const waker of wakers.splice(0)) waker();
  };
  const client = new WebSocketClient(
    { url, ...options },
    {
      onOpen: () => {
        isOpen = true;
        wake();
      },
      onMessage: (isText, payload) => {
        messages.push(isText ? Buffer.from(payload).toString("utf8") : new Uint8Array(payload));
        wake();
      },
      onPong: (payload) => {
        messages.push(`pong ${Buffer.from(payload).toString("utf8")}`);
        wake();
      },
      onEnd: (how) => {
        end = how;
        endCount += 1;
        wake();
      },
    },
  );
  cleanups.push(() => client.destroy());
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        wakers.push(resolve);
      });
    }
  };
  return {
    client,
    messages,
    until,
    opened: () => until(() => isOpen || end !== null),
    ended: async (): Promise<WebSocketEnd> => {
      await until(() => end !== null);
      if (end === null) throw new Error("unreachable");
      return end;
    },
    get endCount() {
      return endCount;
    },
  };
}

describe("against ws", () => {
  it("sends and receives text and binary of all three length forms", async () => {
    const { server, url } = await wsServer();
    server.on("connection", (peer) =>
      peer.on("message", (data, isBinary) => peer.send(data, { binary: isBinary })),
    );
    const { client, messages, opened, until } = open(url);
    await opened();
    const texts = ["", "哈哈哈", "x".repeat(126), "y".repeat(70_000)];
    for (const text of texts) client.send(text);
    const bytes = new Uint8Array(1_000_000).map((_, index) => index);
    client.send(bytes);
    await until(() => messages.length === 5);
    expect(messages.slice(0, 4)).toEqual(texts);
    expect(Buffer.compare(messages[4] as Uint8Array, bytes)).toBe(0);
  });

  it("sends the request that was asked for", async () => {
    const { server, url } = await wsServer();
    const seen = new Promise<unknown>((resolve) => {
      server.on("connection", (_peer, request) => {
        const { authorization, origin, "sec-websocket-extensions": extensions } = request.headers;
        resolve([request.url, authorization, origin, extensions]);
      });
    });
    const { client, opened } = open(url, {
      headers: { Authorization: "Bearer t" },
      subprotocols: ["tapecast.v1"],
    });
    await opened();
    expect(await seen).toEqual(["/ws?x=1", "Bearer t", undefined, undefined]);
    expect(client.subprotocol).toBe("tapecast.v1");
  });

  it("answers pings, sends them, and closes with a code", async () => {
    const { server, url } = await wsServer();
    const closed = new Promise<unknown>((resolve) => {
      server.on("connection", (peer) => {
        peer.on("pong", (data) => peer.send(`pong was ${data.toString()}`));
        peer.on("close", (code, reason) => resolve([code, reason.toString()]));
        peer.ping("are you there");
      });
    });
    const watched = open(url);
    await watched.opened();
    watched.client.ping(Buffer.from("me too"));
    await watched.until(() => watched.messages.length === 2);
    expect(new Set(watched.messages)).toEqual(new Set(["pong me too", "pong was are you there"]));
    watched.client.close(4000, "bye");
    expect(await watched.ended()).toEqual({ code: 4000, reason: "bye", problem: null, status: null });
    expect(await closed).toEqual([4000, "bye"]);
    expect(watched.endCount).toBe(1);
    expect(watched.client.send("too late")).toBe(false);
  });

  it.each([
    [4500, "unauthorized"],
    [1001, ""],
  ])("is told when the server closes with %i", async (code, reason) => {
    const { server, url } = await wsServer();
    server.on("connection", (peer) => peer.close(code, reason));
    expect(await open(url).ended()).toEqual({ code, reason, problem: null, status: null });
  });

  it("is told 1005 for a close without a code, and of a cut connection", async () => {
    const { server, url } = await wsServer();
    server.once("connection", (peer) => peer.close());
    expect((await open(url).ended()).code).toBe(1005);
    server.once("connection", (peer) => peer.terminate());
    expect(await open(url).ended()).toMatchObject({ code: 1006, problem: "the connection was cut" });
  });

  it("refuses a message over its limit", async () => {
    const { server, url } = await wsServer();
    const closed = new Promise<number>((resolve) => {
      server.on("connection", (peer) => {
        peer.on("close", resolve);
        peer.send("x".repeat(1001));
      });
    });
    expect((await open(url, { messageBytesMax: 1000 }).ended()).problem).toMatch(
      /^protocol error of the server/,
    );
    expect(await closed).toBe(1009);
  });
});

describe("against what is no good server", () => {
  it("takes frames that come in the packet of the 101", async () => {
    const url = await tcpServer((socket, key) => {
      socket.write(Buffer.concat([Buffer.from(accept(key)), Buffer.from([0x81, 2, 0x68, 0x69])]));
    });
    const watched = open(url);
    await watched.until(() => watched.messages.length === 1);
    expect(watched.messages).toEqual(["hi"]);
  });

  it("says what was answered instead of 101", async () => {
    const url = await tcpServer((socket) =>
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
    );
    expect(await open(url).ended()).toEqual({
      code: 1006,
      reason: "",
      problem: "the server answered 403",
      status: 403,
    });
  });

  it.each([
    ["no HTTP", "hello\r\n\r\n"],
    [
      "a wrong accept key",
      "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    ],
    ["a head without an end", "x".repeat(70_000)],
  ])("gives up on %s", async (_name, answer) => {
    const url = await tcpServer((socket) => void socket.write(answer));
    expect(await open(url).ended()).toMatchObject({ code: 1006, problem: expect.any(String) });
  });

  it("answers a masked frame with 1002", async () => {
    let answer = Buffer.alloc(0);
    const url = await tcpServer((socket, key) => {
      socket.on("data", (chunk: Buffer) => {
        answer = Buffer.concat([answer, chunk]);
      });
      socket.write(Buffer.concat([Buffer.from(accept(key)), Buffer.from([0x81, 0x80, 1, 2, 3, 4])]));
    });
    const end = await open(url).ended();
    expect(end.problem).toMatch(/protocol error/);
  });

  it("is told of a refused connection and of silence", async () => {
    expect((await open("ws://127.0.0.1:1/").ended()).problem).toBe("connection refused");
    const url = await tcpServer(() => undefined);
    expect((await open(url, { openTimeoutMs: 20 }).ended()).problem).toBe(
      "the server did not answer in time",
    );
  });

  it.each(["http://h/", "h", "ws://"])("throws for the URL %s", (url) => {
    expect(() => new WebSocketClient({ url }, {})).toThrow(TypeError);
  });
});
