/** The figures that every scenario with a swarm has. */
import type { PublishSummary } from "../publishing/publishing.ts";
import type { BooksReport } from "../swarm/subscriber-books.ts";
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
  const count = (name: string, label: string, value: number, better: Figure["better"] = null): Figure => ({
    name,
    label,
    value,
    unit: "",
    better,
  });
  const ms = (name: string, label: string, value: number): Figure => ({
    name,
    label,
    value,
    unit: "ms",
    better: "lower",
  });
  const refused = Object.values(publishing.refused).reduce((sum, each) => sum + each, 0);
  return [
    count("offered", "messages offered", publishing.offered),
    count("accepted", "messages accepted", accepted),
    { ...count("accepted-rate", "accepted", accepted / seconds, "higher"), unit: "/s" },
    count("refused", "messages refused", refused, "lower"),
    count("request-errors", "request errors, timeouts", publishing.errors + publishing.timeouts),
    ms("answer-p50", "publish answer p50", publishing.requestP50Ms),
    ms("answer-p99", "publish answer p99", publishing.requestP99Ms),
    count("delivered", "publications that arrived", deliveries),
    { ...count("delivery-rate", "arrived", deliveries / seconds, "higher"), unit: "/s" },
    count("told-lost", "left out and told", report.toldLost),
    count("missing", "missing", report.missing, "lower"),
    count("duplicates", "twice", report.duplicates, "lower"),
    count("reordered", "out of order", report.reordered, "lower"),
    count("moved", "at another position", report.moved, "lower"),
    count("unconfirmed", "arrived unconfirmed", report.unconfirmed),
    count(
      "reconnects",
      "reconnects",
      timeline.sum((totals) => totals.reconnects),
    ),
    ms("latency-p50", "latency p50", p50),
    ms("latency-p99", "latency p99", p99),
    ms("latency-p999", "latency p99.9", p999),
    ms("latency-max", "latency max", max),
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
