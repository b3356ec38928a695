/** `tapecast check-config`: says all that is wrong with a configuration. */
import type { Command } from "commander";

import { loadConfig } from "../config/load.ts";
import { addExamples } from "./command-options.ts";

/** Adds the command. */
export function addCheckConfigCommand(program: Command): void {
  const command = program
    .command("check-config")
    .summary("say all that is wrong with a configuration")
    .description(
      "Check a configuration file together with the environment. Every problem is printed with its key path; the " +
        "exit code is then 78.",
    )
    .argument("<file>", "YAML file")
    .action((file: string) => {
      loadConfig({ file, env: process.env });
      console.log(`${file}: no problems`);
    });
  addExamples(command, [["tapecast check-config config/production.yaml", "before it goes live"]]);
}
