/**
 * The opening handshake, both sides: request heads in pieces beside their slow twin, and what our client makes of
 * changed answers.
 */
import { acceptKey, acceptResponse } from "../../src/handshake/accept-response.ts";
import { readServerResponse } from "../../src/handshake/client-handshake.ts";
import { chooseSubprotocol, evaluateHandshake, isRefusal } from "../../src/handshake/evaluate-handshake.ts";
import { negotiateDeflate } from "../../src/handshake/permessage-deflate.ts";
import { refusalResponse } from "../../src/handshake/refusal.ts";
import { readRequestHead, type HeadVerdict } from "../../src/handshake/request-head.ts";
import { expectSame, type FuzzInput, type FuzzTarget } from "./fuzz-target.ts";
import { handshakeTwin, type TwinVerdict } from "./handshake-twin.ts";
import { mutate, randomCuts } from "./mutate.ts";
import type { Random } from "./random.ts";

const key = "dGhlIHNhbXBsZSBub25jZQ==";
const protocols = ["tapecast.v1", "echo"];
const targets = [
  "/ws",
  "/echo?trace=1",
  "/raw/quote.AAPL",
  "/",
  "/%zz",
  "/%E5%BC%B9",
  "//evil/..",
  "/a?b#c",
  "*",
  "/ws?topics=a,b",
];
/** By field: the first value is what a good client sends. */
const fields: readonly (readonly [name: string, values: readonly string[]])[] = [
  [
    "Host",
    ["example.com:8080", "[::1]:80", "a", "", "a b", "u@h", "a:123456", "a:65536", "a%2f", "a%", "a,b"],
  ],
  ["Upgrade", ["websocket", "WebSocket", "h2c, websocket", "h2c", ""]],
  ["Connection", ["Upgrade", "keep-alive, uPgRaDe", "keep-alive", "close,,Upgrade"]],
  ["Sec-WebSocket-Key", [key, "AQIDBAUGBwgJCgsMDQ4PEC==", "", "AAAA", "dGhlIHNhbXBsZSBub25jZQ="]],
  ["Sec-WebSocket-Version", ["13", "8", "013", "13, 8", "255"]],
];
const extras: readonly (readonly [name: string, values: readonly string[]])[] = [
  ["Sec-WebSocket-Protocol", ["echo", "a, b", "tapecast.v1,echo", "a,a", "a b", "", ",", "__proto__"]],
  [
    "Sec-WebSocket-Extensions",
    [
      "permessage-deflate",
      "permessage-deflate; client_max_window_bits",
      'permessage-deflate; server_max_window_bits="1\\0"',
      "permessage-deflate; server_max_window_bits=8; client_no_context_takeover",
      "permessage-deflate; server_max_window_bits=16, permessage-deflate",
      "permessage-deflate; a; a, x-webkit-deflate-frame",
      'foo; bar="a,b;c"',
      "foo;",
      ", ,",
      "constructor; toString=1",
    ],
  ],
  ["Origin", ["http://example.com:8080", "null", "https://evil"]],
  ["Content-Length", ["0", "5", "00"]],
  ["Transfer-Encoding", ["chunked"]],
  ["Cookie", ["a=b", "===;;;"]],
  ["X-Long", ["x".repeat(120), "\t", "é"]],
];

export const handshakeTarget: FuzzTarget = {
  name: "handshake",
  make(random) {
    const variant = random.chance(85) ? 0 : 1;
    const valid = variant === 0 ? request(random) : response(random);
    const bytes = random.chance(60) ? mutate(random, valid) : valid;
    return { bytes, cuts: randomCuts(random, bytes.length), variant };
  },
  check(input: FuzzInput) {
    if (input.variant === 0) checkRequest(input);
    else checkResponse(input);
  },
};

function checkRequest({ bytes, cuts }: FuzzInput): void {
  let seenBytes = 0;
  let verdict: HeadVerdict = "incomplete";
  for (const end of [...cuts.filter((cut) => cut <= bytes.length), bytes.length]) {
    verdict = readRequestHead(bytes.subarray(0, end), seenBytes);
    seenBytes = end;
    if (verdict !== "incomplete") break;
  }
  expectSame("verdict", outcomeOf(verdict, bytes), handshakeTwin(bytes));
}

function outcomeOf(verdict: HeadVerdict, bytes: Buffer): TwinVerdict {
  if (typeof verdict === "string") return verdict;
  expectSame("end of the head", verdict.headBytes, bytes.indexOf("\r\n\r\n") + 4);
  const outcome = evaluateHandshake(verdict.head);
  if (isRefusal(outcome)) {
    // Whatever the peer sent, none of it comes back in the answer.
    expectSame("lines", refusalResponse(outcome).toString("latin1").split("\r\n\r\n").length, 2);
    return { status: outcome.status, deflate: null };
  }
  const agreement = negotiateDeflate(outcome.extensions);
  const subprotocol = chooseSubprotocol(outcome.subprotocols, protocols);
  const headers: Record<string, string> =
    agreement === null ? {} : { "Sec-WebSocket-Extensions": agreement.answer };
  const answer = acceptResponse(outcome.key, subprotocol, headers);
  const asClient = readServerResponse(answer, outcome.key, outcome.subprotocols);
  const isTaken = asClient.kind === "accepted" || (agreement !== null && asClient.kind === "refused");
  if (!isTaken) throw new Error(`our client refuses our answer: ${answer.toString("latin1")}`);
  return { status: 101, deflate: agreement?.answer ?? null };
}

function checkResponse({ bytes, cuts }: FuzzInput): void {
  const whole = readServerResponse(bytes, key, protocols);
  for (const end of cuts) {
    const early = readServerResponse(bytes.subarray(0, end), key, protocols);
    if (early.kind !== "incomplete") expectSame("in pieces", shown(early), shown(whole));
  }
  if (whole.kind !== "accepted") return;
  const head = bytes.toString("latin1", 0, whole.headBytes);
  const isGood =
    head.startsWith("HTTP/1.1 101") &&
    new RegExp(
      `\\r\\nsec-websocket-accept:[ \\t]*${acceptKey(key).replaceAll(/[+]/g, "\\+")}[ \\t]*\\r\\n`,
      "i",
    ).test(head) &&
    /\r\nupgrade:[ \t]*websocket[ \t]*\r\n/i.test(head) &&
    !/\r\nsec-websocket-extensions:/i.test(head);
  if (!isGood) throw new Error("accepted an answer that it must not");
}

function shown(response: ReturnType<typeof readServerResponse>): unknown {
  return response.kind === "incomplete" ? response : { ...response, headers: [...response.headers] };
}

function request(random: Random): Buffer {
  const lines = fields.map(([name, values]) =>
    line(random, name, random.chance(88) ? values[0] : random.pick(values)),
  );
  for (const [name, values] of extras)
    if (random.chance(25)) lines.push(line(random, name, random.pick(values)));
  if (random.chance(3)) lines.push(...lines);
  if (random.chance(3)) lines.push(...Array.from({ length: 118 + random.int(12) }, () => "X: y"));
  if (random.chance(30)) lines.reverse();
  if (random.chance(5)) lines.splice(random.int(lines.length), 1);
  const head = `GET ${random.chance(75) ? "/ws" : random.pick(targets)} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
  return Buffer.from(head + (random.chance(20) ? "\u0081\u0080aaaa" : ""), "latin1");
}

function line(random: Random, name: string, value: string | undefined): string {
  const spelled = random.chance(80) ? name : random.chance(50) ? name.toLowerCase() : name.toUpperCase();
  return `${spelled}:${random.pick([" ", "", "\t ", " "])}${value ?? ""}${random.pick(["", "", " ", "\t"])}`;
}

function response(random: Random): Buffer {
  const good = acceptResponse(
    key,
    random.pick([null, "echo"]),
    random.chance(20) ? { "X-Note": "a, b" } : {},
  );
  return random.chance(20) ? Buffer.from("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") : good;
}
