/** PRODUCT §5: who may publish over HTTP, and who a request is. */
import { describe, expect, it } from "vitest";

import { PublishKeys } from "../../src/auth/publish-keys.ts";
import type { Broker } from "../../src/broker/broker.ts";
import { WorkerHttpBackend } from "../../src/worker/worker-http-backend.ts";
import { FakeBroker, granted, SessionWorld, topics } from "../session/session-world.ts";

function backendOf(options: { keys?: readonly string[]; required?: boolean } = {}): WorkerHttpBackend {
  const world = new SessionWorld();
  world.tokens.set("jwt", granted(["chat.*"]));
  if (options.required === true) world.anonymous = null;
  return new WorkerHttpBackend({
    broker: new FakeBroker() as unknown as Broker,
    topics,
    keys: new PublishKeys(options.keys ?? []),
    auth: world.services().auth,
    status: () => ({ ready: false, reason: "draining" }),
  });
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
    const refusal = backendOf({ keys }).mayPublish({ bearer, remoteAddress, forwarded });
    expect(refusal?.code ?? null).toBe(code);
  });
});

const who = async (backend: WorkerHttpBackend, token: string | null): Promise<string> => {
  try {
    const identity = await backend.identify(token);
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
