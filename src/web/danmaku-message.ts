/** What a danmaku comment is on the wire, read liberally: anybody may publish anything. */
import { plainText } from "./plain-text.ts";

/** Longest comment in code points. */
export const danmakuLengthMax = 80;

type DanmakuMode = "scroll" | "top" | "bottom";

export interface DanmakuMessage {
  readonly text: string;
  /** `#rrggbb`. */
  readonly color: string;
  readonly mode: DanmakuMode;
}

/** @returns null for what has no text to show. A bare string is a white scrolling comment. */
export function readDanmaku(data: unknown): DanmakuMessage | null {
  if (typeof data === "string") return withText(data, "#ffffff", "scroll");
  if (typeof data !== "object" || data === null) return null;
  const { text, color, mode }: { text?: unknown; color?: unknown; mode?: unknown } = data;
  if (typeof text !== "string") return null;
  const isColor = typeof color === "string" && /^#[0-9a-f]{6}$/i.test(color);
  return withText(text, isColor ? color : "#ffffff", mode === "top" || mode === "bottom" ? mode : "scroll");
}

function withText(text: string, color: string, mode: DanmakuMode): DanmakuMessage | null {
  const line = plainText(text, danmakuLengthMax);
  return line === "" ? null : { text: line, color, mode };
}
