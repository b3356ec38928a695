/* Runs in the page: draws each panel at its place of the grid, with uPlot for curves. */
(() => {
  const { atSeconds, panels } = JSON.parse(document.getElementById("data").textContent);
  const section = document.getElementById("panels");
  const style = getComputedStyle(document.documentElement);
  /* Grafana's classic palette, which a theme does not change. */
  const palette = ["#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0"];
  const named = { green: "#56a64b", orange: "#ff780a", red: "#e02f44" };

  function scaled(value, units, base) {
    let index = 0;
    let rest = value;
    while (Math.abs(rest) >= base && index < units.length - 1) {
      rest /= base;
      index++;
    }
    return `${digits(rest)}${units[index]}`;
  }

  function digits(value) {
    const size = Math.abs(value);
    return value.toLocaleString("en-US", { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : 2 });
  }

  function seconds(value) {
    const size = Math.abs(value);
    if (size === 0) return "0 s";
    if (size < 0.001) return `${digits(value * 1e6)} µs`;
    if (size < 1) return `${digits(value * 1000)} ms`;
    if (size < 120) return `${digits(value)} s`;
    return `${digits(value / 60)} min`;
  }

  /* As Grafana writes its units. */
  const writers = {
    short: (value) => scaled(value, ["", " K", " Mil"], 1000),
    cps: (value) => scaled(value, [" c/s", "K c/s", "M c/s"], 1000),
    reqps: (value) => scaled(value, [" req/s", "K req/s"], 1000),
    Bps: (value) => scaled(value, [" B/s", " kB/s", " MB/s", " GB/s"], 1000),
    bytes: (value) => scaled(value, [" B", " KiB", " MiB", " GiB"], 1024),
    percentunit: (value) => `${digits(value * 100)}%`,
    s: seconds,
  };

  const powersOfTwo = Array.from({ length: 50 }, (_, power) => 2 ** power);

  function last(values) {
    return values.findLast((value) => value !== null) ?? null;
  }

  function addElement(parent, name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className !== undefined) made.className = className;
    parent.append(made);
    return made;
  }

  function statValue({ panel, lines }, write) {
    const { defaults } = panel.fieldConfig;
    const value = last(lines[0].values);
    const mapped = (defaults.mappings ?? []).map(({ options }) => options[String(value)]).find(Boolean);
    const steps = defaults.thresholds?.steps ?? [];
    const step = steps.findLast((each) => each.value === null || value >= each.value);
    const isNamed = panel.options?.textMode === "value_and_name";
    const text = isNamed
      ? lines.map((each) => `${each.label}: ${write(last(each.values))}`).join(" · ")
      : (mapped?.text ?? write(value));
    return { text, colour: named[step?.color] ?? "inherit" };
  }

  function thresholdLines(defaults) {
    if (defaults.custom?.thresholdsStyle?.mode !== "dashed") return [];
    const steps = defaults.thresholds?.steps ?? [];
    return steps.filter(({ value }) => value !== null);
  }

  function drawCurves(box, { panel, lines }, write) {
    const { defaults } = panel.fieldConfig;
    const chart = addElement(box, "div", undefined, "chart");
    const keys = addElement(box, "div", undefined, "keys");
    /* Grafana does as the panel says: what stayed at zero is not named. */
    const hidesZeros = panel.fieldConfig.overrides.some(
      ({ matcher }) => matcher.options.reducer === "allIsZero",
    );
    for (const [index, { label, values }] of lines.entries()) {
      if (hidesZeros && values.every((value) => !value)) continue;
      const key = addElement(keys, "span");
      addElement(key, "i").style.background = palette[index % palette.length];
      key.append(label);
      const value = last(values);
      addElement(key, "b", value === null ? "" : ` ${write(value)}`);
    }
    const steps = thresholdLines(defaults);
    const line = style.getPropertyValue("--line").trim();
    const axis = {
      stroke: style.getPropertyValue("--dim").trim(),
      grid: { stroke: line, width: 1 },
      ticks: { stroke: line, width: 1 },
      font: "11px system-ui, sans-serif",
    };
    const options = {
      width: chart.clientWidth,
      height: chart.clientHeight,
      legend: { show: false },
      scales: {
        y: {
          range: (_chart, low, high) => [defaults.min ?? low, defaults.max ?? (high > 0 ? high * 1.06 : 1)],
        },
      },
      axes: [
        { ...axis, size: 24 },
        {
          ...axis,
          size: 66,
          ...(defaults.unit === "bytes" ? { incrs: powersOfTwo } : {}),
          values: (_chart, ticks) => ticks.map((tick) => write(tick)),
        },
      ],
      series: [
        {},
        ...lines.map((_, index) => ({
          stroke: palette[index % palette.length],
          fill: `${palette[index % palette.length]}1a`,
          width: 1.3,
          points: { show: false },
        })),
      ],
      hooks: {
        draw: [
          ({ ctx, bbox, valToPos }) => {
            for (const { value, color } of steps) {
              const y = valToPos(value, "y", true);
              if (y < bbox.top || y > bbox.top + bbox.height) continue;
              ctx.save();
              ctx.strokeStyle = named[color];
              ctx.setLineDash([8, 6]);
              ctx.beginPath();
              ctx.moveTo(bbox.left, y);
              ctx.lineTo(bbox.left + bbox.width, y);
              ctx.stroke();
              ctx.restore();
            }
          },
        ],
      },
    };
    return new uPlot(options, [atSeconds, ...lines.map(({ values }) => values)], chart);
  }

  for (const drawn of panels) {
    const { type, title, gridPos, fieldConfig } = drawn.panel;
    const box = addElement(section, "div", undefined, type === "row" ? "row" : "panel");
    box.style.gridArea = `${gridPos.y + 1} / ${gridPos.x + 1} / span ${gridPos.h} / span ${gridPos.w}`;
    if (type === "row") {
      box.textContent = title;
      continue;
    }
    addElement(box, "h3", title);
    const isEmpty = drawn.lines.every(({ values }) => values.every((value) => value === null));
    if (isEmpty) {
      addElement(box, "p", "No data", "empty");
      continue;
    }
    const write =
      writers[fieldConfig.defaults.unit] ?? ((value) => `${digits(value)} ${fieldConfig.defaults.unit}`);
    if (type === "stat") {
      const { text, colour } = statValue(drawn, write);
      addElement(box, "div", text, "stat").style.color = colour;
    } else drawCurves(box, drawn, write);
  }
})();
