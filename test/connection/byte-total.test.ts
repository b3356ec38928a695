import { describe, expect, it } from "vitest";

import { ConnectionCounters } from "../../src/connection/connection-counters.ts";
import { ByteTotal } from "../../src/connection/byte-total.ts";

/** A connection that only has bytes pending. */
class FakeConnection {
  pendingBytes = 0;
  isShed = false;
  shed(): void {
    this.isShed = true;
  }
}

describe("bytes pending on all connections together (RS7)", () => {
  const counters = new ConnectionCounters();
  const total = new ByteTotal<FakeConnection>({
    bytesMax: 1000,
    limit: "pendingBytesTotalMax",
    bytesOf: (connection) => connection.pendingBytes,
    end: (connection) => connection.shed(),
    counters,
  });
  const connections = [1, 2, 3, 4].map(() => new FakeConnection());

  function pend(index: number, bytes: number): void {
    const connection = connections[index]!;
    connection.pendingBytes = bytes;
    total.count(connection, bytes);
  }

  it("the limit itself is taken", () => {
    pend(0, 400);
    pend(1, 300);
    pend(2, 300);
    expect(counters).toMatchObject({ pendingBytes: 1000, shed: 0 });
  });

  it("one byte more ends the one that has waited longest", () => {
    pend(1, 301);
    expect(connections.map(({ isShed }) => isShed)).toEqual([true, false, false, false]);
    expect(counters).toMatchObject({ pendingBytes: 601, shed: 1 });
  });

  it("what the kernel took meanwhile is looked at before anybody is ended", () => {
    // With what is left of the oldest it is the limit itself.
    connections[1]!.pendingBytes = 100;
    pend(3, 600);
    expect(counters).toMatchObject({ pendingBytes: 1000, shed: 1 });
  });

  it("as many as it takes, the newest included", () => {
    pend(3, 1001);
    expect(connections.map(({ isShed }) => isShed)).toEqual([true, true, true, true]);
    expect(counters).toMatchObject({ pendingBytes: 0, shed: 4 });
    expect(total.size).toBe(0);
  });

  it("drained and closed ones are forgotten, twice is once", () => {
    pend(0, 10);
    total.forget(connections[0]!);
    total.forget(connections[0]!);
    expect(counters.pendingBytes).toBe(0);
  });
});
