import { describe, expect, it } from "vitest";
import { releaseMemory } from "../../src/base/release-memory.ts";

const mebibyte = 1024 * 1024;

describe("memory that is given back", () => {
  it("is given back at once", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 50; count += 1) {
      const bytes = Buffer.allocUnsafeSlow(8 * mebibyte);
      releaseMemory(bytes);
      expect(bytes.length).toBe(0);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * mebibyte);
  });

  it.each([
    ["with one byte behind it", 0, 999, 0],
    ["a part with more behind it", 0, 998, 998],
    ["a part with something before it", 1, 1000, 999],
  ])("%s", (_, start, end, lengthAfter) => {
    const part = Buffer.allocUnsafeSlow(1000).subarray(start, end);
    releaseMemory(part);
    expect(part).toHaveLength(lengthAfter);
  });
});
