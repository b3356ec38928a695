/** The picture of `polling-vs-push` for the README: one panel a quantity, one bar a variant. Reads on light and dark. */
import { escaped } from "../report/report-html.ts";
import { numberText } from "../run/load-result.ts";
import { wireBytes, type Variant } from "./variant.ts";

const width = 900;
const labelWidth = 236;
const panelGap = 26;
const rowHeight = 26;
const top = 74;

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly value: (variant: Variant) => number;
}

export function pollingChartSvg(variants: readonly Variant[], title: string): string {
  const panels: readonly Panel[] = [
    { title: "age on arrival, median", unit: "ms", value: ({ age }) => age.p50 },
    {
      title: "on the wire",
      unit: "MB/s",
      value: (variant) => wireBytes(variant) / variant.elapsedSec / 1_000_000,
    },
    {
      title: "server CPU",
      unit: "% of a core",
      value: ({ cpuSec, elapsedSec }) => (cpuSec / elapsedSec) * 100,
    },
  ];
  const panelWidth = (width - labelWidth - 16) / panels.length - panelGap;
  const height = top + variants.length * rowHeight + 10;
  const labels = variants.map(
    ({ label }, row) =>
      `<text x="${labelWidth - 12}" y="${top + row * rowHeight + 13}" text-anchor="end">${escaped(label)}</text>`,
  );
  const drawn = panels.map((panel, place) => {
    const left = labelWidth + place * (panelWidth + panelGap);
    const most = Math.max(...variants.map((variant) => panel.value(variant)), Number.MIN_VALUE);
    const bars = variants.map((variant, row) => {
      const value = panel.value(variant);
      // Room for the figure behind the longest bar.
      const length = Math.max(1, (value / most) * (panelWidth - 48));
      const y = top + row * rowHeight;
      const kind = variant.name.startsWith("push") ? "own" : "peer";
      return `<rect class="${kind}" x="${left}" y="${y}" width="${length.toFixed(1)}" height="17" rx="2"/><text x="${(left + length + 6).toFixed(1)}" y="${y + 13}">${numberText(value)}</text>`;
    });
    return `<text class="head" x="${left}" y="${top - 14}">${panel.title} <tspan class="dim">${panel.unit}</tspan></text>${bars.join("")}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(title)}</title>
<style>text{font:13px system-ui,"Noto Sans",sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}.head{font-weight:600}.dim{fill:#6e7781;font-weight:400}.own{fill:#0969da}.peer{fill:#afb8c1}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#8b949e}.own{fill:#58a6ff}.peer{fill:#484f58}}</style>
<text class="title" x="12" y="24">${escaped(title)}</text>
${labels.join("\n")}
${drawn.join("\n")}
</svg>
`;
}
