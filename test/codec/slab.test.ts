/** Slab: regions never overlap, a full slab is replaced, the last region can be given back. */
import { describe, expect, it } from "vitest";
import { Slab } from "../../src/codec/slab.ts";

describe("slab", () => {
  it("hands out neighbouring regions of one buffer", () => {
    const slab = new Slab(100);
    const first = slab.reserve(60).fill(1);
    const second = slab.reserve(40).fill(2);
    expect(second.buffer).toBe(first.buffer);
    expect(second.byteOffset).toBe(first.byteOffset + 60);
    expect(first.every((byte) => byte === 1)).toBe(true);
  });

  it("replaces a full slab; old regions stay as they are", () => {
    const slab = new Slab(100);
    const old = slab.reserve(60).fill(1);
    const next = slab.reserve(41).fill(2);
    expect(next.buffer).not.toBe(old.buffer);
    expect(old.equals(Buffer.alloc(60, 1))).toBe(true);
  });

  it("gives what is larger than a slab a buffer of its own and goes on in the slab", () => {
    const slab = new Slab(100);
    const first = slab.reserve(10);
    const large = slab.reserve(101);
    const second = slab.reserve(10);
    expect(large.length).toBe(101);
    expect(large.buffer).not.toBe(first.buffer);
    expect(second.byteOffset).toBe(first.byteOffset + 10);
    slab.release(large);
    expect(slab.reserve(10).byteOffset).toBe(first.byteOffset + 20);
  });

  it("reuses the region released last, once", () => {
    const slab = new Slab(100);
    slab.reserve(10);
    const released = slab.reserve(30);
    slab.release(released);
    slab.release(released);
    expect(slab.reserve(50).byteOffset).toBe(released.byteOffset);
  });

  it("does not reuse a region that another followed", () => {
    const slab = new Slab(100);
    const first = slab.reserve(10);
    const second = slab.reserve(10);
    slab.release(first);
    expect(slab.reserve(10).byteOffset).toBe(second.byteOffset + 10);
  });
});
