/** What a run found, for a terminal and for docs/CONFORMANCE.md. */
import { sectionOf, type Verdict } from "./case.ts";
import type { CaseResult } from "./run-case.ts";

const verdicts: readonly Verdict[] = ["pass", "non-strict", "unimplemented", "fail"];

/** Cases of a verdict. */
export function countOf(results: readonly CaseResult[], verdict: Verdict): number {
  return results.filter((result) => result.verdict === verdict).length;
}

/** `523 cases: 520 pass, 3 non-strict, 0 unimplemented, 0 fail`. */
export function summary(results: readonly CaseResult[]): string {
  const counts = verdicts.map((verdict) => `${countOf(results, verdict)} ${verdict}`);
  return `${results.length} cases: ${counts.join(", ")}`;
}

/** One line for each section, then each case that is no pass with what was seen. */
export function terminalReport(results: readonly CaseResult[]): string {
  const lines = [`${"section".padEnd(16)}${verdicts.map((verdict) => verdict.padStart(14)).join("")}`];
  for (const [section, group] of bySection(results)) {
    const counts = verdicts.map((verdict) => String(countOf(group, verdict)).padStart(14));
    lines.push(`${section.padEnd(16)}${counts.join("")}`);
  }
  const deviating = results.filter(({ verdict }) => verdict !== "pass");
  if (deviating.length > 0) lines.push("");
  for (const { id, verdict, problem, what } of deviating) {
    lines.push(`${verdict.padEnd(14)}${id}: ${what}`, `${" ".repeat(14)}${problem}`);
  }
  return [...lines, "", summary(results)].join("\n");
}

/** A server's results beside its name. */
export interface ServerResults {
  readonly name: string;
  readonly results: readonly CaseResult[];
}

/** A line of the table: a clause with how many cases it has. */
interface Clause {
  readonly section: string;
  readonly must: string;
  readonly ids: ReadonlySet<string>;
}

/**
 * The generated part of docs/CONFORMANCE.md.
 * @param explained why a server deviates, by the beginning of the cases' names.
 * @throws Error for a deviation that nobody explained.
 */
export function markdownReport(
  servers: readonly ServerResults[],
  explained: Readonly<Record<string, readonly Explanation[]>>,
): string {
  const lines = [
    `| clause | what it says | cases | ${servers.map(({ name }) => name).join(" | ")} |`,
    `| --- | --- | --- | ${servers.map(() => "---").join(" | ")} |`,
  ];
  for (const { section, must, ids } of clausesOf(servers[0]?.results ?? [])) {
    const cells = servers.map(({ results }) => cell(results.filter(({ id }) => ids.has(id))));
    lines.push(`| ${section} | ${must.replaceAll("|", "\\|")} | ${ids.size} | ${cells.join(" | ")} |`);
  }
  const sums = servers.map(({ results }) => cell(results));
  lines.push(`| | all | ${servers[0]?.results.length ?? 0} | ${sums.join(" | ")} |`);
  for (const { name, results } of servers) {
    lines.push("", `Deviations of ${name}:`, "", ...deviations(name, results, explained));
  }
  return lines.join("\n");
}

/** Why a server deviates in the cases whose names begin so. */
export interface Explanation {
  readonly ids: readonly string[];
  readonly why: string;
}

function deviations(
  name: string,
  results: readonly CaseResult[],
  explained: Readonly<Record<string, readonly Explanation[]>>,
): string[] {
  const deviating = results.filter(({ verdict }) => verdict !== "pass");
  if (deviating.length === 0) return ["- none"];
  const explanations = explained[name.split(" ")[0] ?? ""] ?? [];
  const isOf = (id: string, { ids }: Explanation): boolean => ids.some((start) => id.startsWith(start));
  const orphan = deviating.find(({ id }) => !explanations.some((each) => isOf(id, each)));
  if (orphan !== undefined)
    throw new Error(`nobody explains ${orphan.verdict} of ${name} in ${orphan.id}: ${orphan.problem}`);
  return explanations.flatMap((each) => {
    const found = deviating.filter(({ id }) => isOf(id, each));
    return found.length === 0 ? [] : [`- ${cell(found)}: ${each.why} (${shownIds(found)})`];
  });
}

function shownIds(results: readonly CaseResult[]): string {
  const ids = results.map(({ id }) => `\`${id}\``);
  return ids.length <= 6 ? ids.join(", ") : `${ids.slice(0, 5).join(", ")} and ${ids.length - 5} more`;
}

/** `pass` where all are, else the counts. */
function cell(results: readonly CaseResult[]): string {
  const counts = verdicts
    .map((verdict) => [countOf(results, verdict), verdict] as const)
    .filter(([count]) => count > 0);
  if (counts.length === 1 && counts[0]?.[1] === "pass") return "pass";
  return counts.map(([count, verdict]) => `${count} ${verdict}`).join(", ");
}

function clausesOf(results: readonly CaseResult[]): Clause[] {
  const clauses = new Map<string, { section: string; must: string; ids: Set<string> }>();
  for (const { id, must } of results) {
    const section = sectionOf(id);
    const clause = clauses.get(`${section} ${must}`) ?? { section, must, ids: new Set() };
    clause.ids.add(id);
    clauses.set(`${section} ${must}`, clause);
  }
  return [...clauses.values()];
}

function bySection(results: readonly CaseResult[]): Map<string, CaseResult[]> {
  const sections = new Map<string, CaseResult[]>();
  for (const result of results) {
    const section = sectionOf(result.id);
    sections.set(section, [...(sections.get(section) ?? []), result]);
  }
  return sections;
}
