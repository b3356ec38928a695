/** CLUSTER NODES as Redis 7 writes it, and what several nodes' answers are together. */
import { describe, expect, it } from "vitest";
import {
  addressText,
  mergeViews,
  type NodeAddress,
  parseClusterNodes,
  parseRedirection,
} from "../../src/broker/redis-cluster-nodes.ts";

const asked: NodeAddress = { host: "10.0.0.1", port: 7000 };

function view(...lines: readonly string[]): ReturnType<typeof parseClusterNodes> {
  return parseClusterNodes(`${lines.join("\n")}\n`, asked, false);
}

function owners(map: ReturnType<typeof mergeViews>, ...slots: readonly number[]): (string | null)[] {
  return slots.map((slot) => {
    const owner = map.owners[slot] ?? null;
    return owner === null ? null : addressText(owner);
  });
}

const first = "aa 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-99 200 [5->-bb]";
const second = "bb 10.0.0.2:7000@17000,redis-2 master - 0 1 2 connected 100-199 [7-<-aa]";
const replica = "cc 10.0.0.3:7000@17000,,tls-port=0,shard-id=x slave aa 0 1 1 connected";

describe("one answer", () => {
  it("names masters, replicas, slots, and those that the asked node gives away", () => {
    const map = mergeViews([view(first, second, replica)]);
    expect(owners(map, 0, 99, 100, 199, 200, 201)).toEqual([
      "10.0.0.1:7000",
      "10.0.0.1:7000",
      "10.0.0.2:7000",
      "10.0.0.2:7000",
      "10.0.0.1:7000",
      null,
    ]);
    expect(map.masters.map((each) => addressText(each))).toEqual(["10.0.0.1:7000", "10.0.0.2:7000"]);
    expect(map.members.map((each) => addressText(each))).toContain("10.0.0.3:7000");
    expect([...map.migratingSlots]).toEqual([5]);
  });

  it("of a node that does not know its own address has the one that was asked", () => {
    expect(
      owners(mergeViews([view("aa :7000@17000 myself,master - 0 0 0 connected 0-16383")]), 16_383),
    ).toEqual(["10.0.0.1:7000"]);
  });

  it("IPv6, and names where they are preferred", () => {
    const line = "aa ::1:7000@17000,redis-1 myself,master - 0 0 1 connected 0";
    expect(owners(mergeViews([view(line)]), 0)).toEqual(["[::1]:7000"]);
    const named = mergeViews([parseClusterNodes(line, asked, true)]);
    expect(owners(named, 0)).toEqual(["redis-1:7000"]);
    expect(named.aliases.get("[::1]:7000")).toEqual({ host: "redis-1", port: 7000 });
  });

  it("leaves out nodes without an address, and keeps slots of a master that failed until another takes them", () => {
    const map = mergeViews([
      view(
        "aa 10.0.0.9:7000@17000 master,fail - 0 0 1 disconnected 0",
        "dd :0@0 master,noaddr - 0 0 9 disconnected 1",
      ),
    ]);
    expect(owners(map, 0, 1)).toEqual(["10.0.0.9:7000", null]);
  });

  it("that is nonsense is an empty one", () => {
    const map = mergeViews([view("", "x", "aa bb cc", "aa no-port master - 0 0 1 connected 0")]);
    expect(map.masters).toEqual([]);
  });
});

describe("several answers", () => {
  it("the claim of the newer epoch wins, whoever was asked first", () => {
    const old = view("aa 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-99");
    const failedOver = view(
      "aa 10.0.0.1:7000@17000 master,fail - 0 0 1 disconnected",
      "cc 10.0.0.3:7000@17000 master - 0 0 4 connected 0-99",
    );
    expect(owners(mergeViews([old, failedOver]), 50)).toEqual(["10.0.0.3:7000"]);
    expect(owners(mergeViews([failedOver, old]), 50)).toEqual(["10.0.0.3:7000"]);
  });
});

describe("redirections", () => {
  const table = [
    ["MOVED 93 10.0.0.2:7001", { kind: "moved", slot: 93, address: { host: "10.0.0.2", port: 7001 } }],
    ["ASK 93 ::1:7001", { kind: "ask", slot: 93, address: { host: "::1", port: 7001 } }],
    ["MOVED 93 :7001", { kind: "moved", slot: 93, address: { host: "10.0.0.1", port: 7001 } }],
    ["CLUSTERDOWN Hash slot not served", null],
    ["MOVED", null],
  ] as const;
  for (const [message, expected] of table) {
    it(message, () => expect(parseRedirection(message, asked)).toEqual(expected));
  }
});
