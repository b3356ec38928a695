/** The line under a form that says why its message did not go out, for as long as that is so. */
import { ClientError } from "../client/client-error.ts";
import type { LinkStatus } from "../client/link.ts";
import type { Texts } from "./texts.ts";

export type SendNoticeKey = "tooFast" | "offline" | "refused";

export class SendNotice {
  readonly #element: HTMLElement;
  readonly #texts: Texts<SendNoticeKey>;
  #isOffline = false;

  constructor(element: HTMLElement, texts: Texts<SendNoticeKey>) {
    this.#element = element;
    this.#texts = texts;
  }

  /** @throws what is no ClientError. */
  show(error: unknown): void {
    if (!(error instanceof ClientError)) throw error;
    this.#isOffline = error.code === "disconnected";
    if (this.#isOffline) this.#texts.put(this.#element, "offline");
    else if (error.code === "rate_limited") this.#texts.put(this.#element, "tooFast");
    else this.#texts.put(this.#element, "refused", error.message);
  }

  clear(): void {
    this.#isOffline = false;
    this.#texts.clear(this.#element);
  }

  /** "No connection" is no longer true once there is one. */
  follow({ state }: LinkStatus): void {
    if (state === "open" && this.#isOffline) this.clear();
  }
}
