/** PRODUCT §5: who may publish over HTTP, and who a request is. */
import { describe, expect, it } from "vitest";

import { CredentialGuard } from "../../src/auth/credential-guard.ts";
import { PublishKeys } from "../../src/auth/publish-keys.ts";
import { KeyedBuckets } from "../../src/base/keyed-buckets.ts";
import type { Broker } from "../../src/broker/broker.ts";
import type { PublishRequestFacts } from "../../src/http/http-backend.ts";
import { WorkerHttpBackend } from "../../src/worker/worker-http-backend.ts";
import { FakeBroker, granted, SessionWorld, topics } from "../session/session-world.ts";

function backendOf(
  options: {
    keys?: readonly string[];
    required?: boolean;
    badPerSecMax?: number;
    publishesPerSecMax?: number;
  } = {},
): WorkerHttpBackend {
  const world = new SessionWorld();
  world.tokens.set("jwt", granted(["chat.*"]));
  if (options.required === true) world.anonymous = null;
  return new WorkerHttpBackend({
    broker: new FakeBroker() as unknown as Broker,
    topics,
    keys: new PublishKeys(options.keys ?? []),
    auth: world.services().auth,
    guard: new CredentialGuard(options.badPerSecMax ?? null, world.clock),
    publishes: new KeyedBuckets(options.publishesPerSecMax ?? null),
    clock: world.clock,
    status: () => ({ ready: false, reason: "draining" }),
  });
}

function factsOf(facts: Partial<PublishRequestFacts>): PublishRequestFacts {
  const remoteAddress = facts.remoteAddress ?? "127.0.0.1";
  return {
    bearer: null,
    remoteAddress,
    clientAddress: remoteAddress,
    viaProxy: false,
    host: "localhost",
    forwarded: false,
    ...facts,
  };
}

describe("who may publish", () => {
  it.each([
    {
      name: "a key",
      keys: ["k1", "k2"],
      bearer: "k2",
      remoteAddress: "8.8.8.8",
      forwarded: true,
      code: null,
    },
    {
      name: "no key given",
      keys: ["k1"],
      bearer: null,
      remoteAddress: "127.0.0.1",
      forwarded: false,
      code: "unauthorized",
    },
    {
      name: "a wrong key",
      keys: ["k1"],
      bearer: "k",
      remoteAddress: "127.0.0.1",
      forwarded: false,
      code: "unauthorized",
    },
    {
      name: "an empty key",
      keys: ["k1"],
      bearer: "",
      remoteAddress: "127.0.0.1",
      forwarded: false,
      code: "unauthorized",
    },
    {
      name: "no keys configured, loopback",
      keys: [],
      bearer: null,
      remoteAddress: "127.0.0.1",
      forwarded: false,
      code: null,
    },
    {
      name: "… any loopback address",
      keys: [],
      bearer: null,
      remoteAddress: "127.8.9.1",
      forwarded: false,
      code: null,
    },
    { name: "… IPv6", keys: [], bearer: null, remoteAddress: "::1", forwarded: false, code: null },
    {
      name: "… IPv4 in IPv6",
      keys: [],
      bearer: null,
      remoteAddress: "::ffff:127.0.0.1",
      forwarded: false,
      code: null,
    },
    { name: "… a unix socket", keys: [], bearer: null, remoteAddress: "", forwarded: false, code: null },
    {
      name: "… a proxy on this machine",
      keys: [],
      bearer: null,
      remoteAddress: "127.0.0.1",
      forwarded: true,
      code: "forbidden",
    },
    {
      name: "… a proxy on a unix socket",
      keys: [],
      bearer: null,
      remoteAddress: "",
      forwarded: true,
      code: "forbidden",
    },
    {
      name: "… from elsewhere",
      keys: [],
      bearer: null,
      remoteAddress: "10.0.0.1",
      forwarded: false,
      code: "forbidden",
    },
    {
      name: "… an address that begins like loopback",
      keys: [],
      bearer: null,
      remoteAddress: "127.0.0.1.evil",
      forwarded: false,
      code: "forbidden",
    },
    {
      name: "… a peer that is gone",
      keys: [],
      bearer: null,
      remoteAddress: "gone",
      forwarded: false,
      code: "forbidden",
    },
    {
      name: "… a key is worth nothing then",
      keys: [],
      bearer: "k1",
      remoteAddress: "10.0.0.1",
      forwarded: false,
      code: "forbidden",
    },
  ])("$name: $code", ({ keys, bearer, remoteAddress, forwarded, code }) => {
    // prettier-ignore
    const refusal = backendOf({ keys }).mayPublish(factsOf({ bearer, remoteAddress, forwarded }));
    expect(refusal?.code ?? null).toBe(code);
  });
});

const who = async (backend: WorkerHttpBackend, token: string | null): Promise<string> => {
  try {
    const identity = await backend.identify(token, "127.0.0.1");
    return identity.maySubscribe("quote.A") ? "anonymous" : "granted";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("who a request is", () => {
  it.each([
    { name: "nobody, where that is enough", token: null, keys: [], required: false, is: "anonymous" },
    { name: "nobody, where a token is required", token: null, keys: [], required: true, is: "unauthorized" },
    { name: "a token", token: "jwt", keys: [], required: true, is: "granted" },
    {
      name: "a bad token, even where none is needed",
      token: "bad",
      keys: [],
      required: false,
      is: "unauthorized",
    },
    {
      name: "a publisher reading back what it may anyway",
      token: "k1",
      keys: ["k1"],
      required: false,
      is: "anonymous",
    },
    {
      name: "a publish key gives no right to read",
      token: "k1",
      keys: ["k1"],
      required: true,
      is: "unauthorized",
    },
  ])("$name: $is", async ({ token, keys, required, is }) => {
    // prettier-ignore
    expect(await who(backendOf({ keys, required }), token)).toBe(is);
  });
});

it("topics, the broker and the status are handed through", async () => {
  const backend = backendOf();
  const topic = backend.topic("chat.a");
  expect(() => backend.topic("other")).toThrow("no rule");
  expect(await backend.publish(topic, Buffer.from("1"), {})).toMatchObject({ seq: 1 });
  expect((await backend.history(topic, null, 10)).entries).toHaveLength(1);
  expect(backend.status()).toEqual({ ready: false, reason: "draining" });
});

describe("who this machine is", () => {
  const hosts: readonly (readonly [host: string | null, isOurs: boolean])[] = [
    ["localhost", true],
    ["localhost:8080", true],
    ["LOCALHOST", true],
    ["tape.localhost:8080", true],
    ["127.0.0.1:8080", true],
    ["127.9.9.9", true],
    ["[::1]:8080", true],
    ["[::ffff:127.0.0.1]", true],
    ["0.0.0.0:8080", true],
    ["[::]", true],
    ["tapecast", true],
    ["evil.example", false],
    ["evil.example:8080", false],
    ["localhost.evil.example", false],
    ["127.0.0.1.evil.example", false],
    ["evil.localhost.example", false],
    ["10.0.0.1:8080", false],
    ["[2001:db8::1]", false],
  ];
  it.each(hosts)("by the Host %s: %s (DNS rebinding)", (host, isOurs) => {
    expect(backendOf().mayPublish(factsOf({ host }))?.code ?? null).toBe(isOurs ? null : "forbidden");
    expect(backendOf({ keys: ["k"] }).mayPublish(factsOf({ host, bearer: "k" }))).toBeNull();
  });

  it("is nobody behind a trusted proxy, whatever it forwards or forgets to", () => {
    expect(backendOf().mayPublish(factsOf({ viaProxy: true }))?.code).toBe("forbidden");
    expect(backendOf().mayPublish(factsOf({ viaProxy: true, remoteAddress: "" }))?.code).toBe("forbidden");
  });

  it("asks no Host of a unix socket, where no browser is", () => {
    expect(backendOf().mayPublish(factsOf({ remoteAddress: "", host: "evil.example" }))).toBeNull();
  });
});

describe("rates over HTTP", () => {
  it("limits.badCredentialsPerAddressPerSecMax: then not even a good key of that address is looked at", () => {
    const backend = backendOf({ keys: ["good"], badPerSecMax: 3 });
    const publish = (bearer: string | null, remoteAddress: string) =>
      backend.mayPublish(factsOf({ bearer, remoteAddress }))?.code ?? null;
    for (let count = 0; count < 3; count += 1) expect(publish("bad", "2001:db8::1")).toBe("unauthorized");
    expect(publish("good", "2001:db8::2"), "the same /64").toBe("rate_limited");
    expect(publish("good", "2001:db8:0:1::1"), "another").toBeNull();
    for (let count = 0; count < 9; count += 1)
      expect(publish(null, "10.0.0.1"), "no key is no bad key").toBe("unauthorized");
    expect(publish("good", "10.0.0.1")).toBeNull();
  });

  it("limits.badCredentialsPerAddressPerSecMax: nor by reading can a key be guessed then", async () => {
    const backend = backendOf({ keys: ["k1"], badPerSecMax: 1 });
    expect((await backend.identify("k1", "127.0.0.1")).maySubscribe("chat.a")).toBe(true);
    expect(backend.mayPublish(factsOf({ bearer: "guess" }))?.code).toBe("unauthorized");
    await expect(backend.identify("k1", "127.0.0.1")).rejects.toMatchObject({ code: "rate_limited" });
    expect((await backend.identify("k1", "127.0.0.2")).maySubscribe("chat.a")).toBe(true);
  });

  it("limits.httpPublishesPerSecMax: by key, and without keys by address", () => {
    const keyed = backendOf({ keys: ["a", "b"], publishesPerSecMax: 3 });
    const take = (bearer: string, count: number) =>
      keyed.takePublishes(factsOf({ bearer }), count)?.code ?? null;
    expect(take("a", 3)).toBeNull();
    expect(take("a", 1)).toBe("rate_limited");
    expect(take("b", 1000), "a batch larger than the burst passes when nothing was sent").toBeNull();
    expect(take("b", 1)).toBe("rate_limited");
    const open = backendOf({ publishesPerSecMax: 1 });
    expect(open.takePublishes(factsOf({ remoteAddress: "127.0.0.1" }), 1)).toBeNull();
    expect(open.takePublishes(factsOf({ remoteAddress: "::1" }), 1)).toBeNull();
    expect(open.takePublishes(factsOf({ remoteAddress: "127.0.0.1" }), 1)?.code).toBe("rate_limited");
  });
});
