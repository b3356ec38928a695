import { describe, expect, it } from "vitest";

import { codeOf, refusalResponse, type Refusal } from "../../src/handshake/refusal.ts";

describe("the code of a refusal", () => {
  it.each<[Refusal["reason"], number, string]>([
    ["bad_target", 400, "bad_request"],
    ["origin", 403, "forbidden"],
    ["bad_topic", 400, "bad_topic"],
    ["unknown_topic", 404, "unknown_topic"],
    ["not_found", 404, "not_found"],
    ["draining", 503, "unavailable"],
  ])("of %s with %i is %s", (reason, status, code) => {
    expect(codeOf({ status, reason, message: "x" })).toBe(code);
    expect(refusalResponse({ status, reason, message: "x" }).toString()).toContain(`"code":"${code}"`);
  });
});
