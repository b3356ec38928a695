/** How each program of this folder runs its command line: errors become a line and an exit code, as `tapecast`'s do. */
import { CommanderError, type Command } from "commander";
import { CliError, exitCode } from "../src/cli/exit-code.ts";
import type { RunResult } from "../src/cli/program.ts";

/**
 * Sets the process's exit code; throws only what is a mistake of ours.
 * @param program with `exitOverride`.
 * @param result where a command that ran to its end leaves its exit code; without it 0, or what the command set itself.
 */
export async function runProgram(program: Command, result?: RunResult): Promise<void> {
  try {
    await program.parseAsync();
    if (result !== undefined) process.exitCode = result.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed its own message, or the help that was asked for.
      process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage;
    } else if (error instanceof CliError) {
      console.error(error.message);
      process.exitCode = error.exitCode;
    } else throw error;
  }
}
