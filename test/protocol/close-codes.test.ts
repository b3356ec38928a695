import { describe, expect, it } from "vitest";

import { closeCodes, mayReconnect } from "../../src/protocol/close-codes.ts";
import { subprotocolName } from "../../src/protocol/messages.ts";

describe("close codes: the range is the advice", () => {
  it("are those of the contract", () => {
    expect(closeCodes).toEqual({
      restart: 4000,
      slowConsumer: 4001,
      heartbeatTimeout: 4002,
      historyGap: 4003,
      overloaded: 4004,
      unauthorized: 4500,
      forbidden: 4501,
      tokenExpired: 4502,
      tooManyErrors: 4503,
      connectionLimit: 4504,
      flood: 4505,
    });
  });

  it.each([
    { name: "the first that comes back", code: 4000, back: true },
    { name: "the last that comes back", code: 4499, back: true },
    { name: "the first that does not", code: 4500, back: false },
    { name: "the last that does not", code: 4999, back: false },
    { name: "a connection that broke", code: 1006, back: true },
    { name: "going away", code: 1001, back: true },
    { name: "beyond the range", code: 5000, back: true },
  ])("$name ($code): $back", ({ code, back }) => {
    expect(mayReconnect(code)).toBe(back);
  });
});

it("the subprotocol's name", () => {
  expect(subprotocolName).toBe("tapecast.v1");
});
