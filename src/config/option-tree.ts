/**
 * The options as a tree, read off the JSON Schema: what the environment and `--set` may name, what a value may be,
 * and what the documents say. Not here: validation, which is the schema's own.
 */
import { z } from "zod";

import { configSchema } from "./schema.ts";

/** The JSON Schema of a configuration file, for editors. A new object with each call. */
export function configJsonSchema(): Record<string, unknown> {
  return {
    title: "Tapecast configuration",
    ...z.toJSONSchema(configSchema, { io: "input", target: "draft-7" }),
  };
}

/** One option, or a section of options. */
export interface OptionNode {
  readonly key: string;
  readonly description: string;
  readonly unit: string | null;
  readonly secret: "whole" | "url" | null;
  /** What may stand here: of `string, integer, number, boolean, array, object, null`. */
  readonly types: ReadonlySet<string>;
  /** The words of a closed list, empty when any text is good. */
  readonly words: readonly string[];
  readonly minimum: number | null;
  readonly maximum: number | null;
  /** undefined: none, it must be given. */
  readonly fallback: unknown;
  /** The keys of a section, or of one that may stand here. */
  readonly children: ReadonlyMap<string, OptionNode>;
  /** What a list is made of. */
  readonly element: OptionNode | null;
}

/** The root of all options. Cost: a walk over the schema; the answer is remembered. */
export function optionTree(): OptionNode {
  remembered ??= nodeOf("", configJsonSchema());
  return remembered;
}

let remembered: OptionNode | null = null;

/** The part of JSON Schema that zod writes for our options. */
interface SchemaPart {
  readonly description?: string;
  readonly unit?: string;
  readonly secret?: "whole" | "url";
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaPart>>;
  readonly items?: SchemaPart;
  readonly anyOf?: readonly SchemaPart[];
}

function nodeOf(key: string, part: SchemaPart): OptionNode {
  const branches = branchesOf(part);
  const numbers = branches.find(
    (branch) => branch.minimum !== undefined || branch.exclusiveMinimum !== undefined,
  );
  const properties = branches.find((branch) => branch.properties !== undefined)?.properties ?? {};
  const items = branches.find((branch) => branch.items !== undefined)?.items;
  return {
    key,
    description: part.description ?? "",
    unit: part.unit ?? null,
    secret: part.secret ?? null,
    types: new Set(branches.flatMap((branch) => branch.type ?? "string")),
    words: branches
      .flatMap((branch) => branch.enum ?? (branch.const === undefined ? [] : [branch.const]))
      .map(String),
    minimum: numbers?.minimum ?? numbers?.exclusiveMinimum ?? null,
    maximum: numbers?.maximum ?? null,
    fallback: part.default,
    children: new Map(Object.entries(properties).map(([name, child]) => [name, nodeOf(name, child)])),
    element: items === undefined ? null : nodeOf("", items),
  };
}

/** The alternatives of an option, those of alternatives included. */
function branchesOf(part: SchemaPart): readonly SchemaPart[] {
  return part.anyOf === undefined ? [part] : part.anyOf.flatMap((branch) => branchesOf(branch));
}
