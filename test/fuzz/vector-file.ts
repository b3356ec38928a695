/** Inputs that once failed, one JSON file each in test/fuzz/vectors: tried again by every run of the tests. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FuzzFailure } from "./fuzz-run.ts";
import type { FuzzInput } from "./fuzz-target.ts";

const folder = fileURLToPath(new URL("vectors", import.meta.url));

/** What a file holds. */
interface VectorJson {
  readonly target: string;
  /** What was wrong when it was found. */
  readonly story: string;
  readonly variant: number;
  readonly cuts: readonly number[];
  readonly hex: string;
}

export interface Vector {
  readonly name: string;
  readonly target: string;
  readonly story: string;
  readonly input: FuzzInput;
}

/** Writes a failure down. @returns the path. */
export function writeVector({ target, input, message }: FuzzFailure): string {
  const hex = input.bytes.toString("hex");
  const digest = createHash("sha256")
    .update(`${target} ${input.variant} ${input.cuts.join()} ${hex}`)
    .digest("hex");
  const vector: VectorJson = {
    target,
    story: message.slice(0, 500),
    variant: input.variant,
    cuts: input.cuts,
    hex,
  };
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${target}-${digest.slice(0, 12)}.json`);
  writeFileSync(path, `${JSON.stringify(vector, null, 2)}\n`);
  return path;
}

export function readVectors(): Vector[] {
  if (!existsSync(folder)) return []; // git keeps no empty folder: nothing has failed yet
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return names.map((name) => {
    const { target, story, variant, cuts, hex } = JSON.parse(
      readFileSync(join(folder, name), "utf8"),
    ) as VectorJson;
    return { name, target, story, input: { bytes: Buffer.from(hex, "hex"), cuts, variant } };
  });
}
