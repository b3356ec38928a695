/** Clients in other languages: a script each, run by what Debian has, which prints its report. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { run } from "../../e2e/run.ts";
import { data, type Report, type Task } from "./talk.ts";

/** Debian's python, for which the packages are installed, whatever else stands first on the PATH. */
const python = "/usr/bin/python3";

export async function talkPythonWebsockets(task: Task): Promise<Report> {
  return talkPython("websockets", "python-websockets.py", task);
}

export async function talkPythonAiohttp(task: Task): Promise<Report> {
  return talkPython("aiohttp", "python-aiohttp.py", task);
}

export async function talkJava({ server, code, topic }: Task): Promise<Report> {
  if (spawnSync("java", ["-version"]).status !== 0)
    throw new Error("java is missing: apt-get install -y openjdk-17-jdk-headless");
  // Without it, source and output are read in what the locale says, which may be ASCII.
  const encodings = ["-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-Dstdout.encoding=UTF-8"];
  // Arguments come through the locale too: escaped JSON is ASCII.
  const escaped = JSON.stringify(data).replaceAll(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return report("java", [...encodings, scriptPath("java-http.java"), server, String(code), topic, escaped]);
}

async function talkPython(library: string, script: string, task: Task): Promise<Report> {
  if (spawnSync(python, ["-c", `import ${library}`]).status !== 0)
    throw new Error(`python3-${library} is missing: apt-get install -y python3-${library}`);
  return report(python, [scriptPath(script), JSON.stringify({ ...task, data })]);
}

async function report(command: string, args: readonly string[]): Promise<Report> {
  const { code, stdout, stderr } = await run(command, args, { withinMs: 60_000 });
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

function scriptPath(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
