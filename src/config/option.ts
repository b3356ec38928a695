/**
 * Small builders for the options of `schema.ts`: each takes its limits, its default and its sentence, so that an
 * option is written once and the type, the defaults, the JSON Schema, docs/CONFIGURATION.md and config/default.yaml
 * all come from that one place. Not here: what the options are.
 */
import { z } from "zod";

/** What an option carries beside its type: shown in the documents, and `secret` masked by `print-config`. */
export interface OptionDoc {
  readonly description: string;
  /** Unit of a number, in words, when it has one. */
  readonly unit?: string;
  /** `whole`: the value is a secret; `url`: a URL whose password is one. */
  readonly secret?: "whole" | "url";
}

/** A whole number within limits. */
export function integer(min: number, max: number, fallback: number, doc: OptionDoc) {
  return z
    .int({ error: `a whole number from ${min} to ${max}` })
    .min(min, { error: `at least ${min}` })
    .max(max, { error: `at most ${max}` })
    .default(fallback)
    .meta({ ...doc });
}

/** A whole number within limits, or null for no limit. */
export function limit(min: number, max: number, fallback: number | null, doc: OptionDoc) {
  return z
    .int({ error: `a whole number from ${min} to ${max}, or null for no limit` })
    .min(min, { error: `at least ${min}` })
    .max(max, { error: `at most ${max}` })
    .nullable()
    .default(fallback)
    .meta({ ...doc });
}

/** true or false. */
export function flag(fallback: boolean, doc: OptionDoc) {
  return z
    .boolean({ error: "true or false" })
    .default(fallback)
    .meta({ ...doc });
}

/** A text that is not empty. */
export function text(fallback: string, doc: OptionDoc) {
  return z
    .string({ error: "a text" })
    .min(1, { error: "not empty" })
    .default(fallback)
    .meta({ ...doc });
}

/** A text that is not empty, or null. */
export function optionalText(doc: OptionDoc) {
  return z
    .string({ error: "a text, or null" })
    .min(1, { error: "not empty; null leaves it out" })
    .nullable()
    .default(null)
    .meta({ ...doc });
}

/** One word of a closed list. */
export function choice<const Word extends string>(
  words: readonly [Word, ...Word[]],
  fallback: NoInfer<Word>,
  doc: OptionDoc,
) {
  const schema = z.enum(words, { error: `one of ${words.join(", ")}` });
  return schema.prefault(fallback).meta({ ...doc, default: fallback });
}
