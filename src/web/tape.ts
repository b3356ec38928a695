/**
 * The paper tape under the masthead: prints what arrives, the newest at the right. Decoration, hidden from assistive
 * technology: everything on it stands elsewhere on the page too.
 */
import { make, wantsLessMotion } from "./elements.ts";

/** Pieces on the tape; more than the widest screen shows. */
const piecesMax = 60;
/** A tape that moves faster is a blur. */
const printIntervalMs = 140;
/** Pieces that wait for their turn; of more the oldest is left out. */
const waitingMax = 12;

/** A part of a piece: a class and a text. */
type Part = readonly [className: string, text: string];

export class Tape {
  readonly element: HTMLElement;
  readonly #strip: HTMLElement;
  readonly #waiting = new Map<string, readonly Part[]>();
  #isPrinting = false;

  constructor() {
    this.#strip = make("div", "tape-strip");
    this.element = make("div", "tape", this.#strip);
    this.element.ariaHidden = "true";
  }

  /**
   * Prints a piece when its turn comes. A piece that still waits under the same `key` is replaced and keeps its turn,
   * so that of many busy topics each gets on the tape.
   */
  print(key: string, ...parts: readonly Part[]): void {
    this.#waiting.set(key, parts);
    for (const oldest of this.#waiting.keys()) {
      if (this.#waiting.size <= waitingMax) break;
      this.#waiting.delete(oldest);
    }
    if (!this.#isPrinting) this.#printNext();
  }

  #printNext(): void {
    const next = this.#waiting.entries().next();
    this.#isPrinting = next.done !== true;
    if (next.done === true) return;
    const [key, parts] = next.value;
    this.#waiting.delete(key);
    this.#append(
      make("span", "tape-piece", ...parts.map(([className, text]) => make("span", className, text))),
    );
    setTimeout(() => this.#printNext(), printIntervalMs);
  }

  #append(piece: HTMLElement): void {
    this.#strip.append(piece);
    while (this.#strip.childElementCount > piecesMax) this.#strip.firstElementChild?.remove();
    if (wantsLessMotion() || document.hidden) return;
    const travel = piece.getBoundingClientRect().width;
    this.#strip.animate([{ transform: `translateX(${travel}px)` }, { transform: "none" }], {
      duration: printIntervalMs,
      easing: "steps(7)",
    });
  }
}
