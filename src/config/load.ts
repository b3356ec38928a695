/**
 * Loads the configuration: file < environment < `--set`, then the schema, then the rules between options. All
 * problems are reported at once, each with its key path and where the value came from. Values are never repeated in
 * a message: they may be secrets.
 */
import { ConfigError, type ConfigProblem } from "../base/errors.ts";
import { isRecord, type KeyPath, keyPathText, removeAt, setAt } from "./key-path.ts";
import { nearest } from "./nearest.ts";
import { type OptionNode, optionTree } from "./option-tree.ts";
import { environmentOverrides, type Override, setOverrides } from "./overrides.ts";
import { configRules } from "./rules.ts";
import { type Config, configSchema } from "./schema.ts";
import { parseYaml, readYaml, type YamlSource } from "./yaml-source.ts";

/** Where a configuration comes from. */
export interface ConfigSources {
  /** Path of a YAML file; null or left out for none. */
  readonly file?: string | null | undefined;
  /** Usually `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Arguments of `--set`, `key=value` each. */
  readonly sets?: readonly string[];
}

/** Loads and checks. @throws ConfigError with all problems. */
export function loadConfig(sources: ConfigSources): Config {
  const { file = null, env = {}, sets = [] } = sources;
  const yaml = file === null ? parseYaml("", "") : readYaml(file);
  const environment = environmentOverrides(env);
  const set = setOverrides(sets);
  const overrides = [...environment.overrides, ...set.overrides];
  const checked = check(yaml, overrides);
  const problems = [...yaml.problems, ...environment.problems, ...set.problems, ...checked.problems];
  if (problems.length > 0 || checked.config === null) throw new ConfigError(problems);
  return checked.config;
}

interface Issue {
  readonly path: KeyPath;
  readonly message: string;
}

function check(
  yaml: YamlSource,
  overrides: readonly Override[],
): { config: Config | null; problems: readonly ConfigProblem[] } {
  const raw = yaml.value;
  if (isRecord(raw)) for (const { path, value } of overrides) setAt(raw, path, value);
  const parsed = configSchema.safeParse(raw);
  const issues: Issue[] = parsed.success ? [] : parsed.error.issues.flatMap((issue) => issuesOf(issue));
  const usable = parsed.success ? parsed.data : repaired(raw, issues);
  for (const rule of configRules) {
    const concerned = rule.needs.some((needed) =>
      issues.some((issue) => touches(needed, keyPathText(issue.path))),
    );
    if (usable !== null && !concerned) issues.push(...rule.check(usable));
  }
  const problems = issues.map((issue) => problemOf(issue, yaml, overrides));
  return { config: parsed.success && problems.length === 0 ? parsed.data : null, problems };
}

/** zod's issue as ours: an unknown key is an issue of that key, a union's is that of the branch that came furthest. */
function issuesOf(issue: {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
  readonly errors?: readonly (readonly {
    readonly path: readonly PropertyKey[];
    readonly message: string;
  }[])[];
}): Issue[] {
  const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
  if (issue.code === "unrecognized_keys") {
    const known = [...(nodeAt(path)?.children.keys() ?? [])];
    return (issue.keys ?? []).map((key) => {
      const near = nearest(key, known);
      return {
        path: [...path, key],
        message: near === null ? "unknown key" : `unknown key; did you mean ${near}?`,
      };
    });
  }
  const furthest = issue.errors?.find((branch) => branch.some((inner) => inner.path.length > 0)) ?? [];
  if (furthest.length === 0) return [{ path, message: issue.message }];
  return furthest.map((inner) => ({
    path: [...path, ...inner.path.map((part) => (typeof part === "number" ? part : String(part)))],
    message: inner.message,
  }));
}

function problemOf(issue: Issue, yaml: YamlSource, overrides: readonly Override[]): ConfigProblem {
  const path = keyPathText(issue.path);
  const override = overrides.findLast((each) => touches(keyPathText(each.path), path));
  const source = override === undefined ? yaml.place(issue.path) : override.source;
  return { path, message: source === null ? issue.message : `${issue.message} (${source})` };
}

/**
 * The configuration with what is wrong replaced by defaults, so that the rules can look at the rest. What has no
 * default is cut away with its section, round by round. null when nothing helps.
 */
function repaired(raw: unknown, issues: readonly Issue[]): Config | null {
  const copy = structuredClone(raw);
  let open: readonly Issue[] = issues;
  for (let round = 0; round < 6; round += 1) {
    for (const issue of open) removeAt(copy, issue.path.slice(0, Math.max(1, issue.path.length - round)));
    const parsed = configSchema.safeParse(copy);
    if (parsed.success) return parsed.data;
    open = parsed.error.issues.flatMap((issue) => issuesOf(issue));
  }
  return null;
}

/** True when one path is the other or lies within it. */
function touches(one: string, other: string): boolean {
  return within(one, other) || within(other, one);
}

function within(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
}

function nodeAt(path: KeyPath): OptionNode | null {
  let node: OptionNode | null | undefined = optionTree();
  for (const part of path) node = typeof part === "number" ? node?.element : node?.children.get(part);
  return node ?? null;
}
