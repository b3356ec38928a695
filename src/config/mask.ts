/** Masks the secrets of a configuration, for `print-config` and for logs. Which options are secret, the schema says. */
import { isRecord } from "./key-path.ts";
import { type OptionNode, optionTree } from "./option-tree.ts";
import type { Config } from "./schema.ts";

/** What stands in the place of a secret. */
export const maskText = "***";

/** A copy with every secret replaced by `***`, and only the passwords of URLs. */
export function maskSecrets(config: Config): unknown {
  return masked(config, optionTree());
}

/** The URL with its password replaced; text that is no URL is masked as a whole, since nobody knows what it holds. */
export function maskUrl(url: string): string {
  if (!/^[a-z]+:\/\//u.test(url) || !URL.canParse(url)) return maskText;
  const parsed = new URL(url);
  if (parsed.password === "") return url;
  parsed.password = maskText;
  return parsed.href;
}

function masked(value: unknown, node: OptionNode | null): unknown {
  if (node?.secret === "whole" && typeof value === "string") return maskText;
  if (node?.secret === "url" && typeof value === "string") return maskUrl(value);
  if (Array.isArray(value)) {
    // A list's mark stands at the list: its elements are the secrets.
    const element = node?.element ?? null;
    const inherited =
      element === null || node === null ? element : { ...element, secret: element.secret ?? node.secret };
    return value.map((item) => masked(item, inherited));
  }
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, masked(item, node?.children.get(key) ?? null)]),
  );
}
