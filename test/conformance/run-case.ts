/** Runs a case each of its ways and gives the worst verdict. */
import { isOpening, type Case, type FrameCase, type OpeningCase, type Step, type Verdict } from "./case.ts";
import { Broken, key, Link, type Way } from "./link.ts";
import { problemOf101 } from "./response-head.ts";
import type { Seen } from "./server-frames.ts";
import { closeBody, frame, op } from "./wire.ts";

export interface CaseResult {
  readonly id: string;
  readonly must: string;
  readonly what: string;
  readonly verdict: Verdict;
  /** What was seen instead; empty for a pass. */
  readonly problem: string;
  readonly ms: number;
}

export interface RunOptions {
  readonly url: URL;
  /** Messages in each series that does not say how many. */
  readonly seriesMessages: number;
}

/** How long a server may take for anything. */
const patienceMs = 10_000;
/** What "fail fast" means. */
const fastMs = 1000;
/** Above this many bytes a case is not sent byte by byte, unless it says so. */
const bytewiseMax = 400;
const severity: readonly Verdict[] = ["pass", "non-strict", "unimplemented", "fail"];

/** Codes with which a server may fail a connection, although another fits better. */
const failureCodes = new Set([1002, 1003, 1007, 1008, 1009, 1010, 1011]);

interface Outcome {
  readonly verdict: Verdict;
  readonly problem: string;
}

const passed: Outcome = { verdict: "pass", problem: "" };

function failed(problem: string): Outcome {
  return { verdict: "fail", problem };
}

function notStrict(problem: string): Outcome {
  return { verdict: "non-strict", problem };
}

function worse(one: Outcome, other: Outcome): Outcome {
  return severity.indexOf(other.verdict) > severity.indexOf(one.verdict) ? other : one;
}

/** @throws Error when the server cannot be reached at all. */
export async function runCase(each: Case, options: RunOptions): Promise<CaseResult> {
  const startMs = performance.now();
  let worst = passed;
  for (const way of waysOf(each)) {
    const outcome = isOpening(each)
      ? await runOpening(each, way, options)
      : await runFrames(each, way, options);
    if (outcome.verdict === "pass") continue;
    const told = way === "whole" ? outcome.problem : `${outcome.problem} (sent ${shownWay(way)})`;
    worst = worse(worst, { ...outcome, problem: told });
  }
  const { id, must, what } = each;
  return { id, must, what, ...worst, ms: Math.round(performance.now() - startMs) };
}

function shownWay(way: Way): string {
  return way === "bytes" ? "byte by byte" : way === "whole" ? "whole" : `in pieces of ${way} bytes`;
}

function waysOf(each: Case): readonly Way[] {
  if (each.ways !== undefined) return each.ways;
  if (isOpening(each)) return ["whole"];
  const sizes = each.steps.map((step) =>
    step.kind === "series"
      ? Number.POSITIVE_INFINITY
      : step.kind === "send" && Buffer.isBuffer(step.bytes)
        ? step.bytes.length
        : 0,
  );
  return sizes.reduce((sum, size) => sum + size, 0) <= bytewiseMax ? ["whole", "bytes"] : ["whole"];
}

async function runFrames(each: FrameCase, way: Way, options: RunOptions): Promise<Outcome> {
  let link: Link | null = null;
  try {
    link = await Link.open(options.url, each.offer ?? null);
    if (each.offer !== undefined && link.window === null)
      return { verdict: "unimplemented", problem: "compression was not agreed on" };
    return await runSteps(link, each.steps, way, options);
  } catch (error) {
    if (error instanceof Broken) return failed(error.message);
    throw error;
  } finally {
    link?.destroy();
  }
}

async function runOpening(each: OpeningCase, way: Way, options: RunOptions): Promise<Outcome> {
  const { expect } = each;
  const link = await Link.connect(options.url);
  try {
    const { host, pathname, search } = options.url;
    await link.send(Buffer.from(each.request(host, `${pathname}${search}`) as string, "latin1"), way);
    const head = await link.nextResponse(patienceMs);
    const isAccepted = head?.status === 101;
    if (isAccepted !== expect.accepted) {
      const problem = head === null ? "no HTTP answer" : `the answer is ${head.statusLine}`;
      return expect.isLenient === true ? notStrict(problem) : failed(problem);
    }
    if (head === null) return notStrict("the connection ended without an HTTP answer");
    if (!isAccepted && (head.status < 400 || head.status > 499))
      return notStrict(`the answer is ${head.statusLine}`);
    const problem = isAccepted
      ? problemOf101(head, {
          key: expect.key ?? key,
          protocols: expect.protocols ?? [],
          offersExtensions: expect.offersExtensions ?? false,
        })
      : null;
    const further = problem ?? expect.check?.(head) ?? null;
    if (further !== null) return failed(further);
    if (!isAccepted) return passed;
    link.startFrames();
    return await runSteps(link, expect.steps ?? [], "whole", options);
  } catch (error) {
    if (error instanceof Broken) return failed(error.message);
    throw error;
  } finally {
    link.destroy();
  }
}

async function runSteps(link: Link, steps: readonly Step[], way: Way, options: RunOptions): Promise<Outcome> {
  let worst = passed;
  const all: readonly Step[] = endsItself(steps)
    ? steps
    : [...steps, { kind: "close", body: closeBody(1000), codes: [1000] }];
  for (const step of all) {
    const outcome = await runStep(link, step, way, options);
    if (link.complaint !== null) return failed(`the server broke ${link.complaint}`);
    worst = worse(worst, outcome);
    if (worst.verdict === "fail") break;
  }
  return worst;
}

function endsItself(steps: readonly Step[]): boolean {
  return steps.some(({ kind }) => kind === "fail" || kind === "close" || kind === "drop");
}

async function runStep(link: Link, step: Step, way: Way, options: RunOptions): Promise<Outcome> {
  switch (step.kind) {
    case "send":
      await link.send(typeof step.bytes === "function" ? step.bytes(link.window!) : step.bytes, way);
      return passed;
    case "see":
      return see(link, step.seen, step.isLenient);
    case "series":
      return runSeries(link, step.count ?? options.seriesMessages, step.message);
    case "fail":
      return failure(link, step.codes, step.rest, way);
    case "close":
      return closing(link, step.body, step.codes, way);
    case "drop":
      return drop(link, step.how, options);
  }
}

/** Connections that the server failed before it answered what came before. */
const failedFirst = new WeakSet<Link>();

async function see(link: Link, wanted: Seen, isLenient: boolean): Promise<Outcome> {
  const seen = await link.next(patienceMs);
  if (seen !== null && same(seen, wanted)) return passed;
  if (isLenient && seen?.kind === "close") {
    failedFirst.add(link);
    return notStrict(`it failed before it sent ${shown(wanted)}`);
  }
  return failed(`${shown(seen)} came, not ${shown(wanted)}`);
}

async function runSeries(
  link: Link,
  count: number,
  message: Extract<Step, { kind: "series" }>["message"],
): Promise<Outcome> {
  for (let index = 0; index < count; index += 1) {
    const { wire, seen } = message(index, link.window);
    await link.send(wire, "whole");
    const outcome = await see(link, seen, false);
    if (outcome.verdict !== "pass") return failed(`message ${index + 1} of ${count}: ${outcome.problem}`);
  }
  return passed;
}

/** RFC 6455 §7.1.7: a close frame with a fitting code, nothing else, and the end of TCP. */
async function failure(
  link: Link,
  codes: readonly number[],
  rest: Buffer | null,
  way: Way,
): Promise<Outcome> {
  let worst = passed;
  let seen: Seen | null = failedFirst.has(link)
    ? { kind: "end" }
    : await link.next(rest === null ? patienceMs : fastMs);
  if (seen === null && rest !== null && link.complaint === null) {
    worst = notStrict("it did not fail at once, but only when the rest was there");
    await link.send(rest, way);
    seen = await link.next(patienceMs);
  }
  if (failedFirst.has(link)) return worst;
  if (seen?.kind === "end") return worse(worst, notStrict("TCP ended without a close frame"));
  if (seen?.kind !== "close")
    return failed(`${shown(seen)} came, not a close frame with ${codes.join(" or ")}`);
  if (seen.code === null || !codes.includes(seen.code)) {
    const isFailure = seen.code !== null && failureCodes.has(seen.code);
    const problem = `closed with ${seen.code ?? "no code"}, not ${codes.join(" or ")}`;
    worst = worse(worst, isFailure ? notStrict(problem) : failed(problem));
  }
  return worse(worst, await tcpEnd(link));
}

/** RFC 6455 §5.5.1 and §7.1.1. */
async function closing(
  link: Link,
  body: Buffer,
  codes: readonly (number | null)[],
  way: Way,
): Promise<Outcome> {
  await link.send(frame(op.close, body), way);
  const seen = await link.next(patienceMs);
  if (seen?.kind !== "close") return failed(`${shown(seen)} came, not a close frame`);
  const outcome = codes.includes(seen.code)
    ? passed
    : notStrict(`answered with ${seen.code ?? "no code"}, not ${codes.join(" or ")}`);
  return worse(outcome, await tcpEnd(link));
}

/** §5.5.1: "The server MUST close the underlying TCP connection immediately": it, and not we, first. */
async function tcpEnd(link: Link): Promise<Outcome> {
  const next = await link.next(3000);
  if (next?.kind === "end") return passed;
  return failed(
    next === null ? "TCP was not ended by the server" : `${shown(next)} came after the close frame`,
  );
}

async function drop(link: Link, how: "fin" | "reset", options: RunOptions): Promise<Outcome> {
  if (how === "reset") link.reset();
  else {
    link.finish();
    if (!(await link.ended(patienceMs))) return failed("the server kept a connection whose client is gone");
  }
  const next = await Link.open(options.url);
  try {
    await next.send(frame(op.text, "alive"), "whole");
    return await see(next, { kind: "text", payload: Buffer.from("alive") }, false);
  } finally {
    next.destroy();
  }
}

function same(one: Seen, other: Seen): boolean {
  if (one.kind !== other.kind) return false;
  if (one.kind === "close") return other.kind === "close" && one.code === other.code;
  return one.kind === "end" || ("payload" in other && one.payload.equals(other.payload));
}

function shown(seen: Seen | null): string {
  if (seen === null) return "nothing";
  if (seen.kind === "end") return "the end of TCP";
  if (seen.kind === "close") return `a close frame with ${seen.code ?? "no code"} "${seen.reason}"`;
  const { length } = seen.payload;
  const start = seen.payload.toString("hex", 0, 16);
  return `a ${seen.kind} of ${length} bytes${length === 0 ? "" : ` (${start}${length > 16 ? "…" : ""})`}`;
}
