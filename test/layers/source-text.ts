/** Reads what the layer rules need from TypeScript source, by text: its imports, and its code without comments. */

export interface Import {
  readonly from: string;
  /** What stands between `import` and `from`; empty for a side effect or a dynamic import. */
  readonly names: string;
  /** Nothing of it is left when the types are erased. */
  readonly typeOnly: boolean;
}

const fromClause = /\b(?:import|export)\s+(type\s+)?([\w$*\s{},]*?)\s*from\s*["']([^"']+)["']/gu;
const bareImport = /\bimport\s*\(?\s*["']([^"']+)["']/gu;

/** All imports and re-exports, dynamic ones too. */
export function importsOf(source: string): Import[] {
  const code = withoutComments(source);
  const named = [...code.matchAll(fromClause)].map(([, type, names = "", from = ""]) => ({
    from,
    names: names.trim(),
    typeOnly: type !== undefined || allTypes(names),
  }));
  const bare = [...code.matchAll(bareImport)].map(([, from = ""]) => ({ from, names: "", typeOnly: false }));
  return [...named, ...bare];
}

/** The code without comments; with `strings: false` also without the contents of string literals. */
export function withoutComments(source: string, { strings = true } = {}): string {
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[dgimsuvy]*(?=\s*[.;,)\]])/gu;
  return source.replaceAll(token, (match) => {
    if (match.startsWith("/*") || match.startsWith("//")) return " ";
    return strings ? match : '""';
  });
}

function allTypes(names: string): boolean {
  const inner = /^\{([\s\S]*)\}$/u.exec(names.trim())?.[1];
  if (inner === undefined) return false;
  const members = inner
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  return members.length > 0 && members.every((name) => name.startsWith("type "));
}
