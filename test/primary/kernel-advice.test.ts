import { describe, expect, it } from "vitest";

import { kernelAdvice } from "../../src/primary/kernel-advice.ts";

describe("advice about tcp_notsent_lowat", () => {
  it.each([
    { name: "the kernel's default", value: "4294967295\n", advises: true },
    { name: "one past what helps", value: "131073", advises: true },
    { name: "the largest that helps", value: "131072", advises: false },
    { name: "what we advise", value: "16384\n", advises: false },
    { name: "no number", value: "?", advises: false },
  ])("$name", ({ value, advises }) => {
    const advice = kernelAdvice(null, () => value);
    expect(advice !== null).toBe(advises);
    if (advises) expect(advice).toContain("net.ipv4.tcp_notsent_lowat=16384");
  });

  it.each([
    [null, "3.9 MB"],
    [131_072, "263 KB"],
  ])("says what a reader can hold with listen.sendBufferBytes %o", (bytes, held) => {
    expect(kernelAdvice(bytes, () => "4294967295")).toContain(`can hold ${held} of kernel memory`);
  });

  it("says nothing where the setting cannot be read", () => {
    expect(
      kernelAdvice(131_072, () => {
        throw new Error("ENOENT");
      }),
    ).toBeNull();
  });
});
