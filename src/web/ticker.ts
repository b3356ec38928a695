/** The ticker board: topics in rows, a rate for all of them, a form to add more. */
import { topicProblem } from "../base/topic.ts";
import { TapecastClient } from "../client/tapecast-client.ts";
import { byId, make } from "./elements.ts";
import { endpoint } from "./endpoint.ts";
import { initialLanguage } from "./language.ts";
import { recall, remember } from "./local-memory.ts";
import { PageShell } from "./page-shell.ts";
import { signed } from "./quote.ts";
import { shellTexts } from "./shell-texts.ts";
import { joined, Texts } from "./texts.ts";
import { arrows, TickerRow } from "./ticker-row.ts";
import { tickerTexts } from "./ticker-texts.ts";
import type { TickerKey } from "./ticker-texts.ts";

const ownTopics = ["AAPL", "AMZN", "GOOG", "IBM", "MSFT", "SP500"].map((symbol) => `quote.${symbol}`);
const rowsMax = 60;

const texts = new Texts(joined(shellTexts, tickerTexts), initialLanguage());
const shell = new PageShell(texts, () => client.reconnect());
const rows = new Map<string, TickerRow>();
const body = byId("board-rows", HTMLTableSectionElement);
const notice = byId("add-notice", HTMLElement);
let intervalMs = 0;
let messagesThisSecond = 0;
let isDrawing = false;

const client = new TapecastClient(endpoint(location, "/ws"), {
  batch: true,
  onStatus: (status) => shell.showStatus(status),
});

function subscribe(topics: readonly string[]): void {
  client.subscribe(topics, {
    intervalMs,
    onSnapshot: ({ topic, value }) => {
      if (value !== null) take(topic, value.text);
    },
    onPublication: ({ topic, text }) => {
      messagesThisSecond += 1;
      take(topic, text);
    },
    onError: (topic, error) => {
      if (error.temporary) return;
      show("refused", topic, error.message);
      drop(topic);
    },
  });
}

function take(topic: string, text: string): void {
  const row = rows.get(topic);
  if (row?.take(text) !== true || isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(draw);
}

function draw(): void {
  isDrawing = false;
  for (const row of rows.values()) {
    if (row.draw()) print(row);
  }
}

function print({ topic, quote }: TickerRow): void {
  const change = quote.change === null ? "" : `${arrows[quote.direction]}${signed(quote.change)}`;
  shell.tape.print(
    topic,
    ["tape-name", topic.replace(/^quote\./, "")],
    ["tape-value", quote.last ?? ""],
    [`tape-change is-${quote.direction}`, change],
  );
}

function add(topic: string): void {
  const isOwn = ownTopics.includes(topic);
  const row = new TickerRow(topic, texts, isOwn ? null : () => drop(topic));
  rows.set(topic, row);
  body.append(row.element);
}

function drop(topic: string): void {
  client.unsubscribe([topic]);
  rows.get(topic)?.element.remove();
  rows.delete(topic);
  rememberAdded();
}

function rememberAdded(): void {
  remember("topics", [...rows.keys()].filter((topic) => !ownTopics.includes(topic)).join(","));
}

function show(key: TickerKey | null, ...values: readonly string[]): void {
  if (key === null) texts.clear(notice);
  else texts.put(notice, key, ...values);
}

function whenAsked(event: SubmitEvent): void {
  event.preventDefault();
  const input = byId("add-topic", HTMLInputElement);
  const topic = input.value.trim().normalize("NFC");
  if (topic === "") return;
  if (topicProblem(topic) !== null) return show("badTopic");
  if (rows.has(topic)) return show("knownTopic", topic);
  if (rows.size >= rowsMax) return show("tooMany");
  show(null);
  input.value = "";
  add(topic);
  rememberAdded();
  subscribe([topic]);
}

function showExamples(): void {
  const examples: readonly (readonly [id: string, code: string])[] = [
    [
      "example-http",
      [
        `curl ${location.origin}/api/publish \\`,
        `-H 'content-type: application/json' \\`,
        `-d '{"topic":"quote.TEST","data":{"price":1.10}}'`,
      ].join("\n"),
    ],
    ["example-cli", `npx tapecast publish quote.TEST '{"price":1.10}'`],
    ["example-redis", `redis-cli PUBLISH tape:quote.TEST '{"price":1.10}'`],
    [
      "example-read",
      `new WebSocket("${endpoint(location, "/raw/quote.AAPL")}")\n.onmessage = ({ data }) => console.log(data)`,
    ],
  ];
  for (const [id, code] of examples) byId(id, HTMLElement).replaceChildren(make("code", "", code));
}

byId("add-form", HTMLFormElement).addEventListener("submit", whenAsked);
byId("rate", HTMLFieldSetElement).addEventListener("change", (event) => {
  if (!(event.target instanceof HTMLInputElement)) return;
  intervalMs = Number(event.target.value);
  subscribe([...rows.keys()]);
});
setInterval(() => {
  byId("per-second", HTMLElement).textContent = String(messagesThisSecond);
  messagesThisSecond = 0;
}, 1000);

const added = (recall("topics") ?? "").split(",").filter((topic) => topicProblem(topic) === null);
for (const topic of new Set([...ownTopics, ...added.slice(0, rowsMax - ownTopics.length)])) add(topic);
subscribe([...rows.keys()]);
showExamples();
