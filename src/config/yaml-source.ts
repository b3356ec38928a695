/** The YAML file of a configuration: its value, its syntax errors, and the line on which a key stands. */
import { readFileSync } from "node:fs";

import { LineCounter, isNode, parseDocument } from "yaml";

import type { ConfigProblem } from "../base/errors.ts";
import { readProblem } from "../base/system-problem.ts";
import type { KeyPath } from "./key-path.ts";

/** What a file says. With `problems` the value is empty. */
export interface YamlSource {
  readonly value: unknown;
  readonly problems: readonly ConfigProblem[];
  /** `FILE:LINE` of the value at `path`, or null when the file does not have it. */
  place(path: KeyPath): string | null;
}

/** Larger files are refused: 1 MiB is four thousand topic rules. */
const fileBytesMax = 1_048_576;

/** Reads and parses. Never throws: a file that cannot be read is a problem of its own. */
export function readYaml(file: string): YamlSource {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    return refused([{ path: file, message: readProblem(error) }]);
  }
  if (text.length > fileBytesMax)
    return refused([{ path: file, message: `larger than ${fileBytesMax} bytes` }]);
  return parseYaml(text, file);
}

/** As `readYaml`, of a text. `file` is what its problems are called by. */
export function parseYaml(text: string, file: string): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    // `!!binary` and the like stay texts: no option is an object of JavaScript's.
    resolveKnownTags: false,
  });
  if (document.errors.length > 0) {
    return refused(
      document.errors.map((error) => {
        const { line, col } = lines.linePos(error.pos[0]);
        return { path: `${file}:${line}:${col}`, message: error.message };
      }),
    );
  }
  let value: unknown;
  try {
    // At most 100 aliases are followed, so that a small file cannot grow without end.
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return refused([{ path: file, message: error instanceof Error ? error.message : String(error) }]);
  }
  return {
    value: value ?? {},
    problems: [],
    place(path) {
      const node = document.getIn(path, true);
      if (!isNode(node) || !node.range) return null;
      return `${file}:${lines.linePos(node.range[0]).line}`;
    },
  };
}

function refused(problems: readonly ConfigProblem[]): YamlSource {
  return { value: {}, problems, place: () => null };
}
