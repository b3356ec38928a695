/** Progress of something that takes long, on a terminal only: standard error, so that output can be piped. */
import { SingleBar } from "cli-progress";

/** A running display. */
export interface Progress {
  update(count: number): void;
  /** Prints a line without tearing the display. */
  note(line: string): void;
  stop(): void;
}

/** Redraws no more often than this. */
const redrawMs = 100;

/** @param total null when nobody knows how much there is: then a count and a rate are shown. */
export function createProgress(label: string, total: number | null): Progress {
  if (!process.stderr.isTTY) return { update: () => undefined, note: noteLine, stop: () => undefined };
  return total === null ? countProgress(label) : barProgress(label, total);
}

/** A line on standard error, above whatever display runs there: that draws itself anew. */
export function noteLine(line: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${line}\n` : `${line}\n`);
}

function barProgress(label: string, total: number): Progress {
  const bar = new SingleBar({
    format: `${label} [{bar}] {value}/{total}, {eta_formatted} left`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    fps: 1000 / redrawMs,
  });
  bar.start(total, 0);
  return {
    update: (count) => bar.update(count),
    note: noteLine,
    stop: () => bar.stop(),
  };
}

function countProgress(label: string): Progress {
  const startMs = performance.now();
  let drawnMs = 0;
  return {
    update(count) {
      const nowMs = performance.now();
      if (nowMs - drawnMs < redrawMs) return;
      drawnMs = nowMs;
      const ratePerSec = Math.round(count / Math.max(0.001, (nowMs - startMs) / 1000));
      process.stderr.write(`\r\u001b[K${label} ${count}, ${ratePerSec}/s`);
    },
    note: noteLine,
    stop: () => process.stderr.write("\r\u001b[K"),
  };
}
