import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const made: string[] = [];
// Hooks go backwards: what was registered first runs last. So before the import of the hook that is looked at.
afterAll(() => {
  expect(made).toHaveLength(1);
  expect(made.filter((folder) => existsSync(folder))).toEqual([]);
});
const { ownFolder, removeOwnFolders } = await import("./own-folder.ts");

describe("temporary folders of the load tests", () => {
  it("are removed with what is in them", () => {
    const folder = ownFolder();
    writeFileSync(join(folder, "report.json"), "{}");
    removeOwnFolders();
    expect(existsSync(folder)).toBe(false);
  });

  it("are removed after the last test of a file", () => {
    const folder = ownFolder();
    made.push(folder);
    expect(existsSync(folder)).toBe(true);
  });

  it("are made nowhere else", () => {
    const here = import.meta.dirname;
    const makers = readdirSync(here)
      .filter((name) => name.endsWith(".ts") && !name.startsWith("own-folder"))
      .filter((name) => readFileSync(join(here, name), "utf8").includes("mkdtemp"));
    expect(makers).toEqual([]);
  });
});
