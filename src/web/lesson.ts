/**
 * The protocol lesson: the page that this project began with, on `/echo?trace=1`. It uses the bare WebSocket of the
 * browser and not our client, because that is what the lesson is about. The element ids are the original page's.
 */
import { backoffMs } from "../client/backoff.ts";
import { byId, make } from "./elements.ts";
import { endpoint } from "./endpoint.ts";
import { bytesFromHex, dissectFrames, hexText, serverCloseFrame } from "./frame-dissector.ts";
import { frameView } from "./frame-view.ts";
import { initialLanguage } from "./language.ts";
import { lessonTexts } from "./lesson-texts.ts";
import type { LessonKey } from "./lesson-texts.ts";
import { PageShell } from "./page-shell.ts";
import { plainText } from "./plain-text.ts";
import { shellTexts } from "./shell-texts.ts";
import { joined, Texts } from "./texts.ts";

const entriesMax = 60;
/** Codes that never stand in a close frame (RFC 6455 §7.4.1), but 1005, which is a close frame without one. */
const unsentCodes = new Set([1006, 1015]);

const texts = new Texts(joined(shellTexts, lessonTexts), initialLanguage());
const shell = new PageShell(texts, connect);
const input = byId("txt", HTMLInputElement);
const content = byId("content", HTMLElement);
const submitButton = byId("btn", HTMLButtonElement);
const closeButton = byId("close", HTMLButtonElement);
const connectButton = byId("connect", HTMLButtonElement);
let socket: WebSocket | null = null;
let attempt = 0;
let retryTimer: ReturnType<typeof setTimeout> | undefined;
/** The exchange whose frames come next: each echo is followed by one trace, whatever either of them says. */
let untraced: HTMLDetailsElement | null = null;

function connect(): void {
  clearTimeout(retryTimer);
  if (socket !== null) return;
  shell.showStatus({ state: "connecting", attempt });
  const opening = new WebSocket(endpoint(location, "/echo?trace=1"));
  socket = opening;
  opening.binaryType = "arraybuffer";
  opening.addEventListener("open", () => {
    attempt = 0;
    shell.showStatus({ state: "open" });
    showControls();
    notice("opened");
  });
  opening.addEventListener("message", (event) => received(event.data));
  opening.addEventListener("close", (event) => closed(event));
  showControls();
}

function received(data: unknown): void {
  if (untraced === null) {
    untraced = echo(data);
    return;
  }
  const exchange = untraced;
  untraced = null;
  if (typeof data === "string") showFrames(exchange, data);
}

/** What the original page did with a message: shows it. The frames follow. */
function echo(data: unknown): HTMLDetailsElement {
  for (const older of content.querySelectorAll("details")) older.open = false;
  const message = make("span", "exchange-text");
  if (typeof data === "string") message.textContent = plainText(data, 200);
  else texts.put(message, "binaryMessage", data instanceof ArrayBuffer ? data.byteLength : 0);
  const exchange = make("details", "exchange", make("summary", "", message));
  exchange.open = true;
  append(exchange);
  return exchange;
}

function showFrames(exchange: HTMLDetailsElement, trace: string): void {
  const value: unknown = JSON.parse(trace);
  const { in: incoming, out: outgoing }: { in?: unknown; out?: unknown } = Object(value);
  if (typeof incoming !== "string" || typeof outgoing !== "string") return;
  const pair = make("div", "frame-pair");
  const yours = dissectFrames(bytesFromHex(incoming));
  const its = dissectFrames(bytesFromHex(outgoing));
  pair.append(make("div", "", ...yours.map((frame) => frameView(frame, "yourFrame", texts))));
  pair.append(make("div", "", ...its.map((frame) => frameView(frame, "serverFrame", texts))));
  exchange.append(pair);
  shell.tape.print(
    incoming,
    ["tape-name", "→"],
    ["tape-value", hexText(bytesFromHex(incoming.slice(0, 48)))],
  );
  exchange.scrollIntoView({ block: "nearest" });
}

function closed(event: CloseEvent): void {
  const isLost = unsentCodes.has(event.code);
  const wasAsked = closeButton.dataset["asked"] === "yes";
  delete closeButton.dataset["asked"];
  const wasOpen = attempt === 0;
  socket = null;
  untraced = null;
  if (wasOpen && isLost) notice("closedNoCode");
  else if (wasOpen) closeNotice(event.code);
  if (wasAsked) {
    shell.showStatus({ state: "stopped", code: event.code, reason: event.reason });
  } else {
    const retryInMs = backoffMs(attempt, Math.random());
    attempt += 1;
    retryTimer = setTimeout(connect, retryInMs);
    shell.showStatus({ state: "waiting", retryInMs, code: event.code, reason: event.reason });
  }
  showControls();
}

function closeNotice(code: number): void {
  const element = notice("closed", code);
  for (const frame of dissectFrames(serverCloseFrame(code)))
    element.append(frameView(frame, "closeFrame", texts));
  shell.tape.print("close", ["tape-name", "←"], ["tape-value", hexText(serverCloseFrame(code))]);
}

function notice(key: LessonKey, ...values: readonly number[]): HTMLElement {
  const text = make("p", "");
  texts.put(text, key, ...values);
  const element = make("div", "lesson-notice", text);
  append(element);
  element.scrollIntoView({ block: "nearest" });
  return element;
}

function append(element: HTMLElement): void {
  content.append(element);
  while (content.childElementCount > entriesMax) content.firstElementChild?.remove();
}

function showControls(): void {
  const isOpen = socket?.readyState === WebSocket.OPEN;
  submitButton.disabled = !isOpen;
  closeButton.disabled = !isOpen;
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-example]"))
    button.disabled = !isOpen;
  connectButton.hidden = socket !== null;
}

function sendExample(name: string | undefined): void {
  switch (name) {
    case "hello":
      return socket?.send("Hello");
    case "chinese":
      return socket?.send("你好");
    case "long":
      return socket?.send("0123456789".repeat(20));
    case "huge":
      return socket?.send("0123456789".repeat(7000));
    case "binary":
      return socket?.send(Uint8Array.of(0xde, 0xad, 0xbe, 0xef));
    default:
  }
}

byId("lesson-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket?.readyState !== WebSocket.OPEN || input.value === "") return;
  socket.send(input.value);
  input.value = "";
});
byId("examples", HTMLElement).addEventListener("click", (event) => {
  if (event.target instanceof HTMLButtonElement) sendExample(event.target.dataset["example"]);
});
closeButton.addEventListener("click", () => {
  closeButton.dataset["asked"] = "yes";
  socket?.close(1000);
});
connectButton.addEventListener("click", connect);

byId("handshake", HTMLElement).textContent = [
  "GET /echo?trace=1 HTTP/1.1",
  `Host: ${location.host}`,
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "",
  "HTTP/1.1 101 Switching Protocols",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
].join("\n");
connect();
