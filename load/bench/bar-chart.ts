/** A horizontal bar chart as SVG text: medians as bars, the range of the runs as whiskers. Reads on light and dark. */
import { readable } from "./statistics.ts";

export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Written behind the value, such as the latency. */
  readonly note?: string;
  /** Ours. */
  readonly isOwn: boolean;
}

export interface BarChart {
  readonly title: string;
  /** Of the axis, with the direction that is better. */
  readonly unit: string;
  readonly bars: readonly Bar[];
}

const chartWidth = 900;
const labelWidth = 210;
const noteWidth = 260;
const rowHeight = 30;
const barHeight = 16;
const topHeight = 56;

/** Text that XML would take for markup is escaped. */
export function barChartSvg({ title, unit, bars }: BarChart): string {
  const plotWidth = chartWidth - labelWidth - noteWidth;
  const most = Math.max(...bars.map(({ high }) => high).filter(Number.isFinite), Number.MIN_VALUE);
  const x = (value: number): number => labelWidth + (Math.max(0, value) / most) * plotWidth;
  const height = topHeight + bars.length * rowHeight + 14;
  const rows = bars.map((bar, row) => {
    const top = topHeight + row * rowHeight;
    const middle = top + barHeight / 2;
    const end = Number.isFinite(bar.value) ? x(bar.value) : labelWidth;
    const note = bar.note === undefined ? "" : ` <tspan class="note">${escaped(bar.note)}</tspan>`;
    return [
      `<text class="label" x="${labelWidth - 10}" y="${middle + 4}" text-anchor="end">${escaped(bar.label)}</text>`,
      `<rect class="${bar.isOwn ? "own" : "peer"}" x="${labelWidth}" y="${top}" width="${round(end - labelWidth)}" height="${barHeight}" rx="2"/>`,
      bar.high > bar.low
        ? `<path class="range" d="M${round(x(bar.low))} ${middle}H${round(x(bar.high))}M${round(x(bar.low))} ${middle - 4}v8M${round(x(bar.high))} ${middle - 4}v8"/>`
        : "",
      `<text x="${round(x(Math.max(bar.high, bar.value)) + 8)}" y="${middle + 4}">${readable(bar.value)}${note}</text>`,
    ].join("");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${chartWidth}" height="${height}" viewBox="0 0 ${chartWidth} ${height}" role="img">
<title>${escaped(title)}</title>
<style>text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}.unit,.note{fill:#6e7781}.own{fill:#0969da}.peer{fill:#afb8c1}.range{stroke:#57606a;fill:none}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.unit,.note{fill:#8b949e}.own{fill:#58a6ff}.peer{fill:#484f58}.range{stroke:#8b949e}}</style>
<text class="title" x="12" y="22">${escaped(title)}</text>
<text class="unit" x="12" y="41">${escaped(unit)}</text>
${rows.join("\n")}
</svg>
`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
