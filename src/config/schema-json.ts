/** Writes config/tapecast.schema.json, in the form that the formatter of this repository leaves alone. */
import { isRecord } from "./key-path.ts";
import { configJsonSchema } from "./option-tree.ts";

const lineMax = 110;

/** The text of config/tapecast.schema.json. */
export function schemaJson(): string {
  return `${pretty(configJsonSchema(), "", 0)}\n`;
}

/** JSON with lists of words on one line where they fit after `columnsBefore` columns. */
function pretty(value: unknown, indent: string, columnsBefore: number): string {
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const line = `[${value.map((item) => JSON.stringify(item)).join(", ")}]`;
    const plain = value.every((item) => typeof item !== "object" || item === null);
    if (plain && columnsBefore + line.length < lineMax) return line;
    return `[\n${value.map((item) => inner + pretty(item, inner, inner.length)).join(",\n")}\n${indent}]`;
  }
  if (!isRecord(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, item]) => {
    const start = `${inner}${JSON.stringify(key)}: `;
    return start + pretty(item, inner, start.length);
  });
  return members.length === 0 ? "{}" : `{\n${members.join(",\n")}\n${indent}}`;
}
