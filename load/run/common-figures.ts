/** The figures that every scenario with a swarm has. */
import type { PublishSummary } from "../publishing/publishing.ts";
import type { BooksReport } from "../swarm/subscriber-books.ts";
import { countFigure, msFigure } from "./figure-kinds.ts";
import type { Figure } from "./load-result.ts";
import type { Timeline } from "./timeline.ts";

export function commonFigures(
  timeline: Timeline,
  publishing: PublishSummary,
  report: BooksReport,
  accepted: number,
  seconds: number,
): Figure[] {
  const { p50, p99, p999, max } = timeline.latency.summary();
  const deliveries = timeline.sum(({ publications }) => publications);
  const { cpuSec } = timeline;
  const memory = timeline.residentMibs;
  const refused = Object.values(publishing.refused).reduce((sum, each) => sum + each, 0);
  return [
    countFigure("offered", "messages offered", publishing.offered),
    countFigure("accepted", "messages accepted", accepted),
    { ...countFigure("accepted-rate", "accepted", accepted / seconds, "higher"), unit: "/s" },
    countFigure("refused", "messages refused", refused, "lower"),
    countFigure("request-errors", "request errors, timeouts", publishing.errors + publishing.timeouts),
    msFigure("answer-p50", "publish answer p50", publishing.requestP50Ms),
    msFigure("answer-p99", "publish answer p99", publishing.requestP99Ms),
    countFigure("delivered", "publications that arrived", deliveries),
    { ...countFigure("delivery-rate", "arrived", deliveries / seconds, "higher"), unit: "/s" },
    countFigure("told-lost", "left out and told", report.toldLost),
    countFigure("missing", "missing", report.missing, "lower"),
    countFigure("duplicates", "twice", report.duplicates, "lower"),
    countFigure("reordered", "out of order", report.reordered, "lower"),
    countFigure("moved", "at another position", report.moved, "lower"),
    countFigure("unconfirmed", "arrived unconfirmed", report.unconfirmed),
    countFigure(
      "reconnects",
      "reconnects",
      timeline.sum((totals) => totals.reconnects),
    ),
    msFigure("latency-p50", "latency p50", p50),
    msFigure("latency-p99", "latency p99", p99),
    msFigure("latency-p999", "latency p99.9", p999),
    msFigure("latency-max", "latency max", max),
    {
      name: "bytes-per-publication",
      label: "bytes on the socket for each",
      value: deliveries === 0 ? null : timeline.sum(({ bytesRead }) => bytesRead) / deliveries,
      unit: "bytes",
      better: "lower",
    },
    {
      name: "server-cpu",
      label: "server CPU",
      value: cpuSec === null ? null : (cpuSec / Math.max(1, timeline.atSeconds.at(-1) ?? 1)) * 100,
      unit: "% of a core",
      better: "lower",
    },
    {
      name: "cpu-per-publication",
      label: "server CPU for each",
      value: cpuSec === null || deliveries === 0 ? null : (cpuSec * 1_000_000) / deliveries,
      unit: "µs",
      better: "lower",
    },
    {
      name: "server-memory",
      label: "server memory, at most",
      value: memory.length === 0 ? null : Math.max(...memory),
      unit: "MiB",
      better: "lower",
    },
  ];
}
