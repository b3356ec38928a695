import { describe, expect, it } from "vitest";

import { ScratchBuffers } from "../../src/connection/scratch-buffers.ts";

describe("scratch buffers", () => {
  it.each([
    { bytes: 0, length: 4096 },
    { bytes: 1, length: 4096 },
    { bytes: 4096, length: 4096 },
    { bytes: 4097, length: 8192 },
    { bytes: 65_536, length: 65_536 },
    { bytes: 65_537, length: 131_072 },
    { bytes: 262_144, length: 262_144 },
    { bytes: 262_145, length: 262_145 },
  ])("for $bytes bytes one of $length", ({ bytes, length }) => {
    expect(new ScratchBuffers().lend(bytes)).toHaveLength(length);
  });

  it("are used again, and never lent to two at once", () => {
    const scratch = new ScratchBuffers();
    const [one, other] = [scratch.lend(5000), scratch.lend(6000)];
    expect(other).not.toBe(one);
    scratch.takeBack(one);
    expect(scratch.lend(8192)).toBe(one);
    expect(scratch.lend(5000)).not.toBe(other);
    expect(scratch.made).toBe(3);
  });

  it("two of a size are kept, a third is not, and none above 256 KiB", () => {
    const scratch = new ScratchBuffers();
    const lent = [scratch.lend(100), scratch.lend(100), scratch.lend(100)];
    for (const buffer of lent) scratch.takeBack(buffer);
    const again = new Set([scratch.lend(100), scratch.lend(100)]);
    expect(lent.map((buffer) => again.has(buffer))).toEqual([true, true, false]);
    expect(scratch.made).toBe(3);
    scratch.lend(100);
    expect(scratch.made).toBe(4);
    const large = scratch.lend(300_000);
    scratch.takeBack(large);
    expect(scratch.lend(300_000)).not.toBe(large);
  });
});
