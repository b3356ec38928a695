/** Exit codes of all commands, after sysexits.h where it has one. docs/CLI.md lists them. */
export const exitCode = {
  ok: 0,
  /** It ran and something was refused or went wrong. */
  failed: 1,
  /** The command line is not one of ours. */
  usage: 2,
  /** EX_UNAVAILABLE: the server, Redis or an address cannot be had. */
  unavailable: 69,
  /** EX_CONFIG: the configuration has problems. */
  config: 78,
} as const;

/** Each code with its meaning, for help and documents. */
export const exitCodeTexts: readonly (readonly [number, string])[] = [
  [exitCode.ok, "done"],
  [exitCode.failed, "something was refused or failed; the reason is on standard error"],
  [exitCode.usage, "the command line is wrong"],
  [exitCode.unavailable, "the server, Redis or an address cannot be had"],
  [exitCode.config, "the configuration has problems; all of them are on standard error"],
];

/** Ends a command with one line for the person who typed it. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;

  constructor(code: number, message: string) {
    super(message);
    this.exitCode = code;
  }
}
