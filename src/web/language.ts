/** English or Chinese: chosen by the reader, else by the browser's preferences, remembered between pages. */
import { recall, remember } from "./local-memory.ts";

export type Language = "en" | "zh";

/** The first of the preferred languages that we speak; English where there is none. */
export function preferredLanguage(remembered: string | null, preferred: readonly string[]): Language {
  if (remembered === "en" || remembered === "zh") return remembered;
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split("-")[0];
    if (primary === "en" || primary === "zh") return primary;
  }
  return "en";
}

/** The language to begin with. */
export function initialLanguage(): Language {
  return preferredLanguage(recall("language"), navigator.languages);
}

/** For the next page, and the next visit. */
export function rememberLanguage(language: Language): void {
  remember("language", language);
}
