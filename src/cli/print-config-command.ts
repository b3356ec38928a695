/** `tapecast print-config`: the configuration that is in effect. */
import type { Command } from "commander";
import { stringify } from "yaml";

import { maskSecrets } from "../config/mask.ts";
import { addConfigOptions, addExamples, type ConfigFlags, configOf } from "./command-options.ts";

/** Adds the command. */
export function addPrintConfigCommand(program: Command): void {
  const command = addConfigOptions(program.command("print-config"))
    .summary("print the effective configuration")
    .description("Print the effective configuration as YAML: every key, secrets masked.")
    .action((flags: ConfigFlags) => {
      process.stdout.write(stringify(maskSecrets(configOf(flags))));
    });
  addExamples(command, [
    ["tapecast print-config", "the defaults and what the environment changes"],
    ["tapecast print-config --config config/demo.yaml --set workers=4", "what serve would run with"],
  ]);
}
