/** Key paths of a configuration, as people read them (`topics[2].match`), and values at such paths. */

/** Keys and list positions from the root. */
export type KeyPath = readonly (string | number)[];

/** `["topics", 2, "match"]` as `topics[2].match`. The root is `(root)`. */
export function keyPathText(path: KeyPath): string {
  if (path.length === 0) return "(root)";
  return path
    .map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join("");
}

/** True for an object that is neither null nor a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Puts `value` at `path`, making the sections on the way. Where something else than a section stands in the way
 * nothing is changed: the schema will refuse that.
 */
export function setAt(root: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let section = root;
  for (const key of path.slice(0, -1)) {
    const next = ownValue(section, key) ?? {};
    if (!isRecord(next)) return;
    define(section, key, next);
    section = next;
  }
  const last = path.at(-1);
  if (last !== undefined) define(section, last, value);
}

/** Takes away what is at `path`; a list keeps its length. */
export function removeAt(root: unknown, path: KeyPath): void {
  let section = root;
  for (const key of path.slice(0, -1)) section = ownValue(section, key);
  const last = path.at(-1);
  if (last !== undefined && typeof section === "object" && section !== null)
    Reflect.deleteProperty(section, last);
}

function ownValue(section: unknown, key: string | number): unknown {
  if (typeof section !== "object" || section === null || !Object.hasOwn(section, key)) return undefined;
  return Reflect.get(section, key);
}

/** Never through a setter: a key such as `__proto__` is a key like any other, and unknown. */
function define(section: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(section, key, { value, writable: true, enumerable: true, configurable: true });
}
