/** A worker's log: JSON lines on standard output, coloured lines when that is a terminal. */
import { pino, type Logger } from "pino";
import { build as pretty } from "pino-pretty";

import { logOptions } from "../base/log.ts";
import type { Config } from "../config/schema.ts";

/** Lines that wait in memory while nobody reads standard output; what comes on top is dropped. */
const waitingBytesMax = 1_048_576;

/**
 * Makes the logger. A reader of standard output that stands still delays no line of ours: writes do not block.
 * @param bindings fields of every line.
 */
export function createLogger(config: Config, bindings: Readonly<Record<string, string | number>>): Logger {
  const options = logOptions(config.log.level, bindings);
  const destination = pino.destination({ dest: 1, sync: false, maxLength: waitingBytesMax });
  // Standard output may go away before we do (a closed terminal, a pipe to `head`): the server goes on without it.
  destination.on("error", () => {});
  if (!process.stdout.isTTY) return pino(options, destination);
  return pino(options, pretty({ destination, singleLine: true, translateTime: "SYS:HH:MM:ss.l" }));
}
