/** Temporary folders of a test file, gone when all its tests are done, however they ended. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

const folders: string[] = [];

/** A new empty one. */
export function ownFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tapecast-load-"));
  folders.push(folder);
  return folder;
}

/** What is in them too. */
export function removeOwnFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

// A file at a time imports this, so these are its folders. Not after each test: some run beside each other.
afterAll(removeOwnFolders);
