import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { listenProblem, networkProblem, readProblem } from "../../src/base/system-problem.ts";

/** What the system itself throws or emits. */
function caught(run: () => void): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

function withCode(code: string, message = `listen ${code}: whatever`): Error {
  return Object.assign(new Error(message), { code });
}

describe("why a file could not be read", () => {
  it.each([
    ["/nonexistent/file", "no such file"],
    [tmpdir(), "is a directory, not a file"],
  ])("%s: %s", (path, words) => {
    expect(readProblem(caught(() => readFileSync(path)))).toBe(words);
  });

  it.each([
    ["EACCES", "may not be read (permission denied)"],
    ["EIO", "cannot be read (EIO)"],
  ])("%s: %s", (code, words) => {
    expect(readProblem(withCode(code))).toBe(words);
  });
});

describe("why a connection failed", () => {
  it("nobody listens, at none of a name's addresses", async () => {
    const error = await new Promise((resolve) => {
      connect({ host: "127.0.0.1", port: 1 }).once("error", resolve);
    });
    expect(networkProblem(error)).toBe("connection refused");
    expect(networkProblem(new AggregateError([error, new Error("another")]))).toBe("connection refused");
  });

  it.each([
    [withCode("ENOTFOUND"), "no such host"],
    [withCode("ECONNRESET"), "the connection was cut"],
    [withCode("ETIMEDOUT", ""), "ETIMEDOUT"],
    [new Error("certificate has expired"), "certificate has expired"],
    ["a string", "a string"],
  ])("%s: %s", (error, words) => {
    expect(networkProblem(error)).toBe(words);
  });
});

describe("why nothing can listen", () => {
  it("the port is taken: says how to take another", async () => {
    const first = createServer();
    await new Promise<void>((resolve) => {
      first.listen(0, "127.0.0.1", resolve);
    });
    const second = createServer();
    const error = await new Promise((resolve) => {
      second.once("error", resolve).listen(first.address());
    });
    first.close();
    expect(listenProblem(error, "admin.port")).toBe(
      "is already in use; --set admin.port=… takes another port",
    );
  });

  it.each([
    ["EADDRINUSE", "listen.unixSocket", "is already in use"],
    ["EADDRNOTAVAIL", "listen.port", "is no address of this machine"],
    ["ENOTFOUND", "listen.port", "cannot be opened: no such host"],
    ["EACCES", "listen.port", "may not be opened (permission denied); ports from 1024 on need no rights"],
    ["EACCES", "listen.unixSocket", "cannot be opened (listen EACCES: whatever)"],
  ])("%s of %s: %s", (code, key, words) => {
    expect(listenProblem(withCode(code), key)).toBe(words);
  });
});
