/**
 * The stage: comments in lanes over the picture. The upper lanes are for comments that stand at the top, the lowest
 * for those at the bottom, the ones between for those that run, so that none ever covers another.
 */
import { FixedLanes, ScrollLanes, scrollX } from "./danmaku-lanes.ts";
import type { DanmakuMessage } from "./danmaku-message.ts";
import { drawScene } from "./danmaku-scene.ts";
import { wantsLessMotion } from "./elements.ts";

const crossingMs = 8_000;
const holdMs = 4_500;
/** A comment that finds no lane for so long is out of date. */
const patienceMs = 3_000;
const waitingMax = 200;
const fixedLaneCount = 2;
/** Lane height in stage pixels: never below what can be read, never so high that a phone has no lanes. */
const laneHeightMin = 24;
const laneHeightMax = 42;

/** A comment on the stage. `isOwn` may become true while it runs: the reply may come after the publication. */
export interface Comment {
  readonly message: DanmakuMessage;
  isOwn: boolean;
}

interface Placed {
  readonly comment: Comment;
  readonly width: number;
  readonly y: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly isMoving: boolean;
}

export interface StageListener {
  /** How many comments were shown and how many found no room, since the page was opened. */
  onCounts(shown: number, crowded: number): void;
}

export class DanmakuStage {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D | null;
  readonly #listener: StageListener;
  #width = 0;
  #height = 0;
  #laneHeight = laneHeightMin;
  #scroll = new ScrollLanes(1, crossingMs);
  /** With less motion, what would run stands in its lane for a while. */
  #still = new FixedLanes(1, holdMs);
  #top = new FixedLanes(fixedLaneCount, holdMs);
  #bottom = new FixedLanes(fixedLaneCount, holdMs);
  #waiting: { readonly comment: Comment; readonly sinceMs: number }[] = [];
  #placed: Placed[] = [];
  #shown = 0;
  #crowded = 0;

  constructor(canvas: HTMLCanvasElement, listener: StageListener) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#listener = listener;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
    requestAnimationFrame((nowMs) => this.#frame(nowMs));
  }

  /** Queues a comment for the next free lane. */
  add(comment: Comment): void {
    if (document.hidden) return; // Nobody looks, and no frame would take them.
    this.#waiting.push({ comment, sinceMs: performance.now() });
    if (this.#waiting.length > waitingMax) {
      this.#waiting.shift();
      this.#crowded += 1;
    }
  }

  #resize(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    if (clientWidth === this.#width && clientHeight === this.#height) return;
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#canvas.width = Math.round(clientWidth * devicePixelRatio);
    this.#canvas.height = Math.round(clientHeight * devicePixelRatio);
    this.#laneHeight = Math.min(laneHeightMax, Math.max(laneHeightMin, clientHeight / 13));
    const laneCount = Math.max(1, Math.floor(clientHeight / this.#laneHeight) - 2 * fixedLaneCount);
    this.#scroll = new ScrollLanes(laneCount, crossingMs);
    this.#still = new FixedLanes(laneCount, holdMs);
    this.#top = new FixedLanes(fixedLaneCount, holdMs);
    this.#bottom = new FixedLanes(fixedLaneCount, holdMs);
    this.#placed = []; // Their lanes are no more.
  }

  #frame(nowMs: number): void {
    const context = this.#context;
    if (context === null) return;
    const isStill = wantsLessMotion();
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    drawScene(context, this.#width, this.#height, isStill ? 0 : nowMs);
    context.font = `600 ${Math.round(this.#laneHeight * 0.66)}px system-ui, "PingFang SC", "Microsoft YaHei", sans-serif`;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    this.#placeWaiting(context, nowMs, isStill);
    this.#placed = this.#placed.filter((placed) => placed.endMs > nowMs);
    for (const placed of this.#placed) this.#draw(context, placed, nowMs);
    requestAnimationFrame((nextMs) => this.#frame(nextMs));
  }

  #placeWaiting(context: CanvasRenderingContext2D, nowMs: number, isStill: boolean): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) {
      const placed = this.#place(context, each.comment, nowMs, isStill);
      if (placed !== null) {
        this.#placed.push(placed);
        this.#shown += 1;
      } else if (nowMs - each.sinceMs < patienceMs) {
        this.#waiting.push(each);
      } else {
        this.#crowded += 1;
      }
    }
    this.#listener.onCounts(this.#shown, this.#crowded);
  }

  #place(
    context: CanvasRenderingContext2D,
    comment: Comment,
    nowMs: number,
    isStill: boolean,
  ): Placed | null {
    const { mode, text } = comment.message;
    // The frame of an own comment is part of it; its owner may turn out later, so everyone keeps room for it.
    const width = context.measureText(text).width + this.#laneHeight * 0.5;
    const isMoving = mode === "scroll" && !isStill;
    const lane = this.#lane(mode, width, nowMs, isMoving);
    if (lane === null) return null;
    return {
      comment,
      width,
      y: this.#laneMiddle(mode, lane),
      startMs: nowMs,
      endMs: nowMs + (isMoving ? crossingMs : holdMs),
      isMoving,
    };
  }

  #lane(mode: DanmakuMessage["mode"], width: number, nowMs: number, isMoving: boolean): number | null {
    if (mode === "top") return this.#top.place(nowMs);
    if (mode === "bottom") return this.#bottom.place(nowMs);
    return isMoving ? this.#scroll.place(width, this.#width, nowMs) : this.#still.place(nowMs);
  }

  #laneMiddle(mode: DanmakuMessage["mode"], lane: number): number {
    const half = this.#laneHeight / 2;
    if (mode === "bottom") return this.#height - lane * this.#laneHeight - half;
    return (mode === "top" ? lane : lane + fixedLaneCount) * this.#laneHeight + half;
  }

  #draw(context: CanvasRenderingContext2D, placed: Placed, nowMs: number): void {
    const { comment, width, y, startMs, endMs, isMoving } = placed;
    const x = isMoving
      ? scrollX(width, this.#width, (nowMs - startMs) / (endMs - startMs))
      : Math.max(0, (this.#width - width) / 2);
    const padding = this.#laneHeight * 0.25;
    // What is longer than the stage is squeezed where it stands still; running text passes whole.
    const textWidth = isMoving ? width : Math.min(width, this.#width - 2 * padding);
    context.strokeStyle = "rgb(8 10 24 / 85%)";
    context.lineWidth = 4;
    context.strokeText(comment.message.text, x + padding, y, textWidth);
    context.fillStyle = comment.message.color;
    context.fillText(comment.message.text, x + padding, y, textWidth);
    if (!comment.isOwn) return;
    context.strokeStyle = comment.message.color;
    context.lineWidth = 2;
    context.strokeRect(
      x + 1,
      y - this.#laneHeight * 0.44,
      Math.min(width, this.#width) - 2,
      this.#laneHeight * 0.88,
    );
  }
}
