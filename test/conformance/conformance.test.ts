/**
 * The whole suite against our own /echo, where nothing may be found, and against npm's ws, where what is known to be
 * there must be found: four cases of UTF-8 that is noticed late, and no case of a frame that it gets wrong otherwise.
 */
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { afterAll, describe, expect, it } from "vitest";
import { acceptKey } from "../../src/handshake/accept-response.ts";
import { run, type Finished } from "../e2e/run.ts";
import { fails, sees, send, text, type FrameCase, type Step } from "./case.ts";
import { allCases } from "./cases/all.ts";
import { partOf, replacePart } from "./document-part.ts";
import { explanations } from "./explanations.ts";
import { key } from "./link.ts";
import { markdownReport, type ServerResults } from "./report.ts";
import { runAll } from "./run-all.ts";
import { runCase } from "./run-case.ts";
import { startTapecast, startWs, type ServerUnderTest } from "./servers.ts";
import { frame, hex, op } from "./wire.ts";

const minutes = 60_000;
const results: ServerResults[] = [];

/** Without the spaces that make a table of Markdown pretty. */
function plain(part: string): string {
  return part.replaceAll(/ +/g, " ").replaceAll(/-{2,}/g, "---");
}

function frameCase(...steps: readonly Step[]): FrameCase {
  return { id: "5.2-x", must: "", what: "", steps, ways: ["whole"] };
}

function command(...args: readonly string[]): Promise<Finished> {
  return run(process.execPath, ["--import", "tsx", "test/conformance/main.ts", ...args]);
}

async function judge(start: () => Promise<ServerUnderTest>, seriesMessages: number): Promise<ServerResults> {
  const server = await start();
  try {
    const found = await runAll(allCases, { url: server.url, seriesMessages });
    results.push({ name: server.name, results: found });
    return { name: server.name, results: found };
  } finally {
    await server.stop();
  }
}

describe("every clause of RFC 6455 §4–§8 and RFC 7692", () => {
  it(
    "Tapecast: no failure, nothing non-strict, nothing unimplemented",
    { timeout: 5 * minutes },
    async () => {
      const { results: found } = await judge(startTapecast, 8);
      expect(found.filter(({ verdict }) => verdict !== "pass")).toEqual([]);
      expect(found.length).toBeGreaterThan(900);
    },
  );

  it("ws: the known deviations are found, and no other", { timeout: 5 * minutes }, async () => {
    const { results: found } = await judge(startWs, 2);
    const late = found.filter(({ id, verdict }) => verdict === "non-strict" && id.startsWith("8.1"));
    expect(late.map(({ id }) => id)).toEqual([
      "8.1-fast-fragment",
      "8.1-fast-fragment-bytes",
      "8.1-fast-frame",
      "8.1-fast-frame-byte",
    ]);
    // What it gets right shows that the cases themselves are: nobody but us would pass a wrong one by design.
    const failedFrames = found.filter(
      ({ id, verdict }) => verdict === "fail" && /^(?:[5-8]\.|7692-[67])/.test(id),
    );
    expect(
      new Set(failedFrames.map(({ id }) => id.replace(/(?<=^5\.[24]-(?:minimal|4mib)|^7692-7\.1).*/, ""))),
    ).toEqual(new Set(["5.2-minimal", "5.4-4mib", "7692-7.1"]));
  });

  it("the document says what was found", () => {
    expect(results.length).toBe(2);
    const document = readFileSync(new URL("../../docs/CONFORMANCE.md", import.meta.url), "utf8");
    expect(plain(partOf(document))).toBe(plain(markdownReport(results, explanations)));
    expect(document).toContain(`the bytes of ${allCases.length} cases`);
  });
});

describe("the suite itself", () => {
  const sockets = new Set<Socket>();
  const servers: { close(): void }[] = [];
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
  });

  /** A server that answers any handshake, and then any bytes with the same answer. */
  async function stub(answer: string, ends: boolean, extra = ""): Promise<URL> {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("data", () => {
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            `Sec-WebSocket-Accept: ${acceptKey(key)}\r\n${extra}\r\n`,
        );
        socket.once("data", () => {
          socket.write(hex(answer));
          if (ends) socket.end();
        });
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new URL(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  }

  const violation = frameCase(send(frame(op.text, "x", { rsv: 1 })), fails(1002));
  const echo = frameCase(send(frame(op.text, "Hi")), sees(text("Hi")));
  const good = "81024869";

  it.each([
    ["a close frame with the right code, and the end", violation, "880203ea", true, "pass", ""],
    ["another code", violation, "880203f3", true, "non-strict", "closed with 1011"],
    ["a code that says that nothing was wrong", violation, "880203e8", true, "fail", "closed with 1000"],
    ["no close frame", violation, "", true, "non-strict", "without a close frame"],
    ["an echo before the close frame", violation, "810178880203ea", true, "fail", "a text of 1 bytes"],
    ["a second close frame", violation, "880203ea880203ea", true, "fail", "a frame after its close frame"],
    ["another message than was sent", echo, "81024868", true, "fail", "4868"],
    ["binary for text", echo, "82024869", true, "fail", "a binary"],
    ["a masked frame", echo, "8182000000004869", true, "fail", "§5.1"],
    ["RSV1 that nobody agreed on", echo, "c1024869", true, "fail", "RFC 7692 §6"],
    ["RSV2", echo, "a1024869", true, "fail", "§5.2"],
    ["a reserved opcode", echo, "83024869", true, "fail", "§5.2"],
    ["a length in a longer form", echo, "817e00024869", true, "fail", "§5.2"],
    ["a stray continuation", echo, "80024869", true, "fail", "§5.4"],
    ["a fragmented ping", echo, `0900${good}`, true, "fail", "§5.5"],
    ["text that is not UTF-8", echo, "8102ff69", true, "fail", "§5.6"],
    ["a close code that no endpoint may send", violation, "880203ed", true, "fail", "§7.4"],
    ["the right echo, and then no answer to our close frame", echo, good, true, "fail", "not a close frame"],
  ] as const)("a server that sends %s", async (_, each, answer, ends, verdict, problem) => {
    const result = await runCase(each, { url: await stub(answer, ends), seriesMessages: 1 });
    expect(result).toMatchObject({ verdict });
    expect(result.problem).toContain(problem);
  });

  it("a server that fails the connection and never ends TCP", { timeout: 20_000 }, async () => {
    const result = await runCase(violation, { url: await stub("880203ea", false), seriesMessages: 1 });
    expect(result).toMatchObject({ verdict: "fail", problem: "TCP was not ended by the server" });
  });

  it.each([
    [
      "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=16\r\n",
      "server_max_window_bits=16",
    ],
    ["Sec-WebSocket-Extensions: foo\r\n", "the extension foo"],
    ["Sec-WebSocket-Protocol: echo\r\n", "the subprotocol echo"],
  ])("a server that answers the handshake with %j", async (extra, problem) => {
    const url = await stub(good, true, extra);
    const result = await runCase({ ...echo, offer: "permessage-deflate" }, { url, seriesMessages: 1 });
    expect(result.verdict).toBe("fail");
    expect(result.problem).toContain(problem);
  });

  it("a server without compression: unimplemented, no failure", async () => {
    const url = await stub(good, true);
    const result = await runCase({ ...echo, offer: "permessage-deflate" }, { url, seriesMessages: 1 });
    expect(result).toMatchObject({ verdict: "unimplemented" });
  });

  it("cases have names of their own", () => {
    expect(new Set(allCases.map(({ id }) => id)).size).toBe(allCases.length);
  });

  it("a deviation that nobody explains cannot be written down", () => {
    const deviating = {
      name: "ws 1",
      results: [
        { id: "5.1-x", must: "m", what: "w", verdict: "fail" as const, problem: "p", ms: 1 },
        { id: "5.1-y", must: "m", what: "w", verdict: "pass" as const, problem: "", ms: 1 },
      ],
    };
    expect(() => markdownReport([deviating], {})).toThrow("nobody explains fail of ws 1 in 5.1-x: p");
    const part = markdownReport([deviating], { ws: [{ ids: ["5.1-"], why: "because" }] });
    expect(part).toContain("| 6455 §5.1 | m | 2 | 1 pass, 1 fail |");
    expect(part).toContain("- 1 fail: because (`5.1-x`)");
    const document = "a\n<!-- begin: npm run conformance -- --write -->\nold\n<!-- end -->\nb";
    expect(partOf(replacePart(document, part))).toBe(part);
    expect(() => partOf("nothing")).toThrow("the document has no");
  });

  it("the command: lists, complains of what is wrong with its line, and of a server that is not there", async () => {
    const [help, list, nobody, wrong, unreachable] = await Promise.all([
      command("--help"),
      command("--list", "--only", "5.2-rsv1"),
      command("--only", "9.9"),
      command("--url", "http://127.0.0.1"),
      command("--url", "ws://127.0.0.1:1/echo", "--only", "5.2-rsv1-text"),
    ]);
    expect(help).toMatchObject({ code: 0 });
    expect(help.stdout).toContain("--only <name>");
    expect(list.stdout).toContain("5.2-rsv1-text\n    6455 §5.2:");
    expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining("no case begins with 9.9") });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("ws://127.0.0.1:8080/echo") });
    expect(unreachable).toMatchObject({ code: 69, stderr: expect.stringContaining("cannot be reached") });
  });
});
