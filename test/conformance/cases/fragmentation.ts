/** RFC 6455 §5.4: fragmentation. */
import { binary, fails, nothing, pong, sees, send, shouldSee, text, type Case } from "../case.ts";
import { fragments, frame, op, pieces } from "../wire.ts";

const hello = "fragment1fragment2fragment3";
const parts = ["fragment1", "fragment2", "fragment3"];

const whole: Case[] = (
  [
    ["two", ["fragment1", "fragment2fragment3"]],
    ["three", parts],
    ["bytes", hello.split("")],
    ["empty-first", ["", hello]],
    ["empty-middle", ["fragment1", "", "fragment2fragment3"]],
    ["empty-last", [hello, ""]],
    ["all-empty", ["", "", ""]],
    [
      "inside-a-code-point",
      [Buffer.from("e5bc", "hex"), Buffer.from("b9e5b9", "hex"), Buffer.from("95", "hex")],
    ],
  ] as const
).flatMap(([name, payloads]): Case[] => {
  const must =
    '"A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0, followed by zero or more frames …, and terminated by a single frame with the FIN bit set and an opcode of 0."';
  const joined = Buffer.concat(payloads.map((each) => Buffer.from(each as string)));
  const wire = { text: fragments(op.text, payloads), binary: fragments(op.binary, payloads) };
  const shown = name.replaceAll("-", " ");
  return [
    {
      id: `5.4-text-${name}`,
      must,
      what: `text in fragments: ${shown}`,
      steps: [send(...wire.text), sees(text(joined))],
    },
    {
      id: `5.4-binary-${name}`,
      must,
      what: `binary in fragments: ${shown}`,
      steps: [send(...wire.binary), sees(binary(joined))],
    },
  ];
});

const [first, second, third] = fragments(op.text, parts);
const control: Case[] = [
  {
    id: "5.4-ping-between",
    must: '"Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message."',
    what: "a ping between two fragments, in one packet",
    steps: [
      send(first!, frame(op.ping, "between"), second!, third!),
      sees(pong("between")),
      sees(text(hello)),
    ],
  },
  {
    id: "5.4-ping-answered-before-the-end",
    must: '"An endpoint MUST be capable of handling control frames in the middle of a fragmented message."',
    what: "the pong does not wait for the message to end",
    steps: [send(first!, frame(op.ping, "now")), sees(pong("now")), send(second!, third!), sees(text(hello))],
  },
  {
    id: "5.4-pings-everywhere",
    must: '"An endpoint MUST be capable of handling control frames in the middle of a fragmented message."',
    what: "a ping before each fragment and behind the last",
    steps: [
      send(
        frame(op.ping, "1"),
        first!,
        frame(op.ping, "2"),
        second!,
        frame(op.ping, "3"),
        third!,
        frame(op.ping, "4"),
      ),
      sees(pong("1")),
      sees(pong("2")),
      sees(pong("3")),
      sees(text(hello)),
      sees(pong("4")),
    ],
  },
  {
    id: "5.4-pong-between",
    must: '"Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message."',
    what: "an unsolicited pong between two fragments",
    steps: [send(first!, frame(op.pong, "x"), second!, third!), sees(text(hello))],
  },
  {
    id: "5.4-close-between",
    must: '"Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message."',
    what: "a close between two fragments: answered, and the message is not",
    steps: [send(first!), { kind: "close", body: Buffer.from("03e8", "hex"), codes: [1000] }],
  },
  {
    id: "6.2-no-part-of-it",
    must: '"When the last fragment is received …, it is said that _A WebSocket Message Has Been Received_"',
    what: "two fragments of three: no echo yet",
    steps: [send(first!, second!), ...nothing(), send(third!), sees(text(hello))],
  },
  {
    id: "5.4-two-messages",
    must: '"Message fragments MUST be delivered to the recipient in the order sent by the sender"',
    what: "two fragmented messages and a whole one, one behind the other",
    steps: [
      send(...fragments(op.text, ["a", "b"]), ...fragments(op.binary, ["c", "d"]), frame(op.text, "e")),
      sees(text("ab")),
      sees(binary("cd")),
      sees(text("e")),
    ],
  },
];

const broken: Case[] = (
  [
    ["continuation-alone", "a last continuation without a beginning", [frame(op.continuation, "x")], []],
    [
      "continuation-unfinished",
      "a continuation without a beginning or end",
      [frame(op.continuation, "x", { fin: false })],
      [],
    ],
    ["continuation-empty", "an empty one", [frame(op.continuation)], []],
    [
      "continuation-then-text",
      "a continuation without a beginning, then a message",
      [frame(op.continuation, "x", { fin: false }), frame(op.text, "a")],
      [],
    ],
    [
      "continuation-behind",
      "a continuation behind a whole message",
      [frame(op.text, "a"), frame(op.continuation, "x")],
      [shouldSee(text("a"))],
    ],
    [
      "continuation-behind-fragments",
      "a continuation behind the last one",
      [...fragments(op.text, ["a", "b"]), frame(op.continuation, "x", { fin: false })],
      [shouldSee(text("ab"))],
    ],
    [
      "text-inside",
      "a new text inside a text",
      [frame(op.text, "a", { fin: false }), frame(op.text, "b")],
      [],
    ],
    [
      "binary-inside",
      "a binary inside a text",
      [frame(op.text, "a", { fin: false }), frame(op.binary, "b")],
      [],
    ],
    [
      "text-inside-binary",
      "a text inside a binary",
      [frame(op.binary, "a", { fin: false }), frame(op.text, "b")],
      [],
    ],
    [
      "fragments-with-opcode",
      "continuations that repeat the opcode",
      [frame(op.text, "a", { fin: false }), frame(op.text, "b", { fin: false }), frame(op.continuation, "c")],
      [],
    ],
  ] as const
).map(([name, what, frames, steps]) => ({
  id: `5.4-${name}`,
  must: '"The fragments of one message MUST NOT be interleaved between the fragments of another message"',
  what,
  steps: [send(...frames), ...steps, fails(1002)],
}));

const mebibyte = 2 ** 20;
const words = Buffer.alloc(4 * mebibyte, "*");
const bytes = Buffer.alloc(4 * mebibyte, 0xfe);
/** 4 MiB, as the public suite's 9.3 and 9.4: 65,536 fragments at most. */
const large: Case[] = [64, 256, 1024, 4096, 16_384, 65_536, 262_144, mebibyte, 4 * mebibyte].flatMap(
  (size): Case[] => {
    const must = '"to allow sending a message that is of unknown size when the message is started"';
    // Made when it runs: together they are a hundred megabytes.
    const cut = (opcode: number, payload: Buffer): Buffer =>
      Buffer.concat(fragments(opcode, [...pieces(payload, size), Buffer.alloc(0)]));
    return [
      {
        id: `5.4-4mib-text-in-${size}`,
        must,
        what: `4 MiB of text in fragments of ${size} bytes and an empty one`,
        steps: [
          { kind: "series", count: 1, message: () => ({ wire: cut(op.text, words), seen: text(words) }) },
        ],
        isHeavy: true,
      },
      {
        id: `5.4-4mib-binary-in-${size}`,
        must,
        what: `4 MiB of binary in fragments of ${size} bytes and an empty one`,
        steps: [
          { kind: "series", count: 1, message: () => ({ wire: cut(op.binary, bytes), seen: binary(bytes) }) },
        ],
        isHeavy: true,
      },
    ];
  },
);

export const fragmentationCases: readonly Case[] = [...whole, ...control, ...broken, ...large];
