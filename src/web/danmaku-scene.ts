/** The moving picture under the comments, drawn by hand: a night train along the hills. No video, no image file. */

interface Layer {
  readonly base: number;
  readonly height: number;
  /** Stage widths per minute. */
  readonly speed: number;
  readonly waves: readonly (readonly [length: number, share: number])[];
  readonly color: string;
}

const layers: readonly Layer[] = [
  {
    base: 0.66,
    height: 0.2,
    speed: 0.35,
    waves: [
      [1.1, 0.6],
      [0.37, 0.4],
    ],
    color: "#232f55",
  },
  {
    base: 0.76,
    height: 0.16,
    speed: 0.9,
    waves: [
      [0.8, 0.7],
      [0.23, 0.3],
    ],
    color: "#1a2342",
  },
  {
    base: 0.9,
    height: 0.1,
    speed: 3.2,
    waves: [
      [0.55, 0.8],
      [0.17, 0.2],
    ],
    color: "#0f1630",
  },
];
const starCount = 90;
const trackHeight = 0.86;
const carriageCount = 5;

/** Draws the scene as it is at `timeMs`. The same time gives the same picture, so a still one needs no state. */
export function drawScene(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  timeMs: number,
): void {
  const sky = context.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, "#0c1230");
  sky.addColorStop(0.55, "#2b3566");
  sky.addColorStop(0.82, "#7d5a78");
  sky.addColorStop(1, "#c98a6b");
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);
  drawStars(context, width, height, timeMs);
  drawMoon(context, width, height);
  for (const layer of layers.slice(0, 2)) drawHills(context, width, height, layer, timeMs);
  drawTrain(context, width, height, timeMs);
  for (const layer of layers.slice(2)) drawHills(context, width, height, layer, timeMs);
}

function drawStars(context: CanvasRenderingContext2D, width: number, height: number, timeMs: number): void {
  context.fillStyle = "#f4ecd8";
  for (let star = 0; star < starCount; star += 1) {
    // Irrational steps spread points evenly without a table of random numbers.
    const x = ((star * 0.618034) % 1) * width;
    const y = ((star * 0.754878) % 1) * height * 0.6;
    context.globalAlpha = 0.35 + 0.3 * Math.sin(timeMs / 900 + star * 1.7);
    context.fillRect(x, y, star % 7 === 0 ? 2 : 1.2, star % 7 === 0 ? 2 : 1.2);
  }
  context.globalAlpha = 1;
}

function drawMoon(context: CanvasRenderingContext2D, width: number, height: number): void {
  context.fillStyle = "#f3e3b8";
  context.beginPath();
  context.arc(width * 0.78, height * 0.24, height * 0.075, 0, Math.PI * 2);
  context.fill();
}

function drawHills(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  layer: Layer,
  timeMs: number,
): void {
  const shift = (timeMs / 60_000) * layer.speed;
  context.fillStyle = layer.color;
  context.beginPath();
  context.moveTo(0, height);
  for (let x = 0; x <= width + 8; x += 8) {
    let rise = 0;
    for (const [length, share] of layer.waves) {
      rise += share * (0.5 + 0.5 * Math.sin(((x / width + shift) / length) * Math.PI * 2));
    }
    context.lineTo(x, height * (layer.base - layer.height * rise * 0.9));
  }
  context.lineTo(width, height);
  context.closePath();
  context.fill();
}

function drawTrain(context: CanvasRenderingContext2D, width: number, height: number, timeMs: number): void {
  const y = height * trackHeight;
  const carriageLength = Math.max(46, width * 0.085);
  const carriageHeight = carriageLength * 0.27;
  drawViaduct(context, width, height, timeMs);
  const way = width + carriageLength * (carriageCount + 3);
  const front = ((timeMs / 26_000 + 0.62) % 1.25) * way;
  for (let carriage = 0; carriage < carriageCount; carriage += 1) {
    const x = front - (carriage + 1) * carriageLength;
    context.fillStyle = carriage === 0 ? "#a5402d" : "#8d3527";
    context.beginPath();
    context.roundRect(x, y - carriageHeight, carriageLength * 0.95, carriageHeight * 0.86, [
      3,
      carriage === 0 ? carriageHeight * 0.6 : 3,
      2,
      2,
    ]);
    context.fill();
    context.fillStyle = "#ffdf94";
    for (let window = 0; window < 5; window += 1) {
      context.fillRect(
        x + carriageLength * (0.09 + window * 0.16),
        y - carriageHeight * 0.76,
        carriageLength * 0.1,
        carriageHeight * 0.34,
      );
    }
  }
}

function drawViaduct(context: CanvasRenderingContext2D, width: number, height: number, timeMs: number): void {
  const y = height * trackHeight;
  context.fillStyle = "#141b36";
  context.fillRect(0, y - height * 0.012, width, height * 0.022);
  const span = width / 9;
  const offset = ((timeMs / 60_000) * 1.6 * width) % span;
  for (let x = -offset; x < width + span; x += span) context.fillRect(x, y, span * 0.1, height * 0.2);
}
