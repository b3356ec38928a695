/**
 * A page's texts in both languages. An element bound to a key (`data-text`, `data-label`, `data-placeholder`, in the
 * HTML or by `put`) follows the language. Text is only ever set as text.
 */
import type { Language } from "./language.ts";

/** The same keys in each language. `{0}`, `{1}` stand for arguments. */
export type Catalogue<Key extends string> = Readonly<Record<Language, Readonly<Record<Key, string>>>>;

/** Both catalogues as one. */
export function joined<A extends string, B extends string>(
  first: Catalogue<A>,
  second: Catalogue<B>,
): Catalogue<A | B> {
  return { en: { ...first.en, ...second.en }, zh: { ...first.zh, ...second.zh } };
}

/** Puts arguments in the places of `{0}`, `{1}`. */
export function filled(template: string, values: readonly (string | number)[]): string {
  return template.replace(/\{(\d)\}/g, (place, index: string) => String(values[Number(index)] ?? place));
}

export class Texts<Key extends string> {
  readonly #catalogue: Catalogue<Key>;
  readonly #listeners: (() => void)[] = [];
  #language: Language;

  constructor(catalogue: Catalogue<Key>, language: Language) {
    this.#catalogue = catalogue;
    this.#language = language;
  }

  get language(): Language {
    return this.#language;
  }

  /** Changes the language of the whole page. */
  use(language: Language): void {
    this.#language = language;
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    this.apply(document);
    for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` now and after each change of language, for what is formatted and not bound. */
  follow(listener: () => void): void {
    this.#listeners.push(listener);
    listener();
  }

  text(key: Key, ...values: readonly (string | number)[]): string {
    return filled(this.#catalogue[this.#language][key], values);
  }

  /** Shows the text in `element`, now and in the other language later. */
  put(element: HTMLElement, key: Key, ...values: readonly (string | number)[]): void {
    element.dataset["text"] = key;
    if (values.length > 0) element.dataset["values"] = JSON.stringify(values);
    else delete element.dataset["values"];
    element.textContent = this.text(key, ...values);
  }

  /** Empties what `put` filled. */
  clear(element: HTMLElement): void {
    delete element.dataset["text"];
    delete element.dataset["values"];
    element.textContent = "";
  }

  /** Binds the accessible name of `element`. */
  label(element: HTMLElement, key: Key): void {
    element.dataset["label"] = key;
    element.ariaLabel = this.text(key);
  }

  /** Fills all bound elements under `root`. */
  apply(root: ParentNode): void {
    for (const element of root.querySelectorAll<HTMLElement>("[data-text]")) {
      element.textContent = this.#bound(element.dataset["text"], element.dataset["values"]);
    }
    for (const element of root.querySelectorAll<HTMLElement>("[data-label]")) {
      element.ariaLabel = this.#bound(element.dataset["label"]);
    }
    for (const element of root.querySelectorAll<HTMLInputElement>("[data-placeholder]")) {
      element.placeholder = this.#bound(element.dataset["placeholder"]);
    }
  }

  #bound(key: string | undefined, values?: string): string {
    const texts: Readonly<Record<string, string>> = this.#catalogue[this.#language];
    const parsed: unknown = values === undefined ? [] : JSON.parse(values);
    return filled(texts[key ?? ""] ?? key ?? "", Array.isArray(parsed) ? parsed.map(String) : []);
  }
}
