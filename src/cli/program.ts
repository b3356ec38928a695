/** All commands of `tapecast` in one program, and the one place where their errors become words and exit codes. */
import { Command, CommanderError } from "commander";

import { ConfigError } from "../base/errors.ts";
import { RecordingError } from "../feed/recording-error.ts";
import { packageVersion } from "../base/package-version.ts";
import { addCheckConfigCommand } from "./check-config-command.ts";
import { addDocsCommand } from "./docs-command.ts";
import { CliError, exitCode, exitCodeTexts } from "./exit-code.ts";
import { addPrintConfigCommand } from "./print-config-command.ts";
import { addPublishCommand } from "./publish-command.ts";
import { addReplayCommand } from "./replay-command.ts";
import { addServeCommand } from "./serve-command.ts";
import { addSubscribeCommand } from "./subscribe-command.ts";
import { addTokenCommand } from "./token-command.ts";
import { addTopicKeyCommand } from "./topic-key-command.ts";
import { addTopCommand } from "./top-command.ts";

/** Lines of help are broken here, whatever the terminal: the documents show the same text. */
const helpColumns = 100;

/** Where a command leaves its exit code when it ran to its end. */
export interface RunResult {
  exitCode: number;
}

/** The program. @param result is given the exit code of the command that runs. */
export function createProgram(result: RunResult): Command {
  const program = new Command("tapecast")
    .description("Pushes live topics (quotes, danmaku, chat) to browsers over WebSocket.")
    .version(packageVersion())
    .configureOutput({ getOutHelpWidth: () => helpColumns, getErrHelpWidth: () => helpColumns })
    .showHelpAfterError("(add --help for what is possible)")
    .exitOverride()
    .addHelpText("after", () => `\nExit codes:\n${exitCodeText()}\n`);
  addServeCommand(program, result);
  addPublishCommand(program, result);
  addSubscribeCommand(program, result);
  addReplayCommand(program, result);
  addTokenCommand(program);
  addTopicKeyCommand(program);
  addTopCommand(program, result);
  addCheckConfigCommand(program);
  addPrintConfigCommand(program);
  addDocsCommand(program, result);
  return program;
}

/** Runs one command line without the two words before it. Never throws; says why on standard error. */
export async function runProgram(args: readonly string[]): Promise<number> {
  const result: RunResult = { exitCode: exitCode.ok };
  try {
    await createProgram(result).parseAsync([...args], { from: "user" });
    return result.exitCode;
  } catch (error) {
    return explained(error);
  }
}

function explained(error: unknown): number {
  // commander has printed its own message, or the help or version that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCode.ok : exitCode.usage;
  if (error instanceof ConfigError) {
    const count = error.problems.length;
    console.error(`tapecast: the configuration has ${count === 1 ? "a problem" : `${count} problems`}:`);
    for (const { path, message } of error.problems) console.error(`${path}: ${message}`);
    return exitCode.config;
  }
  if (error instanceof CliError || error instanceof RecordingError) {
    console.error(`tapecast: ${error.message}`);
    return error instanceof CliError ? error.exitCode : exitCode.failed;
  }
  console.error(error);
  return exitCode.failed;
}

function exitCodeText(): string {
  return exitCodeTexts.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`).join("\n");
}
