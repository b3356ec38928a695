/** `tapecast serve`: runs the server. */
import type { Command } from "commander";

import { ConfigError } from "../base/errors.ts";
import { addConfigOptions, addExamples, type ConfigFlags, configOf } from "./command-options.ts";
import { CliError, exitCode } from "./exit-code.ts";
import type { RunResult } from "./program.ts";

/** Adds the command. */
export function addServeCommand(program: Command, result: RunResult): void {
  const command = addConfigOptions(program.command("serve"))
    .summary("run the server")
    .description("Run the server until Ctrl-C or SIGTERM.")
    .action(async (flags: ConfigFlags) => {
      const config = configOf(flags);
      // Everything of the server is loaded by the one command that needs it.
      const { runPrimary } = await import("../primary/primary.ts");
      const { boundSendBuffer } = await import("../http/send-buffers.ts");
      const { unixSocket } = config.listen;
      if (unixSocket !== null) await makeWay(unixSocket);
      result.exitCode = await runPrimary(config, { boundSendBuffer });
    });
  addExamples(command, [
    ["tapecast serve --config config/demo.yaml", "the demonstration: recorded prices, no Redis"],
    ["tapecast serve --set listen.port=8003 --set workers=1", "the defaults, but for two options"],
    ["TAPECAST_BROKER__KIND=redis tapecast serve", "an option from the environment"],
  ]);
}

/** Removes what a killed server left at the path of its unix socket, before any worker binds it. */
async function makeWay(unixSocket: string): Promise<void> {
  const { removeStaleSocket } = await import("../http/listen.ts");
  try {
    await removeStaleSocket(unixSocket);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new CliError(exitCode.unavailable, error.message);
  }
}
