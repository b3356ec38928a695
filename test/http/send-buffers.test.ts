import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";

import { boundSendBuffer } from "../../src/http/send-buffers.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

describe("the send buffer of a listener", () => {
  it.each([
    ["no descriptor", {}],
    ["a closed one's", { fd: -1 }],
    ["a descriptor that is none", { fd: "9" }],
  ])("says why it cannot be had: %s", (_, handle) => {
    expect(boundSendBuffer(handle, 65_536)).toBe("the listener's descriptor is not to be had");
  });

  it("leaves a descriptor alone that this process's event loop watches", async () => {
    const server = createServer();
    servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const handle: unknown = Reflect.get(server, "_handle");
    expect(boundSendBuffer(handle as object, 65_536)).toMatch(/^the listener's descriptor cannot be lent/u);
  });
});
