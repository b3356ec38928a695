/* Runs in the report: draws the plots with uPlot, in the colours of the theme, as wide as there is room. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

(() => {
  const { atSeconds, plots, moments } = JSON.parse(document.getElementById("data").textContent);
  const section = document.getElementById("plots");
  const height = 210;
  let charts = [];

  /** Dashed lines where something happened; numbered, and named below. */
  function momentLines(chart) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.strokeStyle = colour("--dim");
    ctx.fillStyle = colour("--dim");
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    for (const [index, { second }] of moments.entries()) {
      const x = chart.valToPos(second, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.fillText(String(index + 1), x + 3 * devicePixelRatio, bbox.top + 11 * devicePixelRatio);
    }
    ctx.restore();
  }

  function draw() {
    for (const chart of charts) chart.destroy();
    section.replaceChildren();
    charts = plots.map(({ title, unit, lines }) => {
      const box = document.createElement("div");
      box.className = "plot";
      const heading = document.createElement("h2");
      heading.textContent = `${title} `;
      const small = document.createElement("small");
      small.textContent = unit;
      heading.append(small);
      box.append(heading);
      section.append(box);
      const axis = {
        stroke: colour("--dim"),
        grid: { stroke: colour("--line"), width: 1 },
        ticks: { stroke: colour("--line"), width: 1 },
      };
      /* On an axis there is no room for 1,000,000. */
      const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });
      const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
      return new uPlot(
        {
          width: box.clientWidth - 16,
          height,
          scales: {
            x: { time: false },
            y: { range: (_chart, _low, high) => [0, high > 0 ? high * 1.08 : 1] },
          },
          axes: [
            { ...axis, values: (_chart, ticks) => ticks.map((tick) => `${tick} s`) },
            { ...axis, size: 62, values: (_chart, ticks) => ticks.map((tick) => short.format(tick)) },
          ],
          series: [
            { label: "second", value: (_chart, value) => (value === null ? "–" : `${value} s`) },
            ...lines.map(({ label }, index) => ({
              label,
              stroke: colour(`--c${index % 4}`),
              width: 1.5,
              spanGaps: false,
              value: (_chart, value) => (value === null ? "–" : number.format(value)),
            })),
          ],
          hooks: { draw: [momentLines] },
        },
        [atSeconds, ...lines.map(({ values }) => values)],
        box,
      );
    });
    if (moments.length === 0) return;
    const list = document.createElement("p");
    list.textContent = moments
      .map(({ second, what }, index) => `${index + 1}: ${what} (${second} s)`)
      .join(" · ");
    section.after(list);
    document.querySelector("p.moments")?.remove();
    list.className = "moments";
  }

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) requestAnimationFrame(draw);
    width = innerWidth;
  });
})();
