/** `tapecast docs`, for maintainers: writes the documents that are generated from the code, or checks them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Command } from "commander";

import { configMarkdown } from "../config/config-markdown.ts";
import { defaultYaml } from "../config/default-yaml.ts";
import { schemaJson } from "../config/schema-json.ts";
import { cliMarkdown } from "./cli-markdown.ts";
import { addExamples } from "./command-options.ts";
import { CliError, exitCode } from "./exit-code.ts";
import type { RunResult } from "./program.ts";

interface DocsFlags {
  readonly write?: boolean;
  readonly check?: boolean;
  readonly root: string;
}

/** Adds the command. */
export function addDocsCommand(program: Command, result: RunResult): void {
  const command = program
    .command("docs")
    .summary("for maintainers: write or check the generated documents")
    .description(
      "For maintainers: write the generated documents of this repository, or check that they are as written.",
    )
    .option("--write", "write them")
    .option("--check", "name those that differ; exit code 1 if any does")
    .option("--root <directory>", "of the repository", ".")
    .action(async (flags: DocsFlags) => {
      if (flags.write === flags.check) throw new CliError(exitCode.usage, "either --write or --check");
      const documents = await generatedDocuments();
      if (flags.write === true) {
        for (const [path, text] of documents) writeFileSync(join(flags.root, path), text);
        return;
      }
      for (const [path, text] of documents) {
        if (textOf(join(flags.root, path)) === text) continue;
        console.error(`${path} is not what the code says: run npm run docs`);
        result.exitCode = exitCode.failed;
      }
    });
  addExamples(command, [["tapecast docs --check", "in continuous integration"]]);
}

/** Every generated document with its path in the repository. */
export async function generatedDocuments(): Promise<ReadonlyMap<string, string>> {
  const [{ metricsMarkdown }, { createProgram }] = await Promise.all([
    import("../metrics/metrics-document.ts"),
    import("./program.ts"),
  ]);
  return new Map([
    ["docs/CONFIGURATION.md", configMarkdown()],
    ["docs/CLI.md", cliMarkdown(createProgram({ exitCode: exitCode.ok }))],
    ["docs/METRICS.md", metricsMarkdown()],
    ["config/default.yaml", defaultYaml()],
    ["config/tapecast.schema.json", schemaJson()],
  ]);
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
