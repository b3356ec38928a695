/** What all pages share: masthead with navigation, language switch and the state of the connection, and the tape. */
import type { LinkStatus } from "../client/link.ts";
import { byId, make } from "./elements.ts";
import { rememberLanguage } from "./language.ts";
import type { Language } from "./language.ts";
import type { ShellKey } from "./shell-texts.ts";
import { Tape } from "./tape.ts";
import type { Texts } from "./texts.ts";

const pages: readonly { readonly path: string; readonly key: ShellKey }[] = [
  { path: "/", key: "navQuotes" },
  { path: "/demo/danmaku", key: "navDanmaku" },
  { path: "/demo/chat", key: "navChat" },
  { path: "/demo/lesson", key: "navLesson" },
];

const languages: readonly { readonly language: Language; readonly name: string }[] = [
  { language: "en", name: "EN" },
  { language: "zh", name: "中文" },
];

export class PageShell<Key extends string> {
  readonly tape = new Tape();
  readonly #texts: Texts<Key | ShellKey>;
  readonly #state = make("p", "link-state");
  readonly #stateText = make("span", "");
  readonly #retry = make("button", "quiet");

  /**
   * Builds the masthead into `#masthead` and fills the page's texts.
   * @param onRetry the reader wants to connect now.
   */
  constructor(texts: Texts<Key | ShellKey>, onRetry: () => void) {
    this.#texts = texts;
    this.#state.role = "status";
    const lamp = make("span", "lamp");
    lamp.ariaHidden = "true";
    this.#state.append(lamp, this.#stateText);
    this.#retry.type = "button";
    this.#retry.hidden = true;
    texts.put(this.#retry, "retryNow");
    this.#retry.addEventListener("click", onRetry);
    const masthead = byId("masthead", HTMLElement);
    const wordmark = make("a", "wordmark", "Tapecast");
    wordmark.href = "/";
    masthead.append(
      this.#skipLink(),
      make("div", "masthead-row", wordmark, this.#navigation(), this.#tools()),
      this.tape.element,
    );
    texts.use(texts.language);
  }

  /** Shows the state of the connection. */
  showStatus(status: LinkStatus): void {
    this.#state.dataset["state"] = status.state;
    this.#retry.hidden = status.state === "open" || status.state === "connecting";
    switch (status.state) {
      case "connecting":
        // A short break shows as one state and not as three: screen readers would read each.
        if (status.attempt === 0) this.#texts.put(this.#stateText, "stateConnecting");
        return;
      case "open":
        this.#texts.put(this.#stateText, "stateOpen");
        return;
      case "waiting":
        this.#texts.put(this.#stateText, "stateWaiting");
        return;
      case "stopped":
        if (status.code === 1000) this.#texts.put(this.#stateText, "stateClosed");
        else this.#texts.put(this.#stateText, "stateStopped", status.code);
    }
  }

  #skipLink(): HTMLElement {
    const link = make("a", "skip-link");
    link.href = "#main";
    this.#texts.put(link, "skip");
    return link;
  }

  #navigation(): HTMLElement {
    const list = make("ul", "");
    for (const { path, key } of pages) {
      const link = make("a", "");
      link.href = path;
      const isHere =
        location.pathname === path || (path === "/" && /\/(index\.html|ticker)$/.test(location.pathname));
      if (isHere) link.ariaCurrent = "page";
      this.#texts.put(link, key);
      list.append(make("li", "", link));
    }
    const navigation = make("nav", "pages", list);
    this.#texts.label(navigation, "navLabel");
    return navigation;
  }

  #tools(): HTMLElement {
    const buttons = languages.map(({ language, name }) => {
      const button = make("button", "", name);
      button.type = "button";
      button.lang = language;
      button.addEventListener("click", () => {
        rememberLanguage(language);
        this.#texts.use(language);
      });
      this.#texts.follow(() => {
        button.ariaPressed = String(this.#texts.language === language);
      });
      return button;
    });
    const group = make("div", "languages", ...buttons);
    group.role = "group";
    this.#texts.label(group, "languageLabel");
    return make("div", "masthead-tools", this.#state, this.#retry, group);
  }
}
