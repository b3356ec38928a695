import { describe, expect, it } from "vitest";

import { socketsMax } from "../../src/worker/open-files.ts";

function limits(soft: string): () => string {
  return () => `Limit                     Soft Limit           Hard Limit           Units
Max processes             63432                63432                processes
Max open files            ${soft}                 524288               files
`;
}

describe("sockets that the process has files for", () => {
  it("the soft limit without what is open and the reserve of 64", () => {
    expect(socketsMax({ limits: limits("1024"), openCount: () => 30 })).toBe(930);
  });

  it("at least one, or a server could never say why it takes nobody", () => {
    expect(socketsMax({ limits: limits("40"), openCount: () => 30 })).toBe(1);
  });

  it("no limit where the system has none, or does not say", () => {
    expect(socketsMax({ limits: limits("unlimited"), openCount: () => 30 })).toBeNull();
    expect(
      socketsMax({
        limits: () => {
          throw new Error("no /proc");
        },
        openCount: () => 30,
      }),
    ).toBeNull();
  });
});
