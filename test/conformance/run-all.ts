/** Runs many cases against one server: the light ones several at a time, the heavy ones alone. */
import type { Case } from "./case.ts";
import { runCase, type CaseResult, type RunOptions } from "./run-case.ts";

const lightAtOnce = 8;

/**
 * Results in the order of `cases`.
 * @param onResult called for each when it is there.
 * @throws Error when the server cannot be reached.
 */
export async function runAll(
  cases: readonly Case[],
  options: RunOptions,
  onResult: (result: CaseResult) => void = () => undefined,
): Promise<CaseResult[]> {
  const results = new Map<string, CaseResult>();
  const work = async (queue: Case[]): Promise<void> => {
    for (let each = queue.shift(); each !== undefined; each = queue.shift()) {
      const result = await runCase(each, options);
      results.set(each.id, result);
      onResult(result);
    }
  };
  const light = cases.filter(({ isHeavy }) => isHeavy !== true);
  await Promise.all(Array.from({ length: lightAtOnce }, () => work(light)));
  await work(cases.filter(({ isHeavy }) => isHeavy === true));
  return cases.map(({ id }) => results.get(id)!);
}
