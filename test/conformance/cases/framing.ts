/** RFC 6455 §5.1 and §5.2: masking, reserved bits, opcodes and lengths. */
import {
  binary,
  fails,
  failsBefore,
  pong,
  sees,
  send,
  shouldSee,
  text,
  type Case,
  type Step,
} from "../case.ts";
import { frame, hex, op } from "../wire.ts";

const hello = "Hello";
const before = [send(frame(op.text, hello)), shouldSee(text(hello))];

const masking: Case[] = [
  ...(
    [
      ["text", frame(op.text, hello, { key: null })],
      ["binary", frame(op.binary, hello, { key: null })],
      ["empty", frame(op.text, "", { key: null })],
      ["ping", frame(op.ping, hello, { key: null })],
      ["pong", frame(op.pong, "", { key: null })],
      ["close", frame(op.close, hex("03e8"), { key: null })],
      [
        "continuation",
        Buffer.concat([frame(op.text, "a", { fin: false }), frame(op.continuation, "b", { key: null })]),
      ],
      ["behind-a-masked-one", Buffer.concat([frame(op.pong, ""), frame(op.text, hello, { key: null })])],
    ] as const
  ).map(([name, bytes]): Case => ({
    id: `5.1-unmasked-${name}`,
    must: '"The server MUST close the connection upon receiving a frame that is not masked."',
    what: `an unmasked frame: ${name.replaceAll("-", " ")}`,
    steps: [send(bytes), fails(1002)],
  })),
  ...[0, 0xffff_ffff, 0x0000_00ff, 0xff00_0000, 0x1234_5678].map((key): Case => ({
    id: `5.3-key-${key.toString(16).padStart(8, "0")}`,
    must: '"Octet i of the transformed data … is the XOR of octet i of the original data … with octet at index i modulo 4"',
    what: `messages of 0 to 9 bytes with the key ${key.toString(16).padStart(8, "0")}`,
    steps: Array.from({ length: 10 }, (_, size) => Buffer.from("0123456789").subarray(0, size)).flatMap(
      (payload): Step[] => [send(frame(op.binary, payload, { key })), sees(binary(payload))],
    ),
  })),
];

/** All seven combinations, on every kind of frame, alone and behind a good message. */
const reservedBits: Case[] = [1, 2, 3, 4, 5, 6, 7].flatMap((rsv) => {
  const named = `rsv${[4, 2, 1].flatMap((bit, index) => ((rsv & bit) === 0 ? [] : [index + 1])).join("")}`;
  const rows: readonly (readonly [string, Buffer])[] = [
    ["text", frame(op.text, hello, { rsv })],
    ["binary", frame(op.binary, hello, { rsv })],
    ["ping", frame(op.ping, hello, { rsv })],
    ["pong", frame(op.pong, hello, { rsv })],
    ["close", frame(op.close, hex("03e8"), { rsv })],
    ["empty", frame(op.text, "", { rsv })],
    [
      "continuation",
      Buffer.concat([frame(op.text, "a", { fin: false }), frame(op.continuation, "b", { rsv })]),
    ],
    ["fragment", frame(op.text, hello, { rsv, fin: false })],
  ];
  const must =
    '"RSV1, RSV2, RSV3 … MUST be 0 unless an extension is negotiated that defines meanings for non-zero values."';
  const behind: Case = {
    id: `5.2-${named}-behind`,
    must,
    what: `${named.toUpperCase()} behind a good message, a ping behind it`,
    steps: [...before, send(frame(op.text, hello, { rsv }), frame(op.ping, "x")), fails(1002)],
  };
  const cases = rows.map(([name, bytes]): Case => ({
    id: `5.2-${named}-${name}`,
    must,
    what: `${named.toUpperCase()} on a frame: ${name}`,
    steps: [send(bytes), fails(1002)],
  }));
  cases.push(behind);
  return cases;
});

const opcodes: Case[] = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].flatMap((opcode) => {
  const must =
    '"If an unknown opcode is received, the receiving endpoint MUST _Fail the WebSocket Connection_."';
  const rows: readonly (readonly [string, string, readonly Step[]])[] = [
    ["empty", "alone, empty", [send(frame(opcode))]],
    ["payload", "alone, with a payload", [send(frame(opcode, "reserved"))]],
    [
      "behind",
      "behind a good message, with a ping behind it",
      [...before, send(frame(opcode), frame(op.ping))],
    ],
    [
      "inside",
      "inside a fragmented message",
      [send(frame(op.text, "a", { fin: false }), frame(opcode, "b"))],
    ],
    ["unfinished", "without FIN", [send(frame(opcode, "", { fin: false }))]],
  ];
  return rows.map(([name, what, steps]): Case => ({
    id: `5.2-opcode-${opcode.toString(16)}-${name}`,
    must,
    what: `opcode 0x${opcode.toString(16)} ${what}`,
    steps: [...steps, fails(1002)],
  }));
});

const sizes = [
  0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 32_767, 32_768, 65_534, 65_535, 65_536, 65_537, 131_072,
];
const lengths: Case[] = sizes.flatMap((size): Case[] => {
  const must =
    '"The length of the "Payload data", in bytes: if 0-125, that is the payload length. If 126, the following 2 bytes … If 127, the following 8 bytes"';
  const words = "*".repeat(size);
  const bytes = Buffer.alloc(size, 0xfe);
  const ways = size > 400 ? (["whole", 997] as const) : (["whole", "bytes"] as const);
  return [
    {
      id: `5.2-length-text-${size}`,
      must,
      what: `text of ${size} bytes`,
      steps: [send(frame(op.text, words)), sees(text(words))],
      ways,
    },
    {
      id: `5.2-length-binary-${size}`,
      must,
      what: `binary of ${size} bytes`,
      steps: [send(frame(op.binary, bytes)), sees(binary(bytes))],
      ways,
    },
  ];
});

const minimal: Case[] = (
  [
    [16, 0],
    [16, 1],
    [16, 125],
    [64, 0],
    [64, 125],
    [64, 126],
    [64, 65_535],
  ] as const
).map(([form, size]) => ({
  id: `5.2-minimal-${form}-${size}`,
  must: '"in all cases, the minimal number of bytes MUST be used to encode the length"',
  what: `a length of ${size} in ${form} bits`,
  steps: [send(frame(op.binary, Buffer.alloc(size), { form })), fails(1002)],
}));

/** Only a header is sent: whoever waits for the payload waits for ever. */
const enormous: Case[] = [
  ...([1n << 63n, (1n << 63n) | 5n, (1n << 64n) - 1n] as const).map((says): Case => ({
    id: `5.2-sign-bit-${says.toString(16)}`,
    must: '"a 64-bit unsigned integer (the most significant bit MUST be 0)"',
    what: `a header that says 0x${says.toString(16)} bytes`,
    steps: [send(frame(op.binary, "", { says })), failsBefore(Buffer.alloc(4096), 1002, 1009)],
  })),
  ...([(1n << 63n) - 1n, 1n << 62n, 1n << 53n, 1n << 40n] as const).map((says): Case => ({
    id: `10.4-length-${says.toString(16)}`,
    must: 'endpoints with "limitations regarding the frame size or total message size … MUST protect themselves against exceeding those limits"',
    what: `a header that says 0x${says.toString(16)} bytes: judged before the payload comes`,
    steps: [send(frame(op.binary, "", { says })), failsBefore(Buffer.alloc(4096), 1009)],
  })),
  {
    id: "10.4-sum",
    must: '"total message size after reassembly from multiple frames"',
    what: "a fragment, then a header of 2^62 bytes",
    steps: [
      send(frame(op.binary, "a", { fin: false }), frame(op.continuation, "", { says: 1n << 62n })),
      failsBefore(Buffer.alloc(4096), 1009),
    ],
  },
];

const types: Case[] = [
  {
    id: "5.6-text",
    must: '"The "Payload data" is text data encoded as UTF-8."',
    what: "text comes back as text",
    steps: [send(frame(op.text, "κόσμε 弹幕 🎏")), sees(text("κόσμε 弹幕 🎏"))],
  },
  {
    id: "5.6-binary",
    must: '"The "Payload data" is arbitrary binary data"',
    what: "all 256 bytes come back as binary",
    steps: [
      send(frame(op.binary, Buffer.from(Array.from({ length: 256 }, (_, index) => index)))),
      sees(binary(Buffer.from(Array.from({ length: 256 }, (_, index) => index)))),
    ],
  },
  {
    id: "5.6-both",
    must: '"The opcode determines the interpretation of the data"',
    what: "text, binary and text after each other",
    steps: [
      send(frame(op.text, "a"), frame(op.binary, "b"), frame(op.text, "c")),
      sees(text("a")),
      sees(binary("b")),
      sees(text("c")),
    ],
  },
  {
    id: "5.6-empty",
    must: '"if 0-125, that is the payload length"',
    what: "empty messages of both kinds, and a ping between",
    steps: [
      send(frame(op.text), frame(op.ping), frame(op.binary)),
      sees(text("")),
      sees(pong()),
      sees(binary("")),
    ],
  },
];

export const framingCases: readonly Case[] = [
  ...masking,
  ...reservedBits,
  ...opcodes,
  ...lengths,
  ...minimal,
  ...enormous,
  ...types,
];
