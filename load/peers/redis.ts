/** A Redis of the comparison's own, on a free port, that keeps nothing. */
import { CliError, exitCode } from "../../src/cli/exit-code.ts";
import { Program, freePort } from "./processes.ts";
import { run } from "./tools.ts";

export interface OwnRedis {
  readonly port: number;
  readonly pid: number;
  readonly version: string;
  stop(): Promise<void>;
}

/** @throws CliError without a redis-server on the PATH. */
export async function startRedis(cores: string | null): Promise<OwnRedis> {
  const found = await run(["redis-server", "--version"], 10_000);
  if (!found.ok)
    throw new CliError(
      exitCode.unavailable,
      "needs redis-server 7 or newer on the PATH: on Debian, apt install redis-server",
    );
  const port = await freePort();
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  // A saturated peer reads slowly; cutting it off would end its run.
  const patience = ["--client-output-buffer-limit", "pubsub 512mb 0 0"];
  const program = new Program("redis-server", ["redis-server", ...options, ...patience], cores);
  await program.listening(port);
  const version = /v=(\S+)/u.exec(found.output)?.[1] ?? "unknown version";
  return { port, pid: program.pid, version, stop: () => program.stop() };
}
