/**
 * What the environment and `--set` say over the file. `TAPECAST_LISTEN__PORT=8080` and `--set listen.port=8080` name
 * the same option; the value is read as the option needs it: a text option takes it as it is (a password such as
 * `1e5` stays one), everything else is YAML, so `true`, `8080`, `null` and `["a","b"]` work.
 */
import { parse } from "yaml";

import type { ConfigProblem } from "../base/errors.ts";
import { type OptionNode, optionTree } from "./option-tree.ts";
import { nearest } from "./nearest.ts";

/** One option that was set from outside the file. */
export interface Override {
  readonly path: readonly string[];
  readonly value: unknown;
  /** The variable or argument, for messages: never with its value. */
  readonly source: string;
}

/** The overrides that were understood, and a problem for each that was not. */
export interface Overrides {
  readonly overrides: readonly Override[];
  readonly problems: readonly ConfigProblem[];
}

const environmentPrefix = "TAPECAST_";

/**
 * Reads `TAPECAST_…`. An unknown name with `__` in it is a problem. Other names are left alone unless they are those
 * of an option at the root: Kubernetes sets `TAPECAST_PORT` and the like for a service called tapecast.
 */
export function environmentOverrides(env: Readonly<Record<string, string | undefined>>): Overrides {
  const overrides: Override[] = [];
  const problems: ConfigProblem[] = [];
  for (const [name, text] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!name.startsWith(environmentPrefix) || text === undefined) continue;
    const nested = name.includes("__");
    const found = findOption(name.slice(environmentPrefix.length).split("__"), upperSnake);
    if (found === null || (!nested && found.node.children.size > 0)) {
      if (nested) problems.push({ path: name, message: `unknown variable${hint(name, environmentNames())}` });
      continue;
    }
    collect(found, text, name, overrides, problems);
  }
  return { overrides, problems };
}

/** Reads the arguments of `--set`, in their order: the last one wins. */
export function setOverrides(sets: readonly string[]): Overrides {
  const overrides: Override[] = [];
  const problems: ConfigProblem[] = [];
  for (const argument of sets) {
    const equals = argument.indexOf("=");
    const key = equals < 0 ? argument : argument.slice(0, equals);
    const source = `--set ${key}`;
    const found = findOption(key.split("."), (name) => name);
    if (equals < 1) problems.push({ path: source, message: "key=value is needed, such as listen.port=8080" });
    else if (found === null)
      problems.push({ path: source, message: `unknown key${hint(key, optionKeys())}` });
    else collect(found, argument.slice(equals + 1), source, overrides, problems);
  }
  return { overrides, problems };
}

/** The variable that sets the option at `path`. */
export function environmentName(path: readonly string[]): string {
  return environmentPrefix + path.map((key) => upperSnake(key)).join("__");
}

/** The dotted keys of all options that can be set, sections that may be null included. */
export function optionKeys(): readonly string[] {
  return allPaths(optionTree(), []).map((path) => path.join("."));
}

interface Found {
  readonly path: readonly string[];
  readonly node: OptionNode;
}

function collect(
  found: Found,
  text: string,
  source: string,
  overrides: Override[],
  problems: ConfigProblem[],
): void {
  try {
    overrides.push({ path: found.path, value: valueOf(text, found.node), source });
  } catch {
    // The parser's own message would repeat the value, which may be a secret.
    problems.push({ path: source, message: "the value is not valid YAML" });
  }
}

function valueOf(text: string, node: OptionNode): unknown {
  const textOnly =
    [...node.types].every((type) => type === "string" || type === "null") && node.words.length === 0;
  if (!textOnly) return parse(text);
  return node.types.has("null") && (text === "" || text === "null") ? null : text;
}

function findOption(names: readonly string[], spell: (key: string) => string): Found | null {
  let node = optionTree();
  const path: string[] = [];
  for (const name of names) {
    const child = [...node.children.values()].find((each) => spell(each.key) === name);
    if (child === undefined) return null;
    path.push(child.key);
    node = child;
  }
  return path.length === 0 ? null : { path, node };
}

function environmentNames(): readonly string[] {
  return allPaths(optionTree(), []).map((path) => environmentName(path));
}

function allPaths(node: OptionNode, path: readonly string[]): string[][] {
  const paths: string[][] = [];
  for (const child of node.children.values()) {
    const childPath = [...path, child.key];
    paths.push(childPath, ...allPaths(child, childPath));
  }
  return paths;
}

function upperSnake(key: string): string {
  return key.replaceAll(/[A-Z]/gu, (letter) => `_${letter}`).toUpperCase();
}

function hint(name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  return near === null ? "" : `; did you mean ${near}?`;
}
