/**
 * The pages and their parts, read once at start into a table from URL path to bytes. A request only looks up a key:
 * no path of a request ever reaches the file system, so there is nothing to traverse.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** A file as it is served. */
export interface Page {
  readonly body: Buffer;
  readonly contentType: string;
  /** Strong entity tag, quotes included. */
  readonly etag: string;
}

/** Media types by extension. What is not here is not served. */
const contentTypes: ReadonlyMap<string, string> = new Map([
  [".html", "text/html; charset=utf-8"],
  [".css", "text/css; charset=utf-8"],
  [".js", "text/javascript; charset=utf-8"],
  [".map", "application/json; charset=utf-8"],
  [".json", "application/json; charset=utf-8"],
  [".svg", "image/svg+xml"],
  [".png", "image/png"],
  [".jpg", "image/jpeg"],
  [".webp", "image/webp"],
  [".ico", "image/x-icon"],
  [".woff2", "font/woff2"],
  [".txt", "text/plain; charset=utf-8"],
]);

/** Built modules that browsers may load, and the extensions that are theirs. */
const scriptFolders = ["web", "client", "protocol", "base"] as const;
const scriptExtensions: ReadonlySet<string> = new Set([".js", ".map"]);

/** The package's root directory: this file lies two folders below it in `src` as in `dist`. */
export function packageRoot(): string {
  return fileURLToPath(new URL("../../", import.meta.url));
}

/**
 * Reads `src/web/static` and the built browser modules below `root`. Folders that are not there (nothing was built)
 * leave the table without their files.
 * @returns `/` for index.html, `/demo/<name>` for <name>.html and for every other file, `/demo/js/<folder>/…` for modules
 */
export async function readPages(root: string): Promise<ReadonlyMap<string, Page>> {
  const pages = new Map<string, Page>();
  for (const [name, page] of await readFolder(`${root}/src/web/static`)) {
    pages.set(`/demo/${name}`, page);
    if (name.endsWith(".html")) pages.set(`/demo/${name.slice(0, -".html".length)}`, page);
    if (name === "index.html") pages.set("/", page);
    // Browsers ask for it without being told.
    if (name === "favicon.ico") pages.set("/favicon.ico", page);
  }
  for (const folder of scriptFolders) {
    for (const [name, page] of await readFolder(`${root}/dist/${folder}`)) {
      if (scriptExtensions.has(extname(name))) pages.set(`/demo/js/${folder}/${name}`, page);
    }
  }
  return pages;
}

/** All files below `folder` that have a type, by their path within it with forward slashes. No links, no dot files. */
async function readFolder(folder: string): Promise<[string, Page][]> {
  const found: [string, Page][] = [];
  for (const entry of await entriesOf(folder)) {
    if (entry.name.startsWith(".")) continue;
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      for (const [name, page] of await readFolder(path)) found.push([`${entry.name}/${name}`, page]);
      continue;
    }
    const contentType = contentTypes.get(extname(entry.name));
    if (!entry.isFile() || contentType === undefined) continue;
    const body = await readFile(path);
    found.push([entry.name, { body, contentType, etag: etagOf(body) }]);
  }
  return found;
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

function etagOf(body: Buffer): string {
  return `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
}
