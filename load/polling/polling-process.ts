/** The polling server as a process of its own, so that its CPU can be told from the pollers'. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

import { CliError, exitCode } from "../../src/cli/exit-code.ts";

const entry = fileURLToPath(new URL("polling-server.ts", import.meta.url));

export interface PollingServer {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startPollingServer(): Promise<PollingServer> {
  const child = fork(entry);
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message: { readonly port: number }) => resolve(message.port));
    child.once("exit", () => reject(new CliError(exitCode.unavailable, "the polling server did not start")));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    stop: async () => {
      if (child.connected) child.disconnect();
      await exited;
      process.off("exit", kill);
    },
  };
}
