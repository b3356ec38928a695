import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChannelTable } from "../../src/broker/channel-table.ts";

/** Found where it lies between other bytes, which never count. */
function find<Item>(table: ChannelTable<Item>, name: string): Item | null {
  const bytes = Buffer.from(`tape:${name}tape:`);
  return table.find(bytes, 5, bytes.length - 5);
}

describe("a channel table", () => {
  it("finds names by their bytes", () => {
    const table = new ChannelTable<string>();
    for (const name of ["quote.AAPL", "quote.AAPK", "", "弹幕.一", "quote.AAPL2"])
      table.add(name, `=${name}`);
    expect(table.size).toBe(5);
    for (const name of ["quote.AAPL", "quote.AAPK", "", "弹幕.一", "quote.AAPL2"]) {
      expect([find(table, name), table.get(name)]).toEqual([`=${name}`, `=${name}`]);
    }
    for (const name of ["quote.AAP", "quote.AAPL22", "弹幕.二", "x"]) expect(find(table, name)).toBeNull();
    table.delete("quote.AAP");
    expect(table.size).toBe(5);
    table.clear();
    expect([table.size, table.get("quote.AAPL"), table.values()]).toEqual([0, null, []]);
    table.add("quote.AAPL", "again");
    expect(find(table, "quote.AAPL")).toBe("again");
  });

  it("is a Map of strings, whatever comes and goes", () => {
    // Few names, so that the same come and go; long ones, so that their block is moved; many at once, so that it grows.
    const name = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 40 }).map((n) => `t.${n}`) },
      { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 20 }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 9 }).map((n) => `long.${n}`.repeat(30)) },
    );
    const step = fc.oneof(
      fc.record({ kind: fc.constant("turn" as const), name }),
      fc.record({ kind: fc.constant("find" as const), name }),
      fc.record({ kind: fc.constant("crowd" as const), name: fc.constant("") }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const table = new ChannelTable<number>();
        const twin = new Map<string, number>();
        let next = 0;
        const turn = (each: string): void => {
          next += 1;
          if (twin.delete(each)) table.delete(each);
          else {
            twin.set(each, next);
            table.add(each, next);
          }
        };
        for (const each of steps) {
          if (each.kind === "turn") turn(each.name);
          else if (each.kind === "crowd") for (let n = 0; n < 100; n += 1) turn(`crowd.${n}`);
          expect(find(table, each.name)).toBe(twin.get(each.name) ?? null);
        }
        expect(table.size).toBe(twin.size);
        expect(new Set(table.values())).toEqual(new Set(twin.values()));
        for (const [each, item] of twin) expect(find(table, each)).toBe(item);
      }),
    );
  });
});
