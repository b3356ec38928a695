/** One row of the board in the page: shows a Quote, flashes when it moves. */
import { make, makeSvg, wantsLessMotion } from "./elements.ts";
import { Quote, signed } from "./quote.ts";
import type { Direction } from "./quote.ts";
import { sparklinePoints } from "./sparkline.ts";
import type { Texts } from "./texts.ts";
import type { TickerKey } from "./ticker-texts.ts";

const sparklineWidth = 160;
const sparklineHeight = 36;

/** Longer prices (the recorded S&P 500 has six decimals) get a smaller type on a phone: no digit is left out. */
const longPrice = 8;

/** The mark beside a change, so that colour is never the only sign. */
export const arrows: Readonly<Record<Direction, string>> = { up: "▲", down: "▼", same: "＝" };

export class TickerRow {
  readonly topic: string;
  readonly element = make("tr", "");
  readonly quote = new Quote();
  readonly #texts: Texts<TickerKey>;
  readonly #last = make("td", "last");
  readonly #arrow = make("span", "arrow");
  readonly #change = make("span", "change-value");
  readonly #percent = make("span", "change-percent");
  readonly #dates = [make("span", "symbol-date"), make("td", "date")];
  readonly #updates = make("td", "updates", "0");
  readonly #line = makeSvg("polyline", { class: "sparkline-line" });
  readonly #dot = makeSvg("path", { class: "sparkline-dot" });
  #updateCount = 0;
  #flashes = 0;
  #isStale = false;

  /** @param onRemove null for the rows that belong to the page. */
  constructor(topic: string, texts: Texts<TickerKey>, onRemove: (() => void) | null) {
    this.topic = topic;
    this.#texts = texts;
    const name = make("span", "symbol-name", topic.replace(/^quote\./, ""));
    const symbol = make("th", "symbol", make("div", "symbol-line", name));
    if (onRemove !== null) symbol.firstElementChild?.append(this.#removeButton(onRemove));
    symbol.scope = "row";
    symbol.title = topic;
    const [underName, dateCell] = this.#dates;
    if (underName !== undefined) symbol.append(underName);
    texts.put(this.#last, "waiting");
    this.#last.classList.add("is-waiting");
    const change = make("td", "change", this.#arrow, this.#change, this.#percent);
    const svg = makeSvg("svg", {
      class: "sparkline",
      viewBox: `0 0 ${sparklineWidth} ${sparklineHeight}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    });
    svg.append(this.#line, this.#dot);
    const trend = make("td", "trend");
    trend.append(svg);
    this.element.append(symbol, this.#last, change, trend);
    if (dateCell !== undefined) this.element.append(dateCell);
    this.element.append(this.#updates);
  }

  /** Takes a publication's text. Drawing is `draw`'s, once per animation frame however many come. */
  take(dataText: string): boolean {
    if (!this.quote.take(dataText)) return false;
    this.#updateCount += 1;
    this.#isStale = true;
    return true;
  }

  /** Shows what was taken since the last call. @returns false when that was nothing. */
  draw(): boolean {
    const { last, change, percent, direction, date } = this.quote;
    if (!this.#isStale || last === null) return false;
    this.#isStale = false;
    delete this.#last.dataset["text"];
    this.#last.classList.remove("is-waiting");
    this.#last.textContent = last.replace(/^-/, "\u2212");
    this.element.dataset["direction"] = direction;
    this.element.classList.toggle("is-long", last.length > longPrice);
    this.#arrow.textContent = change === null ? "" : arrows[direction];
    this.#arrow.role = "img";
    this.#texts.label(this.#arrow, direction);
    this.#change.textContent = change === null ? "" : signed(change);
    this.#percent.textContent = percent === null ? "" : `${signed(percent)}%`;
    for (const element of this.#dates) element.textContent = date ?? "";
    this.#updates.textContent = String(this.#updateCount);
    this.#drawSparkline();
    if (direction !== "same" && !wantsLessMotion()) this.#flash(direction);
    return true;
  }

  #flash(direction: Direction): void {
    // Two names for each animation: changing the name is what starts a CSS animation again.
    this.#flashes += 1;
    this.element.dataset["flash"] = `${direction}-${this.#flashes % 2}`;
  }

  #drawSparkline(): void {
    const points = sparklinePoints(this.quote.seen, sparklineWidth, sparklineHeight);
    this.#line.setAttribute("points", points);
    // A line of no length with round ends: a dot that stays round however the box is stretched.
    this.#dot.setAttribute("d", `M${points.slice(points.lastIndexOf(" ") + 1)}h0`);
  }

  #removeButton(onRemove: () => void): HTMLElement {
    const button = make("button", "quiet remove", "×");
    button.type = "button";
    this.#texts.follow(() => {
      button.ariaLabel = this.#texts.text("remove", this.topic);
    });
    button.addEventListener("click", onRemove);
    return button;
  }
}
