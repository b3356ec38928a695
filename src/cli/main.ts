#!/usr/bin/env node
/** The entry of `tapecast`: runs the command line and turns what it threw into one exit code. */
import { runProgram } from "./program.ts";

// `tapecast subscribe … | head -1`: the reader of our output has gone, and there is nobody left to serve.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runProgram(process.argv.slice(2));
