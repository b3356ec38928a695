/** What a case is: a clause, bytes to send, and what must be seen. Tables of them are in cases/, a file per section. */
import type { Way } from "./link.ts";
import type { ResponseHead } from "./response-head.ts";
import type { Seen } from "./server-frames.ts";
import { closeBody, frame, op } from "./wire.ts";
import type { Window } from "./window.ts";

/**
 * As in the public suite. `non-strict`: allowed or harmless, and not what the clause asks for at its word.
 * `unimplemented`: an option of the protocol that the server does not have.
 */
export type Verdict = "pass" | "non-strict" | "fail" | "unimplemented";

/** The clause that a case is about. */
interface About {
  /** `5.2-rsv1`; begins with the section, `7692-` before it for RFC 7692. */
  readonly id: string;
  /** The words of the RFC, short. */
  readonly must: string;
  /** What this case does. */
  readonly what: string;
  /** How the bytes are cut; each way is a run. Default: whole, and byte by byte when they are few. */
  readonly ways?: readonly Way[];
  /** Takes seconds or much memory: such cases run one at a time. */
  readonly isHeavy?: boolean;
}

/** A case about an open connection. Unless its steps end it, it is closed with 1000 in the end, which must work too. */
export interface FrameCase extends About {
  /** The value of Sec-WebSocket-Extensions; without compression agreed on, the case is `unimplemented`. */
  readonly offer?: string;
  readonly steps: readonly Step[];
}

/** A case about the opening handshake. */
export interface OpeningCase extends About {
  /** @param host the server's host and port. @param target its path and query. */
  readonly request: (host: string, target: string) => Buffer | string;
  readonly expect: OpeningExpectation;
}

export type Case = FrameCase | OpeningCase;

export interface OpeningExpectation {
  /** Whether a 101 must come, or must not. */
  readonly accepted: boolean;
  /** The other outcome is `non-strict`, because the RFC leaves it open. */
  readonly isLenient?: boolean;
  /** The key that was sent, for Sec-WebSocket-Accept. */
  readonly key?: string;
  readonly protocols?: readonly string[];
  readonly offersExtensions?: boolean;
  /** Further demands on the answer. */
  readonly check?: (head: ResponseHead) => string | null;
  /** Steps after a 101. */
  readonly steps?: readonly Step[];
}

/** Bytes, or what depends on the compression agreed on. */
export type Bytes = Buffer | ((window: Window) => Buffer);

export type Step =
  | { readonly kind: "send"; readonly bytes: Bytes }
  /** Exactly this comes next. `isLenient`: a server that failed the connection first is `non-strict`. */
  | { readonly kind: "see"; readonly seen: Seen; readonly isLenient: boolean }
  /** The server fails the connection (§7.1.7). `rest`: it must do so before these bytes are sent. */
  | { readonly kind: "fail"; readonly codes: readonly number[]; readonly rest: Buffer | null }
  /** We close; the server answers with the code and ends TCP. */
  | { readonly kind: "close"; readonly body: Buffer; readonly codes: readonly (number | null)[] }
  /** The connection breaks off; the server must live. */
  | { readonly kind: "drop"; readonly how: "fin" | "reset" }
  /** Messages one after the other, each echoed before the next is sent. */
  | { readonly kind: "series"; readonly count: number | null; readonly message: SeriesMessage };

/** One message of a series: its wire bytes and what must come back. */
export type SeriesMessage = (index: number, window: Window | null) => { wire: Buffer; seen: Seen };

export function isOpening(each: Case): each is OpeningCase {
  return "request" in each;
}

/** `5.2` of `5.2-rsv1`; `7692 7.2.2` of `7692-7.2.2-bits`. */
export function sectionOf(id: string): string {
  const [first = "", second = ""] = id.split("-");
  return first === "7692" ? `7692 §${second}` : `6455 §${first}`;
}

export function send(...frames: readonly Buffer[]): Step {
  return { kind: "send", bytes: Buffer.concat(frames) };
}

/** For what can only be made once it is known what was agreed on. */
export function sendWith(make: (window: Window) => Buffer): Step {
  return { kind: "send", bytes: make };
}

export function sees(seen: Seen): Step {
  return { kind: "see", seen, isLenient: false };
}

/** What came before a violation in the same packet: a server may fail before it answers. */
export function shouldSee(seen: Seen): Step {
  return { kind: "see", seen, isLenient: true };
}

export function fails(...codes: readonly number[]): Step {
  return { kind: "fail", codes, rest: null };
}

/** Fails before `rest` is sent: within a second. */
export function failsBefore(rest: Buffer, ...codes: readonly number[]): Step {
  return { kind: "fail", codes, rest };
}

/** Our close frame, and a code of `codes` in the answer; without any, the code of ours. */
export function closes(code: number, reason: Uint8Array | string = "", ...codes: readonly number[]): Step {
  return { kind: "close", body: closeBody(code, reason), codes: codes.length === 0 ? [code] : codes };
}

export function text(payload: string | Buffer): Seen {
  return { kind: "text", payload: Buffer.from(payload as string) };
}

export function binary(payload: Buffer | string): Seen {
  return { kind: "binary", payload: Buffer.from(payload as string) };
}

export function pong(payload: Buffer | string = ""): Seen {
  return { kind: "pong", payload: Buffer.from(payload as string) };
}

/** Nothing of what was sent before is answered: the answer to a ping comes first. */
export function nothing(): Step[] {
  return [send(frame(op.ping, "nothing before")), sees(pong("nothing before"))];
}
