/** What a connection says of where its client is, by both ways to a socket. Rules about addresses read it. */
import { afterEach, describe, expect, it } from "vitest";

import { goneAddress } from "../../src/connection/remote-address.ts";
import { connectPair, transports, type Pair } from "./connection-pair.ts";
import { eventually } from "./raw-peer.ts";

let pair: Pair;

afterEach(() => pair.end());

describe.each(transports)("the address of a client over %s", (transport) => {
  const isUnix = transport.startsWith("unix");

  it("is the peer's, and empty for a unix socket", async () => {
    pair = await connectPair({}, transport);
    expect(pair.connection.remoteAddress).toBe(isUnix ? "" : "127.0.0.1");
  });

  it("is what a trusted proxy told", async () => {
    pair = await connectPair({}, transport);
    pair.connection.addressTold = "192.0.2.1";
    expect(pair.connection.remoteAddress).toBe("192.0.2.1");
  });

  it("is never that of a unix socket when the peer has gone and nobody had asked", async () => {
    pair = await connectPair({}, transport);
    // Only TCP has resets.
    if (transport.startsWith("tcp")) pair.peer.socket.resetAndDestroy();
    else pair.peer.socket.destroy();
    await eventually(() => pair.notes.closed !== null);
    expect(pair.connection.remoteAddress).toBe(goneAddress);
  });
});
