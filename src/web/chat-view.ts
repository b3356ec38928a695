/** The room's messages in the page: mirrors a ChatLog, keeps the reader's place, shows notices between messages. */
import { ChatLog } from "./chat-log.ts";
import type { ChatEntry } from "./chat-log.ts";
import type { ChatKey } from "./chat-texts.ts";
import { make } from "./elements.ts";
import type { Texts } from "./texts.ts";

const entriesMax = 500;
const noticesMax = 50;
/** Closer to the end than this, the reader follows the room. */
const followPx = 60;
const toneCount = 6;

export class ChatView {
  readonly #scroller: HTMLElement;
  readonly #list: HTMLElement;
  readonly #newer: HTMLElement;
  readonly #texts: Texts<ChatKey>;
  readonly #log = new ChatLog(entriesMax);
  readonly #items: HTMLElement[] = [];
  readonly #notices: HTMLElement[] = [];
  readonly #ownSeqs = new Set<number>();
  /** Whether the reader was at the end when it was last known: measuring at each message would cost a layout each. */
  #isFollowing = true;
  #isSettling = false;

  /** @param newer the button that leads to the newest message, shown while the reader is further up. */
  constructor(scroller: HTMLElement, list: HTMLElement, newer: HTMLElement, texts: Texts<ChatKey>) {
    this.#scroller = scroller;
    this.#list = list;
    this.#newer = newer;
    this.#texts = texts;
    newer.addEventListener("click", () => this.#follow());
    scroller.addEventListener("scroll", () => {
      this.#isFollowing = this.#isAtEnd();
      if (this.#isFollowing) newer.hidden = true;
    });
    texts.follow(() => this.#showTimes());
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Adds a message at its place. @returns false when it is there already. */
  add(entry: ChatEntry): boolean {
    const place = this.#log.add(entry);
    if (place === null) return false;
    const item = this.#item(entry);
    const next = this.#items[place.index];
    if (next === undefined) this.#list.append(item);
    else next.before(item);
    this.#items.splice(place.index, 0, item);
    if (place.dropped) this.#items.shift()?.remove();
    if (next === undefined && !this.#isFollowing) this.#newer.hidden = false;
    this.#settle();
    return true;
  }

  /** Marks the message with this `seq` as the reader's own, now or when it comes. */
  own(seq: number): void {
    this.#ownSeqs.add(seq);
    const index = this.#log.entries.findIndex((entry) => entry.seq === seq);
    this.#items[index]?.classList.add("is-own");
  }

  /** A line of the page's own after the newest message. */
  notice(key: ChatKey, ...values: readonly (string | number)[]): void {
    const text = make("span", "");
    this.#texts.put(text, key, ...values);
    const item = make("li", "chat-notice", text);
    this.#list.append(item);
    this.#notices.push(item);
    if (this.#notices.length > noticesMax) this.#notices.shift()?.remove();
    this.#settle();
  }

  #item({ seq, message }: ChatEntry): HTMLElement {
    const name = make("span", "chat-name");
    if (message.name === "") this.#texts.put(name, "guest");
    else name.textContent = message.name;
    const time = make("time", "chat-time");
    if (message.at !== null) time.dateTime = new Date(message.at).toISOString();
    time.textContent = this.#timeText(time.dateTime);
    const item = make(
      "li",
      `chat-message tone-${tone(message.name)}`,
      name,
      time,
      make("p", "chat-text", message.text),
    );
    if (seq !== null && this.#ownSeqs.has(seq)) item.classList.add("is-own");
    return item;
  }

  #timeText(dateTime: string): string {
    if (dateTime === "") return "";
    const date = new Date(dateTime);
    const isToday = date.toDateString() === new Date().toDateString();
    return date.toLocaleString(this.#texts.language === "zh" ? "zh-CN" : "en-GB", {
      ...(isToday ? {} : { year: "numeric", month: "short", day: "numeric" }),
      hour: "2-digit",
      minute: "2-digit",
    });
  }

  #showTimes(): void {
    for (const time of this.#list.querySelectorAll("time")) time.textContent = this.#timeText(time.dateTime);
  }

  #isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < followPx;
  }

  /** Keeps a reader who follows at the end, once per animation frame however many messages came. */
  #settle(): void {
    if (this.#isSettling || !this.#isFollowing) return;
    this.#isSettling = true;
    requestAnimationFrame(() => {
      this.#isSettling = false;
      if (this.#isFollowing) this.#follow();
    });
  }

  #follow(): void {
    this.#isFollowing = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#newer.hidden = true;
  }
}

/** The same name always has the same colour. */
function tone(name: string): number {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  return sum % toneCount;
}
