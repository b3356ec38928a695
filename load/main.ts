/** The entry of `npm run load`: one file per scenario under load/scenarios. */
import { Command, CommanderError } from "commander";

import { CliError } from "../src/cli/exit-code.ts";
import { addPublishScenario } from "./scenarios/publish.ts";

const result = { exitCode: 0 };
const program = new Command("npm run load --")
  .description("Load scenarios. Each ends what it started and exits with 1 when a promise was not kept.")
  .showHelpAfterError("(add --help for what is possible)")
  .exitOverride();
addPublishScenario(program, result);

try {
  await program.parseAsync();
  process.exitCode = result.exitCode;
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof CliError) {
    console.error(error.message);
    process.exitCode = error.exitCode;
  } else {
    throw error;
  }
}
