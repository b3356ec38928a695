/** `auth.publishKeys`. */
import { describe, expect, it } from "vitest";

import { PublishKeys } from "../../src/auth/publish-keys.ts";

describe("publish keys", () => {
  it("accept each of them and nothing else", () => {
    const keys = new PublishKeys(["alpha", "beta"]);
    expect(keys.configured).toBe(true);
    for (const good of ["alpha", "beta"]) expect(keys.accepts(good)).toBe(true);
    for (const bad of ["", "alph", "alphaa", "Alpha", "alphabeta", "\u0000", "x".repeat(100_000)]) {
      expect(keys.accepts(bad), bad.slice(0, 20)).toBe(false);
    }
  });

  it("accept nothing when there are none", () => {
    const keys = new PublishKeys([]);
    expect(keys.configured).toBe(false);
    expect(keys.accepts("")).toBe(false);
  });
});
