/**
 * The entry of `npm run conformance`: every clause of RFC 6455 §4–§8 and RFC 7692 over the wire against a server that
 * echoes. Ends with 1 when a case fails, with 2 for a wrong command line, with 69 when the server cannot be reached.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { sectionOf, type Case } from "./case.ts";
import { allCases } from "./cases/all.ts";
import { explanations } from "./explanations.ts";
import { markdownReport, countOf, summary, terminalReport } from "./report.ts";
import { runAll } from "./run-all.ts";
import type { CaseResult } from "./run-case.ts";
import { startTapecast, startWs, type ServerUnderTest } from "./servers.ts";
import { replacePart } from "./document-part.ts";

/** Nobody answers, or not for long enough. */
function isUnreachable(error: unknown): error is Error {
  return error instanceof Error && "code" in error && /^E[A-Z_]+$/.test(String(error.code));
}

interface Flags {
  readonly url?: URL;
  readonly peer?: boolean;
  readonly only?: string;
  readonly json?: string;
  readonly list?: boolean;
  readonly messages: number;
  readonly write?: boolean;
}

const document = fileURLToPath(new URL("../../docs/CONFORMANCE.md", import.meta.url));

await new Command("npm run conformance --")
  .description(
    "Conformance to RFC 6455 and RFC 7692: sends the bytes of each case to a server that echoes messages and judges " +
      "what comes back. Without --url it starts Tapecast.",
  )
  .option("--url <url>", "ws://HOST:PORT/PATH or wss://… of an echo", wsUrl)
  .option("--peer", "start npm's ws instead, by which the suite itself is judged")
  .option("--only <name>", "cases whose name begins so: 5.4, 8.1-invalid, 7692-7.1, or one whole name")
  .option("--json <file>", "write every result there")
  .option("--list", "name the cases and run none")
  .option("--messages <n>", "of each series; the public suite has 1000", whole, 100)
  .option("--write", "run Tapecast and ws, and write the table of docs/CONFORMANCE.md")
  .addHelpText(
    "after",
    "\nVerdicts: pass; non-strict (harmless, not at the clause's word); unimplemented (an option that the server does " +
      "not have); fail.\nExit codes: 0 no case failed, 1 some did, 2 wrong command line, 69 no server there.\n\n" +
      "Examples:\n  npm run conformance -- --url ws://127.0.0.1:8080/echo --only 5.4\n" +
      "  npm run conformance -- --json results.json --messages 1000",
  )
  .configureOutput({ outputError: (text, write) => write(text) })
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .action(run)
  .parseAsync();

async function run(flags: Flags): Promise<void> {
  const cases = allCases.filter(({ id }) => id.startsWith(flags.only ?? ""));
  if (cases.length === 0) {
    console.error(`no case begins with ${flags.only}: --list names them all`);
    process.exitCode = 2;
  } else if (flags.list === true) {
    for (const { id, must, what } of cases) console.log(`${id}\n    ${sectionOf(id)}: ${must}\n    ${what}`);
    console.log(`${cases.length} cases`);
  } else if (flags.write === true) await writeDocument(flags);
  else await judge(flags, cases);
}

async function judge(flags: Flags, cases: readonly Case[]): Promise<void> {
  const server = await serverOf(flags);
  console.log(`${cases.length} cases against ${server.name} at ${server.url.href}`);
  const startMs = performance.now();
  try {
    const results = await resultsOf(server, cases, flags);
    console.log(terminalReport(results));
    console.log(`${((performance.now() - startMs) / 1000).toFixed(1)} s`);
    const { name, url } = server;
    if (flags.json !== undefined)
      writeFileSync(flags.json, `${JSON.stringify({ name, url: url.href, results }, null, 2)}\n`);
    if (countOf(results, "fail") > 0) process.exitCode = 1;
  } catch (error) {
    if (!isUnreachable(error)) throw error;
    console.error(`${server.url.href} cannot be reached: ${error.message}`);
    process.exitCode = 69;
  } finally {
    await server.stop();
  }
}

async function resultsOf(
  server: ServerUnderTest,
  cases: readonly Case[],
  { messages }: Flags,
): Promise<CaseResult[]> {
  let done = 0;
  const showsProgress = process.stderr.isTTY;
  try {
    return await runAll(cases, { url: server.url, seriesMessages: messages }, ({ id }) => {
      done += 1;
      if (showsProgress) process.stderr.write(`\r\u001b[K${done}/${cases.length} ${id}`);
    });
  } finally {
    if (showsProgress) process.stderr.write("\r\u001b[K");
  }
}

async function serverOf({ url, peer }: Flags): Promise<ServerUnderTest> {
  if (url !== undefined) return { name: "a server", url, stop: () => Promise.resolve() };
  return peer === true ? startWs() : startTapecast();
}

/** The table has all cases, or it would say less than the suite does. */
async function writeDocument(flags: Flags): Promise<void> {
  const servers = [];
  for (const start of [startTapecast, startWs]) {
    const server = await start();
    try {
      const results = await resultsOf(server, allCases, flags);
      console.log(`${server.name}: ${summary(results)}`);
      servers.push({ name: server.name, results });
    } finally {
      await server.stop();
    }
  }
  const part = markdownReport(servers, explanations);
  writeFileSync(document, replacePart(readFileSync(document, "utf8"), part));
  console.log(`written to ${document}: format it with npm run format`);
}

function wsUrl(text: string): URL {
  if (!URL.canParse(text) || !/^wss?:$/.test(new URL(text).protocol))
    throw new InvalidArgumentError("a URL like ws://127.0.0.1:8080/echo.");
  return new URL(text);
}

function whole(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("a whole number from 1.");
  return Number(text);
}
