/** The screen of `tapecast top`: lines of plain text for a size. Nothing here knows a terminal. */
import type { ListedConnection, ListedTopic } from "../primary/inspector.ts";
import { shortened, textTable, type TextColumn } from "./text-table.ts";
import type { TopView, WorkerLine } from "./top-figures.ts";

export interface ScreenSize {
  readonly columns: number;
  /** Infinity: as many as it takes, with `listRows` of each list. */
  readonly rows: number;
}

/** A line, and what it is: headings and what is wrong may be shown in their own way. */
export interface ScreenLine {
  readonly text: string;
  readonly kind: "plain" | "heading" | "alarm";
}

export interface ScreenTexts {
  readonly url: string;
  readonly time: string;
  /** The last line; empty for none. */
  readonly keys: string;
}

const unknown = "–";
/** Rows of each list where the screen has no end. */
const listRows = 10;

/** The lines from top to bottom; the lists are cut so that all fit into `rows`. */
export function topScreen(view: TopView, { columns, rows }: ScreenSize, texts: ScreenTexts): ScreenLine[] {
  const head = headLines(view, texts);
  const foot: ScreenLine[] = texts.keys === "" ? [] : [{ text: texts.keys, kind: "plain" }];
  const { workers } = view;
  // Of the rest, a third at most for the workers; the two lists share what is left, a blank line and two headings each.
  const rest = rows - head.length - foot.length;
  const workerRows = Math.min(workers.length, Number.isFinite(rest) ? Math.max(1, Math.floor(rest / 3)) : 64);
  const left = rest - workerRows - 2;
  const rowsOf = (share: number): number =>
    Number.isFinite(left) ? Math.max(0, Math.floor(left * share) - 3) : listRows;
  const topicRows = Math.min(rowsOf(0.5), view.topicPage.items.length);
  const connectionRows = Number.isFinite(left) ? Math.max(0, left - topicRows - 6) : listRows;
  const lines: ScreenLine[] = [
    ...head,
    { text: "", kind: "plain" },
    ...table(
      workerColumns,
      workers.slice(0, workerRows),
      columns,
      ({ problem, state }) => problem !== null && state === "ready",
    ),
    { text: "", kind: "plain" },
    listTitle("topic", view.topicPage.sort, view.topicPage.total),
    ...table(topicColumns, view.topicPage.items.slice(0, topicRows), columns, () => false),
    { text: "", kind: "plain" },
    listTitle("connection", view.connectionPage.sort, view.connectionPage.total),
    ...table(connectionColumns, view.connectionPage.items.slice(0, connectionRows), columns, () => false),
  ];
  const bodyRows = Math.max(0, rows - foot.length);
  const body = Number.isFinite(rows) ? lines.slice(0, bodyRows) : lines;
  // The keys stand at the bottom.
  while (foot.length > 0 && body.length < bodyRows && Number.isFinite(rows))
    body.push({ text: "", kind: "plain" });
  return [...body, ...foot].map(({ text, kind }) => ({ text: shortened(text, columns), kind }));
}

function headLines(view: TopView, { url, time }: ScreenTexts): ScreenLine[] {
  const missing = [...view.connectionPage.missing, ...view.topicPage.missing];
  const silent = [...new Map(missing.map(({ worker, reason }) => [worker, reason]))];
  const alarms = [
    ...(view.workersReady < view.workersConfigured ? ["a worker is not ready"] : []),
    ...(view.brokerReady ? [] : ["the broker is away"]),
    ...silent.map(([worker, reason]) => `worker ${worker} is missing in the lists: ${reason}`),
  ];
  return [
    { text: `tapecast ${view.version}  ${url}  ${time}`, kind: "heading" },
    {
      text:
        `workers ${view.workersReady} of ${view.workersConfigured}   connections ${count(view.connections)} ` +
        `(+${rate(view.openedPerSec)} -${rate(view.closedPerSec)})   subscriptions ${count(view.subscriptions)}`,
      kind: "plain",
    },
    {
      text:
        `publications ${rate(view.publicationsPerSec)}   deliveries ${rate(view.deliveriesPerSec)}   ` +
        `writes ${rate(view.writesPerSec)}   sent ${bytes(view.sentBytesPerSec)}/s`,
      kind: "plain",
    },
    {
      text:
        `publish to write p50 ${seconds(view.publishToWriteMedianSec)}, p99 ${seconds(view.publishToWriteP99Sec)}   ` +
        `window ${seconds(view.windowSec)}` +
        (view.brokerLagSec === null ? "" : `   Redis ${seconds(view.brokerLagSec)}`),
      kind: "plain",
    },
    {
      text:
        `slow readers ${count(view.lagging)} (closed ${rate(view.slowClosedPerSec)})   ` +
        `conflated ${rate(view.conflatedPerSec)}   sampled out ${rate(view.sampledOutPerSec)}   gaps ${rate(view.gapsPerSec)}`,
      kind: "plain",
    },
    ...alarms.map((text) => ({ text: `! ${text}`, kind: "alarm" as const })),
  ];
}

const workerColumns: readonly TextColumn<WorkerLine>[] = [
  { title: "WORKER", align: "left", text: ({ worker }) => worker },
  { title: "PID", align: "right", text: ({ pid }) => (pid === null ? unknown : String(pid)) },
  { title: "CONN", align: "right", text: ({ connections }) => count(connections) },
  { title: "SUBS", align: "right", text: ({ subscriptions }) => count(subscriptions) },
  { title: "TOPICS", align: "right", text: ({ topics }) => count(topics) },
  { title: "SLOW", align: "right", text: ({ lagging }) => count(lagging) },
  { title: "DELIV", align: "right", text: ({ deliveriesPerSec }) => rate(deliveriesPerSec) },
  { title: "CPU", align: "right", text: ({ cpuShare }) => share(cpuShare) },
  { title: "LATE", align: "right", text: ({ loopDelaySec }) => seconds(loopDelaySec) },
  { title: "MEM", align: "right", text: ({ memoryBytes }) => bytes(memoryBytes) },
  { title: "STATE", align: "left", text: ({ state, problem }) => problem ?? state, shrinks: true },
];

const topicColumns: readonly TextColumn<ListedTopic>[] = [
  { title: "TOPIC", align: "left", text: ({ topic }) => topic, shrinks: true },
  { title: "DELIVERY", align: "left", text: ({ delivery }) => delivery },
  { title: "SUBS", align: "right", text: ({ subscribers }) => count(subscribers) },
  { title: "SLOW", align: "right", text: ({ lagging }) => count(lagging) },
  { title: "RATE", align: "right", text: ({ ratePerSec }) => rate(ratePerSec) },
  { title: "AGE", align: "right", text: ({ ageMs }) => seconds(ageMs === null ? null : ageMs / 1000) },
];

const connectionColumns: readonly TextColumn<ListedConnection>[] = [
  {
    title: "ADDRESS",
    align: "left",
    text: ({ address }) => (address === "" ? "unix" : address),
    shrinks: true,
  },
  { title: "W", align: "right", text: ({ worker }) => String(worker) },
  { title: "PATH", align: "left", text: ({ endpoint, compressed }) => endpoint + (compressed ? " z" : "") },
  { title: "TOPICS", align: "right", text: ({ topics }) => count(topics) },
  { title: "EVERY", align: "right", text: ({ rateClassesMs }) => rateClassesMs.join(",") || unknown },
  { title: "PENDING", align: "right", text: ({ pendingBytes }) => bytes(pendingBytes) },
  { title: "STUCK", align: "right", text: ({ pendingAgeMs }) => seconds(pendingAgeMs / 1000) },
  { title: "SENT", align: "right", text: ({ sentBytes }) => bytes(sentBytes) },
  { title: "SILENT", align: "right", text: ({ silentMs }) => seconds(silentMs / 1000) },
  { title: "OPEN", align: "right", text: ({ ageMs }) => seconds(ageMs / 1000) },
];

function table<Row>(
  columns: readonly TextColumn<Row>[],
  rows: readonly Row[],
  width: number,
  isAlarming: (row: Row) => boolean,
): ScreenLine[] {
  return textTable(columns, rows, width).map((text, index) => {
    const row = rows[index - 1];
    if (row === undefined) return { text, kind: "heading" };
    return { text, kind: isAlarming(row) ? "alarm" : "plain" };
  });
}

function listTitle(what: string, sort: string, total: number): ScreenLine {
  return { text: `${count(total)} ${what}${total === 1 ? "" : "s"}, by ${sort}`, kind: "plain" };
}

/** `12,345`; from a million on `1.23M`. */
export function count(value: number | null): string {
  if (value === null) return unknown;
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)}G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  return Math.round(value).toLocaleString("en-US");
}

/** Per second: small ones with a decimal. */
export function rate(value: number | null): string {
  if (value === null) return unknown;
  return value > 0 && value < 10 ? `${value.toFixed(1)}/s` : `${count(value)}/s`;
}

/** In steps of a thousand, as the columns of `top` have room for. */
export function bytes(value: number | null): string {
  if (value === null) return unknown;
  if (value < 1000) return `${Math.round(value)} B`;
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} kB`;
  if (value < 1e9) return `${(value / 1e6).toFixed(1)} MB`;
  return `${(value / 1e9).toFixed(2)} GB`;
}

/** A duration in seconds, from a tenth of a millisecond to hours. */
export function seconds(value: number | null): string {
  if (value === null) return unknown;
  if (value === 0) return "0";
  if (value < 0.01) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 100) return `${value.toFixed(1)} s`;
  if (value < 6000) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

function share(value: number | null): string {
  return value === null ? unknown : `${Math.round(value * 100)}%`;
}
