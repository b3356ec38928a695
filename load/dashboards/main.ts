/**
 * `npm run dashboards`: the dashboards of grafana/dashboards as pictures, one HTML file each, without a Grafana: from a
 * Prometheus that is there, or from a cluster of its own under load.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";

import { exitCode } from "../../src/cli/exit-code.ts";
import { createProgress } from "../../src/cli/progress.ts";
import { exitInterrupted, interruptible } from "../run/run-scenario.ts";
import { atLeastOne } from "../run/scenario-flags.ts";
import { runProgram } from "../run-program.ts";
import { readDashboards } from "./dashboard.ts";
import { DemoCluster } from "./demo-cluster.ts";
import { drawDashboard } from "./draw-dashboard.ts";
import { scrapeSec } from "./own-prometheus.ts";
import { PrometheusApi } from "./prometheus-api.ts";

interface Flags {
  readonly prometheus?: string;
  readonly seconds: number;
  readonly scrapeSec: number;
  readonly out: string;
}

/** Points of a curve, at most about. */
const pointsMax = 240;

const program = new Command("npm run dashboards --")
  .usage("[options]")
  .description(
    "Draws every dashboard of grafana/dashboards as one HTML file. Without --prometheus it starts two servers, a Redis " +
      "and a Prometheus on free ports, loads them, and ends them. Exits with 1 when a panel has nothing to show.",
  )
  .option("--prometheus <url>", "draw what this Prometheus knows; nothing is started", httpUrl)
  .option("--seconds <n>", "how much time the panels show, up to now", atLeastOne, 60)
  .option("--scrape-sec <n>", "with --prometheus: seconds between two scrapes", atLeastOne, 5)
  .option("--out <folder>", "where the pages go", "load/results/dashboards")
  .showHelpAfterError("(add --help for what is possible)")
  .exitOverride()
  .action(async (flags: Flags) => {
    process.exitCode = await interruptible((interrupted) =>
      flags.prometheus === undefined
        ? drawOwn(flags, interrupted)
        : draw(flags.prometheus, flags.scrapeSec, flags),
    );
  });

await runProgram(program);

async function drawOwn(flags: Flags, interrupted: AbortSignal): Promise<number> {
  const cluster = await DemoCluster.start();
  const progress = createProgress("two servers under load, seconds", flags.seconds);
  try {
    const onSecond = (second: number): void => progress.update(second);
    const code = await cluster.load(flags.seconds, interrupted, onSecond, () =>
      draw(cluster.prometheusUrl, scrapeSec, flags),
    );
    return code ?? exitInterrupted;
  } finally {
    progress.stop();
    await cluster.stop();
  }
}

async function draw(url: string, scrapeSec: number, { seconds, out }: Flags): Promise<number> {
  const api = new PrometheusApi(url);
  const end = Math.floor(Date.now() / 1000);
  const range = { start: end - seconds, end, step: Math.max(1, Math.ceil(seconds / pointsMax)) };
  mkdirSync(out, { recursive: true });
  let empty = 0;
  for (const dashboard of readDashboards()) {
    const drawn = await drawDashboard(dashboard, api, range, scrapeSec);
    const file = join(out, `${dashboard.uid}.html`);
    writeFileSync(file, drawn.html);
    console.log(`${file}: ${drawn.answered} of ${drawn.queries} queries have data`);
    for (const title of drawn.empty) console.log(`  nothing to show: ${title}`);
    empty += drawn.empty.length;
  }
  return empty === 0 ? exitCode.ok : exitCode.failed;
}

function httpUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/u.test(new URL(text).protocol))
    throw new InvalidArgumentError("an address such as http://127.0.0.1:9090");
  return text.replace(/\/$/u, "");
}
