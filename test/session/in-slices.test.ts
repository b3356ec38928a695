import { describe, expect, it } from "vitest";
import { inSlices } from "../../src/session/in-slices.ts";

/** Has time for so many groups in each turn; turns come when the test says so. */
class Turns {
  readonly #groupsPerTurn: number;
  #left: number;
  readonly #waiting: (() => void)[] = [];

  constructor(groupsPerTurn: number) {
    this.#groupsPerTurn = groupsPerTurn;
    this.#left = groupsPerTurn;
  }

  get isSpent(): boolean {
    this.#left -= 1;
    return this.#left <= 0;
  }

  inTurn(run: () => void): void {
    this.#waiting.push(run);
  }

  /** @returns false when nobody waits for one. */
  next(): boolean {
    this.#left = this.#groupsPerTurn;
    const run = this.#waiting.shift();
    run?.();
    return run !== undefined;
  }
}

describe("long work in slices", () => {
  it.each([
    { name: "all at once", groupsPerTurn: 9, turns: 0 },
    { name: "a group in each turn, however late it begins", groupsPerTurn: 1, turns: 4 },
    { name: "two groups in each turn", groupsPerTurn: 2, turns: 2 },
  ])("$name: every item once, in order, then the end, once", ({ groupsPerTurn, turns }) => {
    const connection = new Turns(groupsPerTurn);
    const done: string[] = [];
    inSlices(
      connection,
      [1, 2, 3, 4, 5, 6, 7],
      2,
      (group) => done.push(group.join(" ")),
      () => done.push("end"),
    );
    let count = 0;
    while (connection.next()) count += 1;
    expect(done).toEqual(["1 2", "3 4", "5 6", "7", "end"]);
    expect(count).toBe(turns);
  });

  it("nothing to do: the end, at once", () => {
    const done: string[] = [];
    inSlices(
      new Turns(1),
      [],
      2,
      () => done.push("group"),
      () => done.push("end"),
    );
    expect(done).toEqual(["end"]);
  });
});
