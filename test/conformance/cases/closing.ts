/** RFC 6455 §5.5.1 and §7: the closing handshake, its codes, and the end of TCP. */
import { closes, fails, sees, send, shouldSee, text, type Case, type Step } from "../case.ts";
import { closeBody, frame, op } from "../wire.ts";

const echo = [send(frame(op.text, "Hello")), sees(text("Hello"))];

function empty(): Step {
  // §7.4.1, 1005: "MUST NOT be set as a status code in a Close control frame": the answer is empty, or says normal.
  return { kind: "close", body: Buffer.alloc(0), codes: [null, 1000] };
}

const handshake: Case[] = [
  {
    id: "5.5.1-empty",
    must: '"The Close frame MAY contain a body"',
    what: "a close without a body",
    steps: [...echo, empty()],
  },
  {
    id: "5.5.1-code",
    must: '"the endpoint MUST send a Close frame in response"; it "typically echos the status code it received"',
    what: "a close with 1000",
    steps: [...echo, closes(1000)],
  },
  {
    id: "5.5.1-reason",
    must: '"the body MAY contain UTF-8-encoded data with value /reason/"',
    what: "a close with 1000 and a reason",
    steps: [...echo, closes(1000, "going home 回家")],
  },
  {
    id: "5.5.1-reason-123",
    must: '"All control frames MUST have a payload length of 125 bytes or less"',
    what: "a close with the longest reason",
    steps: [...echo, closes(1000, "x".repeat(123))],
  },
  {
    id: "5.5.1-reason-124",
    must: '"All control frames MUST have a payload length of 125 bytes or less"',
    what: "a close with a reason one byte longer",
    steps: [...echo, send(frame(op.close, closeBody(1000, "x".repeat(124)))), fails(1002)],
  },
  {
    id: "5.5.1-one-byte",
    must: '"If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer"',
    what: "a close with a body of one byte",
    steps: [...echo, send(frame(op.close, "x")), fails(1002)],
  },
  ...["ceba e1bdb9 cf83 ceb5 eda080 65", "ff", "c080", "e5bc"].map((bytes, index): Case => ({
    id: `8.1-reason-${index + 1}`,
    must: '"that endpoint MUST _Fail the WebSocket Connection_. This rule applies both during the opening handshake and during subsequent data exchange."',
    what: `a close whose reason is not UTF-8 (${bytes})`,
    steps: [
      ...echo,
      send(frame(op.close, closeBody(1000, Buffer.from(bytes.replaceAll(" ", ""), "hex")))),
      fails(1007),
    ],
  })),
  {
    id: "5.5.1-after-a-message",
    must: '"the endpoint MUST send a Close frame in response"',
    what: "a message and a close in one packet: both are answered",
    steps: [send(frame(op.text, "last")), shouldSee(text("last")), closes(1000)],
    ways: ["whole"],
  },
  ...(
    [
      ["message", "a message", frame(op.text, "late")],
      ["ping", "a ping", frame(op.ping, "late")],
      ["close", "a second close", frame(op.close, closeBody(1001))],
      ["garbage", "what is no frame", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ] as const
  ).map(([name, what, late]): Case => ({
    id: `5.5.1-then-${name}`,
    must: '"after receiving a control frame indicating the connection should be closed, a peer discards any further data received" (§1.4)',
    what: `${what} behind a close is not answered`,
    steps: [...echo, send(Buffer.concat([frame(op.close, closeBody(1000)), late])), fails(1000)],
  })),
  {
    id: "7.1.1-server-ends-tcp",
    must: '§5.5.1: "The server MUST close the underlying TCP connection immediately; the client SHOULD wait for the server to close the connection"',
    what: "we send nothing and end nothing behind our close: the server ends TCP",
    steps: [...echo, closes(1000)],
  },
  {
    id: "7.1.5-client-gone",
    must: '"no Close control frame was received … _The WebSocket Connection Close Code_ is considered to be 1006": it is over, and the server lives on',
    what: "FIN without a close frame",
    steps: [...echo, { kind: "drop", how: "fin" }],
  },
  {
    id: "7.1.5-client-gone-in-a-frame",
    must: '"no Close control frame was received … _The WebSocket Connection Close Code_ is considered to be 1006": it is over, and the server lives on',
    what: "FIN inside of a frame",
    steps: [...echo, send(frame(op.text, "Hello").subarray(0, 7)), { kind: "drop", how: "fin" }],
  },
  {
    id: "7.1.5-reset",
    must: '"no Close control frame was received … _The WebSocket Connection Close Code_ is considered to be 1006": it is over, and the server lives on',
    what: "RST in the middle of a message",
    steps: [...echo, send(frame(op.text, "a", { fin: false })), { kind: "drop", how: "reset" }],
  },
  {
    id: "7.1.7-nothing-more",
    must: '"An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the remote endpoint"',
    what: "messages, pings and a close behind a violation",
    steps: [
      send(
        frame(op.text, "x", { rsv: 1 }),
        frame(op.text, "late"),
        frame(op.ping, "late"),
        frame(op.close, closeBody(1000)),
      ),
      fails(1002),
    ],
  },
];

const lawful = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
/** Added to the IANA registry after the RFC. */
const registered = [1012, 1013, 1014];
const unlawful = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 65_535];

const codes: Case[] = [
  ...lawful.map((code): Case => ({
    id: `7.4-code-${code}`,
    must: '"Endpoints MAY use the following pre-defined status codes"; 3000-4999 "for use by libraries" and "private use"',
    what: `a close with ${code}`,
    steps: [closes(code, "why")],
  })),
  ...registered.map((code): Case => ({
    id: `7.4-code-${code}`,
    must: '"Status codes in the range 1000-2999 are reserved for definition by this protocol, its future revisions, and extensions": IANA has it',
    what: `a close with ${code}`,
    steps: [closes(code, "why")],
  })),
  ...unlawful.flatMap((code): Case[] =>
    ["", "why"].map((reason) => ({
      id: `7.4-code-${code}${reason === "" ? "" : "-reason"}`,
      must: '"Status codes in the range 0-999 are not used."; 1004 is reserved; 1005, 1006, 1015 "MUST NOT be set as a status code in a Close control frame"; 1016-2999 and 5000 up are nobody\'s',
      what: `a close with ${code}${reason === "" ? "" : " and a reason"}`,
      steps: [send(frame(op.close, closeBody(code, reason))), fails(1002)],
    })),
  ),
];

export const closingCases: readonly Case[] = [...handshake, ...codes];
