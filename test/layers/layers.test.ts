import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

import { layerViolations, type SourceFile } from "./layer-rules.ts";
import { importsOf, withoutComments } from "./source-text.ts";

const top = fileURLToPath(new URL("../../", import.meta.url));

function sourcesUnder(folder: string): SourceFile[] {
  if (!existsSync(top + folder)) return [];
  return readdirSync(top + folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name}`)
    .map((path) => ({ path, text: readFileSync(top + path, "utf8") }));
}

describe("DESIGN §2: each layer imports only what its row allows", () => {
  it("holds for the whole tree", () => {
    const files = [...sourcesUnder("src"), ...sourcesUnder("load")];
    expect(files.length).toBeGreaterThan(100);
    expect(layerViolations(files)).toEqual([]);
  });
});

describe("a planted violation is found", () => {
  it.each([
    { name: "a row", path: "src/codec/mask.ts", text: 'import { Hub } from "../hub/hub.ts";' },
    {
      name: "a value where types are allowed",
      path: "src/session/x.ts",
      text: 'import { A } from "../broker/a.ts";',
    },
    {
      name: "one value among types",
      path: "src/session/x.ts",
      text: 'import { type A,\n b } from "../broker/a.ts";',
    },
    { name: "a re-export", path: "src/base/x.ts", text: 'export * from "../config/schema.ts";' },
    { name: "a dynamic import", path: "src/hub/x.ts", text: 'const x = import("../broker/a.ts");' },
    { name: "a side effect", path: "src/hub/x.ts", text: 'import "../broker/a.ts";' },
    {
      name: "worker and primary",
      path: "src/worker/x.ts",
      text: 'import type { A } from "../primary/a.ts";',
    },
    { name: "a folder without a row", path: "src/utils/x.ts", text: "export const a = 1;" },
    { name: "out of src", path: "src/http/x.ts", text: 'import { a } from "../../load/main.ts";' },
    { name: "no extension", path: "src/hub/x.ts", text: 'import { a } from "./a";' },
    { name: "prom-client", path: "src/worker/x.ts", text: 'import { Counter } from "prom-client";' },
    {
      name: "ioredis beside redis-*",
      path: "src/broker/memory-broker.ts",
      text: 'import { Redis } from "ioredis";',
    },
    { name: "a socket in a session", path: "src/session/x.ts", text: 'import { Socket } from "node:net";' },
    { name: "TLS in the primary", path: "src/primary/x.ts", text: 'import tls from "tls";' },
    {
      name: "a socket's type in the hub",
      path: "src/hub/x.ts",
      text: 'import type { Socket } from "node:net";',
    },
    {
      name: "timers by import",
      path: "src/hub/x.ts",
      text: 'import { scheduler } from "node:timers/promises";',
    },
    { name: "a timer", path: "src/hub/x.ts", text: "setTimeout(() => {}, 1);" },
    { name: "a wall clock", path: "src/protocol/x.ts", text: "const now = Date.now();" },
    { name: "a clock", path: "src/handshake/x.ts", text: "const now = performance.now();" },
    { name: "await", path: "src/codec/x.ts", text: "const x = await y;" },
  ])("$name", ({ path, text }) => {
    expect(layerViolations([{ path, text }])).toHaveLength(1);
  });
});

describe("what is allowed is not found", () => {
  it.each([
    {
      name: "types of the broker in a session",
      path: "src/session/x.ts",
      text: 'import type { A } from "../broker/a.ts";',
    },
    {
      name: "inline types",
      path: "src/session/x.ts",
      text: 'import { type A, type B } from "../broker/a.ts";',
    },
    { name: "its own layer", path: "src/hub/x.ts", text: 'import { a } from "./a.ts";' },
    {
      name: "words in comments",
      path: "src/hub/x.ts",
      text: "// await, setTimeout\n/* Date.now */ const a = 1;",
    },
    {
      name: "words in strings",
      path: "src/hub/x.ts",
      text: "const a = 'await' + \"setTimeout\" + `Date.now`;",
    },
    { name: "an import in a comment", path: "src/base/x.ts", text: '// import { a } from "../hub/a.ts";' },
    { name: "ioredis in redis-*", path: "src/broker/redis-x.ts", text: 'import { Redis } from "ioredis";' },
    {
      name: "a socket in a connection",
      path: "src/connection/x.ts",
      text: 'import { Socket } from "node:net";',
    },
    {
      name: "a type of node:net in the primary",
      path: "src/primary/x.ts",
      text: 'import type { A } from "node:net";',
    },
  ])("$name", ({ path, text }) => {
    expect(layerViolations([{ path, text }])).toEqual([]);
  });
});

describe("reading source text", () => {
  it("finds every form of import once", () => {
    const text = `import a from "a"; import { b, type c } from "b"; import type { d } from "d";
export { e } from "e"; import "f"; await import("g"); import * as h from "h";`;
    expect(
      importsOf(text)
        .map(({ from, typeOnly }) => `${from}${typeOnly ? " type" : ""}`)
        .toSorted(),
    ).toEqual(["a", "b", "d type", "e", "f", "g", "h"]);
  });

  it("is not confused by quotes in comments and slashes in strings", () => {
    const text = `// don't\nconst url = "http://x"; /* "quoted */ const a = 'it\\'s // no comment';`;
    expect(withoutComments(text).replaceAll(/\s+/gu, " ").trim()).toBe(
      `const url = "http://x"; const a = 'it\\'s // no comment';`,
    );
  });
});
