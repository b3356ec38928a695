/** The danmaku page: the stage, the list of the latest comments, the form. */
import { TapecastClient } from "../client/tapecast-client.ts";
import { danmakuLengthMax, readDanmaku } from "./danmaku-message.ts";
import { DanmakuStage } from "./danmaku-stage.ts";
import type { Comment } from "./danmaku-stage.ts";
import { danmakuTexts } from "./danmaku-texts.ts";
import { byId, make } from "./elements.ts";
import { endpoint } from "./endpoint.ts";
import { initialLanguage } from "./language.ts";
import { PageShell } from "./page-shell.ts";
import { codePointCount, plainText } from "./plain-text.ts";
import { SendNotice } from "./send-notice.ts";
import { shellTexts } from "./shell-texts.ts";
import { joined, Texts } from "./texts.ts";

const topic = "danmaku.room1";
const recentMax = 40;
/** Comments whose sender may still turn out to be this page; a reply is never that late. */
const unclaimedMax = 500;

const texts = new Texts(joined(shellTexts, danmakuTexts), initialLanguage());
const shell = new PageShell(texts, () => client.reconnect());
const recent = byId("recent", HTMLOListElement);
const input = byId("comment", HTMLInputElement);
const notice = new SendNotice(byId("send-notice", HTMLElement), texts);
const stage = new DanmakuStage(byId("stage", HTMLCanvasElement), {
  onCounts: (shown, crowded) => {
    byId("count-shown", HTMLElement).textContent = String(shown);
    byId("count-crowded", HTMLElement).textContent = String(crowded);
  },
});
/** Positions of own comments: a publication is one's own when its `seq` is in the reply to the publish. */
const ownSeqs = new Set<number>();
const unclaimed = new Map<number, { readonly comment: Comment; readonly item: HTMLElement }>();
let sampledCount = 0;

const client = new TapecastClient(endpoint(location, "/ws"), {
  batch: true,
  onStatus: (status) => {
    shell.showStatus(status);
    notice.follow(status);
  },
});

client.subscribe([topic], {
  onPublication: ({ data, seq, recovered }) => {
    const message = readDanmaku(data);
    // What was said during a loss of the connection is over: a comment belongs to its moment.
    if (message === null || recovered) return;
    const comment: Comment = { message, isOwn: false };
    const item = list(comment);
    stage.add(comment);
    shell.tape.print(message.text, ["", message.text]);
    if (seq !== null) remember(seq, comment, item);
  },
  onLost: ({ count }) => {
    sampledCount += count;
    byId("count-sampled", HTMLElement).textContent = String(sampledCount);
  },
});

function remember(seq: number, comment: Comment, item: HTMLElement): void {
  unclaimed.set(seq, { comment, item });
  for (const oldest of unclaimed.keys()) {
    if (unclaimed.size <= unclaimedMax) break;
    unclaimed.delete(oldest);
  }
  claim(seq);
}

/** Marks a comment as own once both its publication and the reply to its publish are here. */
function claim(seq: number): void {
  const found = unclaimed.get(seq);
  if (found === undefined || !ownSeqs.delete(seq)) return;
  unclaimed.delete(seq);
  found.comment.isOwn = true;
  const mark = make("span", "own-mark");
  texts.put(mark, "yours");
  found.item.append(" ", mark);
}

function list({ message }: Comment): HTMLElement {
  const swatch = make("span", "swatch");
  swatch.style.backgroundColor = message.color;
  swatch.ariaHidden = "true";
  const item = make("li", "", swatch, make("span", "recent-text", message.text));
  recent.prepend(item);
  byId("recent-empty", HTMLElement).hidden = true;
  while (recent.childElementCount > recentMax) recent.lastElementChild?.remove();
  return item;
}

async function send(): Promise<void> {
  const text = plainText(input.value, danmakuLengthMax);
  if (text === "") return;
  const choice = new FormData(byId("send-form", HTMLFormElement));
  input.value = "";
  showRemaining();
  try {
    const { seq } = await client.publish(topic, {
      text,
      color: choice.get("color"),
      mode: choice.get("mode"),
    });
    notice.clear();
    if (seq === null) return;
    ownSeqs.add(seq);
    claim(seq);
  } catch (error) {
    if (input.value === "") input.value = text;
    notice.show(error);
  }
}

function showRemaining(): void {
  const remaining = danmakuLengthMax - codePointCount(input.value);
  const counter = byId("remaining", HTMLElement);
  counter.hidden = remaining > 20;
  texts.put(counter, "remaining", Math.max(0, remaining));
}

input.maxLength = danmakuLengthMax * 2; // UTF-16 units: an emoji takes two.
input.addEventListener("input", showRemaining);
byId("send-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void send();
});
