/** The chat room: history on joining, resumption without loss, a form. */
import { ClientError } from "../client/client-error.ts";
import { TapecastClient } from "../client/tapecast-client.ts";
import { chatNameLengthMax, chatTextLengthMax, readChatMessage } from "./chat-log.ts";
import { chatTexts } from "./chat-texts.ts";
import { ChatView } from "./chat-view.ts";
import { byId } from "./elements.ts";
import { endpoint } from "./endpoint.ts";
import { initialLanguage } from "./language.ts";
import { recall, remember } from "./local-memory.ts";
import { PageShell } from "./page-shell.ts";
import { plainText } from "./plain-text.ts";
import { SendNotice } from "./send-notice.ts";
import { shellTexts } from "./shell-texts.ts";
import { joined, Texts } from "./texts.ts";

const topic = "chat.lobby";
const historyLimit = 100;
const dropMs = 5_000;

const texts = new Texts(joined(shellTexts, chatTexts), initialLanguage());
const shell = new PageShell(texts, () => client.reconnect());
const nameInput = byId("name", HTMLInputElement);
const textInput = byId("message", HTMLInputElement);
const notice = new SendNotice(byId("send-notice", HTMLElement), texts);
const empty = byId("chat-empty", HTMLElement);
const view = new ChatView(
  byId("chat-scroller", HTMLElement),
  byId("chat-log", HTMLOListElement),
  byId("newer", HTMLButtonElement),
  texts,
);
let epoch: string | null = null;

const client = new TapecastClient(endpoint(location, "/ws"), {
  onStatus: (status) => {
    shell.showStatus(status);
    notice.follow(status);
  },
});

client.subscribe([topic], {
  onSnapshot: (snapshot) => {
    epoch = snapshot.epoch;
    showPosition(snapshot.seq);
    if (snapshot.recovered === true) {
      if (snapshot.recoveredCount === 0) view.notice("recoveredNone");
      else view.notice("recovered", snapshot.recoveredCount);
    } else {
      if (snapshot.recovered === false) view.notice("notRecovered");
      void readHistory(snapshot.recovered === null);
    }
  },
  onPublication: ({ seq, data }) => {
    if (seq !== null) showPosition(seq);
    show(seq, data, true);
  },
  onLost: ({ count, reason }) => view.notice("lost", count, reason),
  onError: (_topic, error) => notice.show(error),
});

/** What was said before: the room's log has each message once, whatever comes live in the meantime. */
async function readHistory(isFirst: boolean): Promise<void> {
  try {
    const history = await client.history(topic, { limit: historyLimit });
    epoch = history.epoch;
    for (const { seq, data } of history.messages) show(seq, data, false);
    if (isFirst && history.messages.length > 0) view.notice("joined", history.messages.length);
    else if (isFirst) view.notice("joinedFirst");
    showEmpty();
  } catch (error) {
    // A lost connection: the next snapshot tells what was missed.
    if (!(error instanceof ClientError)) throw error;
    if (error.code !== "disconnected") notice.show(error);
  }
}

function show(seq: number | null, data: unknown, isNew: boolean): void {
  const message = readChatMessage(data);
  if (message === null) return;
  const isAdded = view.add({ epoch: seq === null ? null : epoch, seq, message });
  if (!isAdded || !isNew) return;
  showEmpty();
  const name = message.name === "" ? texts.text("guest") : message.name;
  shell.tape.print(`${seq} ${name}`, ["tape-name", name], ["tape-value", plainText(message.text, 60)]);
}

function showEmpty(): void {
  empty.hidden = !view.isEmpty;
}

function showPosition(seq: number | null): void {
  byId("position-epoch", HTMLElement).textContent = epoch ?? "–";
  byId("position-seq", HTMLElement).textContent = seq === null ? "–" : String(seq);
}

async function send(): Promise<void> {
  const text = plainText(textInput.value, chatTextLengthMax);
  if (text === "") return;
  const name = plainText(nameInput.value, chatNameLengthMax);
  remember("name", name);
  textInput.value = "";
  try {
    const { seq } = await client.publish(topic, { name, text, at: Date.now() });
    notice.clear();
    if (seq !== null) view.own(seq);
  } catch (error) {
    if (textInput.value === "") textInput.value = text;
    notice.show(error);
  }
}

nameInput.value = recall("name") ?? "";
nameInput.maxLength = chatNameLengthMax;
textInput.maxLength = chatTextLengthMax;
byId("send-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void send();
});
byId("drop", HTMLButtonElement).addEventListener("click", () => client.reconnect(dropMs));
