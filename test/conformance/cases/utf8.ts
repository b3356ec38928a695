/**
 * RFC 6455 §8.1: "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in
 * fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_." The sequences are those of Markus
 * Kuhn's stress test and RFC 3629 §4.
 */
import { fails, failsBefore, pong, sees, send, text, type Case } from "../case.ts";
import { fragments, frame, hex, op, pieces } from "../wire.ts";

const must = '"is not, in fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_"';

const valid: readonly (readonly [name: string, hexText: string])[] = [
  ["ascii", "48656c6c6f2d"],
  ["two-bytes", "c3a9c39fc3bc"],
  ["greek", "cebae1bdb9cf83cebcceb5"],
  ["first-1", "00"],
  ["first-2", "c280"],
  ["first-3", "e0a080"],
  ["first-4", "f0908080"],
  ["last-1", "7f"],
  ["last-2", "dfbf"],
  ["last-3", "efbfbf"],
  ["last-4", "f48fbfbf"],
  ["before-surrogates", "ed9fbf"],
  ["after-surrogates", "ee8080"],
  ["replacement", "efbfbd"],
  ["byte-order-mark", "efbbbf61"],
  ["noncharacter-fffe", "efbfbe"],
  ["noncharacter-ffff", "efbfbf"],
  ["noncharacter-1fffe", "f09fbfbe"],
  ["noncharacter-10ffff", "f48fbfbf"],
  ["noncharacter-fdd0", "efb790"],

  ["combining", "65cc8165cc81"],
  ["emoji", "f09f8e8ff09f91a8e2808df09f91a9"],
];

const invalid: readonly (readonly [name: string, hexText: string])[] = [
  ["continuation-80", "80"],
  ["continuation-bf", "bf"],
  ["continuations-2", "80bf"],
  ["continuations-7", "80bf80bf80bf80"],
  ["all-continuations", Array.from({ length: 64 }, (_, index) => (0x80 + index).toString(16)).join("")],
  ["lead-2-space", "c020c120de20df20"],
  ["lead-3-space", "e020e120ef20"],
  ["lead-4-space", "f020f120f420"],
  ["lead-5", "f888808080"],
  ["lead-5-last", "fbbfbfbfbf"],
  ["lead-6", "fc8480808080"],
  ["lead-6-last", "fdbfbfbfbfbf"],
  ["fe", "fe"],
  ["ff", "ff"],
  ["fe-fe-ff-ff", "fefeffff"],
  ["cut-2", "c3"],
  ["cut-3-a", "e1"],
  ["cut-3-b", "e1bd"],
  ["cut-4-a", "f0"],
  ["cut-4-b", "f09f"],
  ["cut-4-c", "f09f8e"],
  ["cut-in-the-middle", "f09f8e41"],
  ["overlong-2-slash", "c0af"],
  ["overlong-3-slash", "e080af"],
  ["overlong-4-slash", "f08080af"],
  ["overlong-2-last", "c1bf"],
  ["overlong-3-last", "e09fbf"],
  ["overlong-4-last", "f08fbfbf"],
  ["overlong-2-nul", "c080"],
  ["overlong-3-nul", "e08080"],
  ["overlong-4-nul", "f0808080"],
  ["surrogate-d800", "eda080"],
  ["surrogate-db7f", "edadbf"],
  ["surrogate-db80", "edae80"],
  ["surrogate-dbff", "edafbf"],
  ["surrogate-dc00", "edb080"],
  ["surrogate-df80", "edbe80"],
  ["surrogate-dfff", "edbfbf"],
  ["surrogate-pair", "eda080edb080"],
  ["surrogate-pair-last", "edafbfedbfbf"],
  ["above-10ffff", "f4908080"],
  ["lead-f5", "f5808080"],
  ["lead-f7", "f7bfbfbf"],
  ["in-text", "cebae1bdb9cf83cebcceb5eda080656469746564"],
];

const whole: Case[] = [
  ...valid.flatMap(([name, bytes]): Case[] => [
    {
      id: `8.1-valid-${name}`,
      must,
      what: `valid: ${bytes}`,
      steps: [send(frame(op.text, hex(bytes))), sees(text(hex(bytes)))],
    },
    {
      id: `8.1-valid-${name}-cut`,
      must,
      what: `valid: ${bytes}, each byte a fragment, a ping between them`,
      steps: [
        send(
          ...fragments(op.text, [...pieces(hex(bytes), 1), Buffer.alloc(0)]).flatMap((each, index) =>
            index === 1 ? [frame(op.ping, "cut"), each] : [each],
          ),
        ),
        sees(pong("cut")),
        sees(text(hex(bytes))),
      ],
    },
  ]),
  ...invalid.flatMap(([name, bytes]): Case[] => [
    {
      id: `8.1-invalid-${name}`,
      must,
      what: `not UTF-8: ${bytes}`,
      steps: [send(frame(op.text, hex(bytes))), fails(1007)],
    },
    {
      id: `8.1-invalid-${name}-cut`,
      must,
      what: `not UTF-8: ${bytes}, each byte a fragment`,
      steps: [send(...fragments(op.text, [...pieces(hex(bytes), 1), Buffer.alloc(0)])), fails(1007)],
    },
    {
      id: `8.1-invalid-${name}-long`,
      must,
      what: `not UTF-8: ${bytes} behind 1,000 bytes of text`,
      steps: [send(frame(op.text, Buffer.concat([Buffer.alloc(1000, "a"), hex(bytes)]))), fails(1007)],
    },
  ]),
];

const start = hex("cebae1bdb9cf83cebcceb5");
const bad = hex("f4908080");
const end = hex("656469746564");

/** What can be known to be wrong is refused when it is there, not when the message ends. */
const failFast: Case[] = [
  {
    id: "8.1-fast-fragment",
    must,
    what: "three fragments, the second invalid: fails before the third",
    steps: [
      send(frame(op.text, start, { fin: false }), frame(op.continuation, bad, { fin: false })),
      failsBefore(frame(op.continuation, end), 1007),
    ],
  },
  {
    id: "8.1-fast-fragment-bytes",
    must,
    what: "the same, the invalid code point begun in one fragment and seen wrong in the next",
    steps: [
      send(
        frame(op.text, start, { fin: false }),
        frame(op.continuation, bad.subarray(0, 1), { fin: false }),
        frame(op.continuation, bad.subarray(1, 2), { fin: false }),
      ),
      failsBefore(
        Buffer.concat([frame(op.continuation, bad.subarray(2), { fin: false }), frame(op.continuation, end)]),
        1007,
      ),
    ],
  },
  {
    id: "8.1-fast-frame",
    must,
    what: "a frame that comes in parts: fails before its rest",
    steps: [
      send(frame(op.text, Buffer.concat([start, bad, end])).subarray(0, 6 + start.length + bad.length)),
      failsBefore(frame(op.text, Buffer.concat([start, bad, end])).subarray(0, end.length), 1007),
    ],
  },
  {
    id: "8.1-fast-frame-byte",
    must,
    what: "the same, cut behind the byte (0x90 behind 0xf4) that no valid text has there",
    steps: [
      send(frame(op.text, Buffer.concat([start, bad, end])).subarray(0, 6 + start.length + 2)),
      failsBefore(frame(op.text, Buffer.concat([start, bad, end])).subarray(0, 8), 1007),
    ],
  },
];

const notYet: Case[] = [
  {
    id: "8.1-waits-for-the-rest",
    must: "a code point that has only begun is not invalid",
    what: "a code point cut by two fragments with a second's ping between",
    steps: [
      send(frame(op.text, hex("f09f"), { fin: false }), frame(op.ping, "wait")),
      sees(pong("wait")),
      send(frame(op.continuation, hex("8e8f"))),
      sees(text(hex("f09f8e8f"))),
    ],
  },
  {
    id: "8.1-binary-is-free",
    must: '§5.6: "arbitrary binary data"',
    what: "the same bytes as binary",
    steps: [
      send(frame(op.binary, Buffer.concat([start, bad, end]))),
      sees({ kind: "binary", payload: Buffer.concat([start, bad, end]) }),
    ],
  },
];

export const utf8Cases: readonly Case[] = [...whole, ...failFast, ...notYet];
