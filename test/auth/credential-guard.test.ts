/** ABUSE AU8: what guessing costs. */
import { describe, expect, it } from "vitest";

import { Authenticator } from "../../src/auth/authenticator.ts";
import { CredentialGuard, GuardedAuthenticator } from "../../src/auth/credential-guard.ts";
import { RequestError } from "../../src/base/errors.ts";
import { limitCounters } from "../../src/base/limit-counters.ts";

const clock = { nowMs: () => clock.ms, wallMs: () => 0, ms: 1000 };

class CountingAuthenticator extends Authenticator {
  calls = 0;
  failure: RequestError | null = new RequestError("unauthorized", "no");

  override async verify() {
    this.calls += 1;
    if (this.failure !== null) throw this.failure;
    return {
      sub: "a",
      hasToken: true,
      maySubscribe: () => true,
      mayPublish: () => true,
      expiresWallMs: null,
    };
  }
}

function guarded(badPerSecMax: number | null) {
  const inner = new CountingAuthenticator({ required: true, jwt: null, clock });
  return { inner, auth: new GuardedAuthenticator(inner, new CredentialGuard(badPerSecMax, clock)) };
}

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "good";
  } catch (error) {
    return error instanceof RequestError ? error.code : "?";
  }
}

describe("limits.badCredentialsPerAddressPerSecMax", () => {
  it("at the limit and one past it: then nothing of the address is verified, until a second later", async () => {
    const { auth, inner } = guarded(3);
    const before = limitCounters.reached.get("badCredentialsPerAddressPerSecMax")!;
    const codes: string[] = [];
    for (let count = 0; count < 1000; count += 1) codes.push(await codeOf(auth.verify("x", "1.2.3.4")));
    expect(codes.slice(0, 4)).toEqual(["unauthorized", "unauthorized", "unauthorized", "rate_limited"]);
    expect(new Set(codes.slice(3))).toEqual(new Set(["rate_limited"]));
    expect(inner.calls).toBe(3);
    expect(limitCounters.reached.get("badCredentialsPerAddressPerSecMax")! - before).toBe(997);
    expect(await codeOf(auth.verify("x", "1.2.3.5"))).toBe("unauthorized");
    clock.ms += 1000;
    expect(await codeOf(auth.verify("x", "1.2.3.4"))).toBe("unauthorized");
  });

  it("a thousand at once: what waits for its turn is not verified any more once enough were bad", async () => {
    const { auth, inner } = guarded(3);
    const all = await Promise.all(Array.from({ length: 1000 }, () => codeOf(auth.verify("x", "1.2.3.9"))));
    expect(inner.calls).toBe(3);
    expect(all.filter((code) => code === "rate_limited")).toHaveLength(1000 - inner.calls);
    clock.ms += 1000;
    inner.failure = null;
    const good = await Promise.all(Array.from({ length: 1000 }, () => codeOf(auth.verify("x", "1.2.3.9"))));
    expect(new Set(good)).toEqual(new Set(["good"]));
  });

  it("sixteen at once, each time that one more may be bad: one is verified", async () => {
    const { auth, inner } = guarded(10);
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(Array.from({ length: 16 }, () => codeOf(auth.verify("x", "1.2.3.7"))));
      clock.ms += 100;
    }
    expect(inner.calls).toBe(10 + 19);
  });

  it("good tokens cost nothing, and an issuer that is away is nobody's fault", async () => {
    const { auth, inner } = guarded(1);
    inner.failure = new RequestError("unavailable", "later");
    for (let count = 0; count < 5; count += 1)
      expect(await codeOf(auth.verify("x", "1.2.3.4"))).toBe("unavailable");
    inner.failure = null;
    for (let count = 0; count < 5; count += 1) expect(await codeOf(auth.verify("x", "1.2.3.4"))).toBe("good");
  });

  it("peers of a unix socket have no address and are not counted; null is no limit", async () => {
    for (const [limit, address] of [[1, ""], [null, "1.2.3.4"]] as const) {
      const { auth } = guarded(limit);
      for (let count = 0; count < 5; count += 1) expect(await codeOf(auth.verify("x", address))).toBe("unauthorized");
    }
  }); // prettier-ignore
});
