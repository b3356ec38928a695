/** RFC 6455 §5.5: close, ping and pong frames. The closing handshake itself is in closing.ts. */
import { fails, nothing, pong, sees, send, text, type Case } from "../case.ts";
import { closeBody, frame, op } from "../wire.ts";

const names = [
  ["close", op.close],
  ["ping", op.ping],
  ["pong", op.pong],
] as const;

const shape: Case[] = names.flatMap(([name, opcode]): Case[] => {
  const must =
    '"All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."';
  const body = (size: number): Buffer =>
    opcode === op.close ? closeBody(1000, "x".repeat(size - 2)) : Buffer.alloc(size, "x");
  return [
    {
      id: `5.5-long-${name}`,
      must,
      what: `a ${name} of 126 bytes`,
      steps: [send(frame(opcode, body(126))), fails(1002)],
    },
    {
      id: `5.5-longer-${name}`,
      must,
      what: `a ${name} of 70,000 bytes`,
      steps: [send(frame(opcode, body(70_000))), fails(1002)],
      ways: ["whole"],
    },
    {
      id: `5.5-fragmented-${name}`,
      must,
      what: `a ${name} without FIN, and a continuation`,
      steps: [send(frame(opcode, body(10), { fin: false }), frame(op.continuation, "rest")), fails(1002)],
    },
    {
      id: `5.5-fragmented-inside-${name}`,
      must,
      what: `a ${name} without FIN inside a fragmented text`,
      steps: [
        send(frame(op.text, "a", { fin: false }), frame(opcode, body(10), { fin: false })),
        fails(1002),
      ],
    },
  ];
});

const pings: Case[] = [
  ...[0, 1, 4, 124, 125].map((size): Case => {
    const payload = Buffer.from(Array.from({ length: size }, (_, index) => 255 - index));
    return {
      id: `5.5.3-pong-${size}`,
      must: '"A Pong frame sent in response to a Ping frame must have identical "Application data""',
      what: `a ping of ${size} bytes that are no text`,
      steps: [send(frame(op.ping, payload)), sees(pong(payload))],
    };
  }),
  {
    id: "5.5.2-ten-pings",
    must: '"Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response"',
    what: "ten pings at once: answered in order",
    steps: [
      send(...Array.from({ length: 10 }, (_, index) => frame(op.ping, `ping ${index}`))),
      ...Array.from({ length: 10 }, (_, index) => sees(pong(`ping ${index}`))),
    ],
  },
  {
    id: "5.5.2-between-messages",
    must: '"Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response"',
    what: "pings between messages",
    steps: [
      send(frame(op.text, "a"), frame(op.ping, "1"), frame(op.text, "b"), frame(op.ping, "2")),
      sees(text("a")),
      sees(pong("1")),
      sees(text("b")),
      sees(pong("2")),
    ],
  },
];

const pongs: Case[] = (
  [
    ["empty", "an empty one", [frame(op.pong)]],
    ["payload", "one with a payload", [frame(op.pong, "unsolicited")]],
    ["several", "five of them", Array.from({ length: 5 }, () => frame(op.pong, "x"))],
  ] as const
).map(([name, what, frames]) => ({
  id: `5.5.3-unsolicited-${name}`,
  must: '"A Pong frame MAY be sent unsolicited. … A response to an unsolicited Pong frame is not expected."',
  what: `unsolicited pongs: ${what}; then a ping, which is answered`,
  steps: [send(...frames), ...nothing()],
}));

export const controlCases: readonly Case[] = [...shape, ...pings, ...pongs];
