/** RFC 7692 §6 and §7.2: compressed messages. */
import { deflateRawSync, constants } from "node:zlib";
import { binary, fails, pong, sees, send, sendWith, text, type Case, type Step } from "../case.ts";
import { closeBody, fragments, frame, hex, op, pieces } from "../wire.ts";

const offer = "permessage-deflate; client_max_window_bits";
const compressed = { rsv: 4 };
const hello = hex("f2 48 cd c9 c9 07 00");

function deflateCase(id: string, must: string, what: string, steps: readonly Step[]): Case {
  return { id: `7692-${id}`, must, what, offer, steps };
}

/** What §7.2.1 makes of a message by itself. */
function deflated(plain: Buffer | string, level = 6): Buffer {
  return deflateRawSync(plain, { level, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
}

const examples: Case[] = [
  deflateCase("7.2.3.1-one-block", 'the RFC\'s example: "Hello" in one block', "f248cdc9c90700", [
    send(frame(op.text, hello, compressed)),
    sees(text("Hello")),
  ]),
  deflateCase(
    "7.2.3.1-fragments",
    "the RFC's example: the same in two fragments, RSV1 on the first",
    "f248cd c9c90700",
    [send(...fragments(op.text, [hello.subarray(0, 3), hello.subarray(3)], compressed)), sees(text("Hello"))],
  ),
  deflateCase(
    "7.2.3.2-shared-window",
    'the RFC\'s example: "Hello" twice, the second time f200110000 if a context is kept',
    "with the window of the message before, where agreed on",
    [
      send(frame(op.text, hello, compressed)),
      sees(text("Hello")),
      sendWith(({ agreement }) =>
        frame(op.text, agreement.clientNoContext ? hello : hex("f200110000"), compressed),
      ),
      sees(text("Hello")),
    ],
  ),
  deflateCase("7.2.3.3-stored", "the RFC's example: a block without compression", "000500faff48656c6c6f00", [
    send(frame(op.text, hex("00 05 00 fa ff 48 65 6c 6c 6f 00"), compressed)),
    sees(text("Hello")),
  ]),
  deflateCase("7.2.3.4-final-block", 'the RFC\'s example: "BFINAL" set to 1', "f348cdc9c9070000", [
    send(frame(op.text, hex("f3 48 cd c9 c9 07 00 00"), compressed)),
    sees(text("Hello")),
  ]),
  deflateCase("7.2.3.5-two-blocks", "the RFC's example: two DEFLATE blocks", "f248050000 00ffffcac9c90700", [
    send(frame(op.text, hex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), compressed)),
    sees(text("Hello")),
  ]),
  deflateCase("7.2.3.6-empty", "the RFC's example: an empty message is 0x00", "00", [
    send(frame(op.text, hex("00"), compressed)),
    sees(text("")),
  ]),
];

const six: Case[] = [
  deflateCase(
    "6-uncompressed",
    '"this bit indicates whether a message is compressed or not"',
    "a message without RSV1 between compressed ones",
    [
      send(frame(op.text, hello, compressed), frame(op.text, "plain"), frame(op.text, hello, compressed)),
      sees(text("Hello")),
      sees(text("plain")),
      sees(text("Hello")),
    ],
  ),
  deflateCase("6-empty-fragments", "§6.1: a message may be cut anywhere", "empty fragments around it", [
    send(...fragments(op.text, [Buffer.alloc(0), hello, Buffer.alloc(0)], compressed)),
    sees(text("Hello")),
  ]),
  deflateCase(
    "6-byte-fragments",
    "§6.1: a message may be cut anywhere",
    "each byte a fragment, pings between",
    [
      send(
        ...fragments(op.text, pieces(hello, 1), compressed).flatMap((each, index) =>
          index === 3 ? [frame(op.ping, "between"), each] : [each],
        ),
      ),
      sees(pong("between")),
      sees(text("Hello")),
    ],
  ),
  deflateCase(
    "6-control-plain",
    "control frames are never compressed",
    "a ping between compressed messages",
    [
      send(frame(op.text, hello, compressed), frame(op.ping, "plain"), frame(op.binary, hello, compressed)),
      sees(text("Hello")),
      sees(pong("plain")),
      sees(binary("Hello")),
    ],
  ),
  ...(
    [
      [
        "continuation",
        Buffer.concat([
          frame(op.text, hello.subarray(0, 3), { ...compressed, fin: false }),
          frame(op.continuation, hello.subarray(3), compressed),
        ]),
      ],
      [
        "continuation-of-plain",
        Buffer.concat([frame(op.text, "a", { fin: false }), frame(op.continuation, "b", compressed)]),
      ],
      ["ping", frame(op.ping, "x", compressed)],
      ["pong", frame(op.pong, "x", compressed)],
      ["close", frame(op.close, closeBody(1000), compressed)],
    ] as const
  ).map(([name, bytes]) =>
    deflateCase(
      `6-rsv1-${name}`,
      '"An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a data message"; "MUST _Fail the WebSocket Connection_"',
      `RSV1 on: ${name.replaceAll("-", " ")}`,
      [send(bytes), fails(1002)],
    ),
  ),
  ...[1, 2, 3, 5, 6, 7].map((rsv) =>
    deflateCase(
      `6-rsv-${rsv}`,
      'RFC 6455 §5.2: "MUST be 0 unless an extension is negotiated": RSV2 and RSV3 still',
      `the reserved bits ${rsv.toString(2).padStart(3, "0")}`,
      [send(frame(op.text, hello, { rsv })), fails(1002)],
    ),
  ),
];

/** A server that cannot inflate may say so as 1007, as 1002 or as 1011: no RFC names a code. */
const corruptCodes = [1007, 1002, 1011];
const corrupt: Case[] = (
  [
    ["reserved-block", "a block of type 3", hex("07")],
    ["garbage", "what is no DEFLATE data", hex("ff ff ff ff ff ff")],
    [
      "stored-length",
      "a stored block whose length does not match its complement",
      hex("00 05 00 00 00 48 65 6c 6c 6f 00"),
    ],
    ["too-far-back", "a distance that reaches behind the beginning", hex("f2 00 11 00 00")],
    ["dynamic-broken", "a dynamic block with broken code lengths", hex("04 c0 ff ff ff ff ff ff")],
    ["cut", "cut in the middle of a block", deflated("Hello Hello Hello, 你好".repeat(20)).subarray(0, 12)],
  ] as const
).map(([name, what, bytes]) =>
  deflateCase(
    `7.2.2-${name}`,
    '"Decompress the resulting data using DEFLATE": what cannot be is a failure of the connection (RFC 6455 §7.1.7)',
    what,
    [send(frame(op.text, bytes, compressed)), fails(...corruptCodes)],
  ),
);

const contents: Case[] = [
  ...[0, 1, 6, 9].map((level) =>
    deflateCase(
      `7.2.1-level-${level}`,
      "DEFLATE blocks of any type may be used",
      `1,000 bytes at level ${level}`,
      [
        send(frame(op.text, deflated("0123456789".repeat(100), level), compressed)),
        sees(text("0123456789".repeat(100))),
      ],
    ),
  ),
  deflateCase(
    "7.2.2-not-utf8",
    "RFC 6455 §8.1 holds for what comes out",
    "text that inflates to invalid UTF-8",
    [send(frame(op.text, deflated(hex("cebae1bdb9eda080")), compressed)), fails(1007)],
  ),
  deflateCase(
    "7.2.2-utf8-over-fragments",
    "RFC 6455 §8.1 holds for what comes out",
    "text whose compressed form is cut anywhere",
    [
      send(...fragments(op.text, pieces(deflated("κόσμε 弹幕 🎏".repeat(20)), 5), compressed)),
      sees(text("κόσμε 弹幕 🎏".repeat(20))),
    ],
  ),
  deflateCase("7.2.2-binary-that-is-no-text", "RFC 6455 §5.6", "binary that inflates to invalid UTF-8", [
    send(frame(op.binary, deflated(hex("cebae1bdb9eda080")), compressed)),
    sees(binary(hex("cebae1bdb9eda080"))),
  ]),
];

/** Text that shrinks, differs from place to place and repeats itself from afar. */
const words = Buffer.from(
  Array.from(
    { length: 6000 },
    (_, index) => `{"topic":"quote.${(index * 7919) % 6007}","price":${(index * 104_729) % 99_991}}`,
  ).join("\n"),
);
const sizes = [16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072];
/** [size of a message, size of its fragments], as the public suite's 12 and 13; 0 is one frame. */
const shapes: readonly (readonly [size: number, fragment: number])[] = [
  ...sizes.map((size) => [size, 0] as const),
  ...[8192, 16_384, 32_768, 65_536, 131_072].map((size) => [size, 256] as const),
  [131_072, 1024],
  [131_072, 4096],
  [131_072, 32_768],
];
/** The parameter sets of the public suite's 12 and 13, and three more. */
const parameterSets: readonly (readonly [name: string, offer: string])[] = [
  ["default", "permessage-deflate"],
  ["client-any", "permessage-deflate; client_no_context_takeover; client_max_window_bits"],
  [
    "server-no-context",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_no_context_takeover",
  ],
  [
    "server-9",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_max_window_bits=9",
  ],
  [
    "server-15",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_max_window_bits=15",
  ],
  [
    "server-no-context-9",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_no_context_takeover; server_max_window_bits=9",
  ],
  [
    "server-no-context-15",
    "permessage-deflate; client_no_context_takeover; client_max_window_bits; server_no_context_takeover; server_max_window_bits=15",
  ],
  [
    "fallback",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9, permessage-deflate; server_no_context_takeover, permessage-deflate",
  ],
  ["server-8", "permessage-deflate; server_no_context_takeover; server_max_window_bits=8"],
  ["client-9", "permessage-deflate; client_max_window_bits=9"],
  ["server-12", "permessage-deflate; server_no_context_takeover; server_max_window_bits=12"],
];

const series: Case[] = parameterSets.flatMap(([name, offered]) =>
  shapes.map(([size, fragment], row): Case => {
    const isText = row % 2 === 0;
    return {
      id: `7692-7.2-${name}-${size}${fragment === 0 ? "" : `-in-${fragment}`}`,
      must: "messages come back whole, whatever was agreed on, with and without context (§7.2.1, §7.2.2)",
      what: `messages of ${size} bytes${fragment === 0 ? "" : ` in fragments of ${fragment}`}, offered ${offered.replaceAll("permessage-deflate", "p-d")}`,
      offer: offered,
      isHeavy: true,
      steps: [
        {
          kind: "series",
          count: null,
          message: (index, window) => {
            const at = (index * 997) % (words.length - size);
            const plain = words.subarray(at, at + size);
            const payload = window!.deflate(plain);
            const parts = fragment === 0 ? [payload] : pieces(payload, fragment);
            const wire = Buffer.concat(fragments(isText ? op.text : op.binary, parts, compressed));
            return { wire, seen: isText ? text(plain) : binary(plain) };
          },
        },
      ],
    };
  }),
);

export const deflateMessageCases: readonly Case[] = [...examples, ...six, ...corrupt, ...contents, ...series];
