import { describe, expect, it } from "vitest";
import { pino } from "pino";

import { logOptions, RateLimitedLog, type Log } from "../../src/base/log.ts";

function recorder(): { log: Log; lines: { level: string; fields: object; message: string }[] } {
  const lines: { level: string; fields: object; message: string }[] = [];
  const writer = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  return {
    lines,
    log: { debug: writer("debug"), info: writer("info"), warn: writer("warn"), error: writer("error") },
  };
}

describe("RateLimitedLog: at most 10 lines a second (ABUSE RS8)", () => {
  it("writes ten of a hundred thousand, then says how many it left out", () => {
    const { log, lines } = recorder();
    let nowMs = 0;
    const limited = new RateLimitedLog(log, { nowMs: () => nowMs, wallMs: () => nowMs });
    for (let count = 0; count < 100_000; count++) limited.warn({ count }, "flood");
    expect(lines).toHaveLength(10);
    nowMs = 100;
    limited.error({ code: 1002 }, "again");
    expect(lines[10]).toEqual({
      level: "error",
      fields: { code: 1002, suppressed: 99_990 },
      message: "again",
    });
    nowMs = 1100;
    limited.warn({}, "calm");
    expect(lines[11]).toEqual({ level: "warn", fields: {}, message: "calm" });
  });
});

describe("log lines", () => {
  it("mask what a caller should not have passed", () => {
    let line = "";
    const log = pino(logOptions("info", { worker: 1 }), { write: (text: string) => (line = text) });
    log.info(
      { token: "eyJ", request: { authorization: "Bearer k" }, data: { price: 1 }, topic: "quote.A" },
      "seen",
    );
    expect(JSON.parse(line)).toMatchObject({
      level: "info",
      worker: 1,
      token: "[masked]",
      request: { authorization: "[masked]" },
      data: "[masked]",
      topic: "quote.A",
      msg: "seen",
    });
    expect(line).not.toMatch(/eyJ|Bearer/u);
  });
});
