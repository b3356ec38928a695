/** RFC 6455 §4: the opening handshake, and §9.1, the grammar of its extensions. */
import { sees, send, text, type Case, type OpeningCase, type OpeningExpectation } from "../case.ts";
import { key } from "../link.ts";
import { valuesOf, type ResponseHead } from "../response-head.ts";
import { frame, op } from "../wire.ts";

type Field = readonly [name: string, value: string];

interface RequestParts {
  readonly line?: string;
  /** In place of the field of that name; null leaves it out. */
  readonly fields?: Readonly<Record<string, string | null>>;
  readonly more?: readonly Field[];
  readonly behind?: Buffer;
  readonly isReversed?: boolean;
}

/** A good request, changed. */
function request(parts: RequestParts): OpeningCase["request"] {
  return (host, target) => {
    const good: Readonly<Record<string, string>> = {
      Host: host,
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Version": "13",
    };
    const kept = Object.entries(good).flatMap(([name, value]): string[] => {
      const changed = parts.fields?.[name];
      return changed === null ? [] : [`${name}: ${changed ?? value}`];
    });
    const lines = [...kept, ...(parts.more ?? []).map(([name, value]) => `${name}: ${value}`)];
    if (parts.isReversed === true) lines.reverse();
    const line = (parts.line ?? "GET TARGET HTTP/1.1")
      .replace("ABSOLUTE", `http://${host}${target}`)
      .replace("TARGET", target);
    return Buffer.concat([
      Buffer.from(`${line}\r\n${lines.join("\r\n")}\r\n\r\n`, "latin1"),
      parts.behind ?? Buffer.alloc(0),
    ]);
  };
}

const ways = ["whole", "bytes"] as const;
const refused: OpeningExpectation = { accepted: false };
const accepted: OpeningExpectation = { accepted: true };

type Row = readonly [name: string, what: string, parts: RequestParts, expect: OpeningExpectation];

function table(section: string, must: string, rows: readonly Row[]): Case[] {
  return rows.map(([name, what, parts, expect]) => ({
    id: `${section}-${name}`,
    must,
    what,
    request: request(parts),
    expect,
    ways: [...ways],
  }));
}

function keyRow(name: string, what: string, value: string | null): Row {
  return [name, what, { fields: { "Sec-WebSocket-Key": value } }, refused];
}

function names13(head: ResponseHead): string | null {
  return valuesOf(head, "sec-websocket-version")
    .join(",")
    .split(",")
    .some((each) => each.trim() === "13")
    ? null
    : "no Sec-WebSocket-Version that names 13";
}

function versionRow(name: string, value: string | null): Row {
  const shown = value === null ? "no version" : `version ${value === "" ? "that is empty" : value}`;
  return [name, shown, { fields: { "Sec-WebSocket-Version": value } }, { accepted: false, check: names13 }];
}

/** RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426 response". */
function upgradeWith426(head: ResponseHead): string | null {
  return head.status !== 426 || valuesOf(head, "upgrade").length > 0 ? null : "a 426 without Upgrade";
}

const echoed = [send(frame(op.text, "first")), sees(text("first"))];

const request421 = table(
  "4.2.1",
  '"An HTTP/1.1 or higher GET request"; for other requests the server "MUST stop processing the client\'s handshake"',
  [
    ["get", "a good handshake", {}, { ...accepted, steps: echoed }],
    ["post", "POST", { line: "POST TARGET HTTP/1.1" }, refused],
    ["head", "HEAD", { line: "HEAD TARGET HTTP/1.1" }, refused],
    ["put", "PUT", { line: "PUT TARGET HTTP/1.1" }, refused],
    ["lower-case-method", "get", { line: "get TARGET HTTP/1.1" }, refused],
    ["http-1.0", "HTTP/1.0", { line: "GET TARGET HTTP/1.0" }, refused],
    ["http-0.9", "no version", { line: "GET TARGET" }, refused],
    ["no-http", "an unknown protocol", { line: "GET TARGET HTTQ/1.1" }, refused],
    ["absolute-form", "the target with scheme and host", { line: "GET ABSOLUTE HTTP/1.1" }, accepted],
    ["query", "a target with a query", { line: "GET TARGET?a=b&c=%20 HTTP/1.1" }, accepted],
    ["fragment", "a target with #", { line: "GET TARGET#a HTTP/1.1" }, { ...refused, isLenient: true }],
  ],
);

const host421 = table("4.2.1", '"A |Host| header field containing the server\'s authority"', [
  ["host-missing", "no Host", { fields: { Host: null } }, refused],
  ["host-twice", "two Hosts", { more: [["Host", "other.example"]] }, { ...refused, isLenient: true }],
  ["host-empty", "an empty Host", { fields: { Host: "" } }, { ...refused, isLenient: true }],
  ["host-case", "the name in capitals", { fields: { Host: null }, more: [["HOST", "localhost"]] }, accepted],
]);

const upgrade421 = table(
  "4.2.1",
  '"An |Upgrade| header field containing the value "websocket", treated as an ASCII case-insensitive value"',
  [
    ["upgrade-missing", "no Upgrade", { fields: { Upgrade: null } }, refused],
    ["upgrade-other", "Upgrade: h2c", { fields: { Upgrade: "h2c" } }, refused],
    ["upgrade-longer", "Upgrade: websockets", { fields: { Upgrade: "websockets" } }, refused],
    ["upgrade-case", "Upgrade: WebSOCKET", { fields: { Upgrade: "WebSOCKET" } }, accepted],
    [
      "upgrade-list",
      "Upgrade: foo, websocket",
      { fields: { Upgrade: "foo, websocket" } },
      { ...accepted, isLenient: true },
    ],
  ],
);

const connection421 = table(
  "4.2.1",
  '"A |Connection| header field that includes the token "Upgrade", treated as an ASCII case-insensitive value"',
  [
    ["connection-missing", "no Connection", { fields: { Connection: null } }, refused],
    ["connection-other", "Connection: keep-alive", { fields: { Connection: "keep-alive" } }, refused],
    ["connection-longer", "Connection: upgraded", { fields: { Connection: "upgraded" } }, refused],
    ["connection-case", "Connection: uPGRADE", { fields: { Connection: "uPGRADE" } }, accepted],
    [
      "connection-list",
      "Connection: keep-alive, Upgrade",
      { fields: { Connection: "keep-alive, Upgrade" } },
      accepted,
    ],
    [
      "connection-lines",
      "two lines of Connection",
      { fields: { Connection: "keep-alive" }, more: [["Connection", "Upgrade"]] },
      accepted,
    ],
  ],
);

const key421 = table(
  "4.2.1",
  '"A |Sec-WebSocket-Key| header field with a base64-encoded … value that, when decoded, is 16 bytes in length"',
  [
    keyRow("key-missing", "no key", null),
    keyRow("key-empty", "an empty key", ""),
    keyRow("key-15-bytes", "a key of 15 bytes", "AAECAwQFBgcICQoLDA0O"),
    keyRow("key-17-bytes", "a key of 17 bytes", "AAECAwQFBgcICQoLDA0ODxA="),
    keyRow("key-not-base64", "a key that is not base64", "dGhlIHNhbXBsZSBub25j*Q=="),
    keyRow("key-url-alphabet", "a key in another alphabet", "_-_-_-_-_-_-_-_-_-_-_A=="),
    keyRow("key-unpadded", "a key without its padding", "dGhlIHNhbXBsZSBub25jZQ"),
    ["key-twice", "two keys", { more: [["Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEA=="]] }, refused],
  ],
);

const accept422 = table(
  "4.2.2",
  '"concatenating /key/ … with the string "258EAFA5-…", taking the SHA-1 hash … and base64-encoding"',
  [
    [
      "accept-example",
      "the example of §1.3",
      {},
      {
        ...accepted,
        check: (head) =>
          valuesOf(head, "sec-websocket-accept")[0] === "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            ? null
            : "not the RFC's value",
      },
    ],
    ...["AAAAAAAAAAAAAAAAAAAAAA==", "/////////////////////w==", "AQIDBAUGBwgJCgsMDQ4PEC=="].map(
      (each, index): Row => [
        `accept-${index + 1}`,
        `the key ${each}`,
        { fields: { "Sec-WebSocket-Key": each } },
        { ...accepted, key: each },
      ],
    ),
    [
      "accept-spaces",
      "the key between spaces and tabs",
      { fields: { "Sec-WebSocket-Key": ` \t${key}\t ` } },
      accepted,
    ],
  ],
);

const protocol422 = table(
  "4.2.2",
  'a |Sec-WebSocket-Protocol| "with a value /subprotocol/" derived "from the client\'s handshake", or none',
  [
    ["protocol-none", "none offered: none answered", {}, accepted],
    [
      "protocol-unknown",
      "one that nobody knows: no other is answered",
      { more: [["Sec-WebSocket-Protocol", "nobody-knows-this"]] },
      { ...accepted, protocols: ["nobody-knows-this"] },
    ],
    [
      "protocol-several",
      "several: one of them or none",
      { more: [["Sec-WebSocket-Protocol", "nobody-knows-this, echo"]] },
      { ...accepted, protocols: ["nobody-knows-this", "echo"] },
    ],
    [
      "protocol-lines",
      "several in two lines",
      {
        more: [
          ["Sec-WebSocket-Protocol", "nobody-knows-this"],
          ["Sec-WebSocket-Protocol", "echo"],
        ],
      },
      { ...accepted, protocols: ["nobody-knows-this", "echo"] },
    ],
    [
      "protocol-twice",
      "one that repeats itself",
      { more: [["Sec-WebSocket-Protocol", "a, a"]] },
      { ...refused, isLenient: true },
    ],
    [
      "protocol-no-token",
      "one with a space",
      { more: [["Sec-WebSocket-Protocol", "a b"]] },
      { ...refused, isLenient: true },
    ],
    [
      "protocol-empty",
      "an empty list",
      { more: [["Sec-WebSocket-Protocol", ""]] },
      { ...refused, isLenient: true },
    ],
  ],
);

const other421 = table(
  "4.2.1",
  '"Optionally, other header fields … Unknown header fields are ignored, as per [RFC2616]"',
  [
    ["fields-unknown", "a field that nobody knows", { more: [["X-Nobody-Knows", 'a, b; c="d"']] }, accepted],
    [
      "fields-cookie",
      "cookies, odd ones too",
      {
        more: [
          ["Cookie", "a=b; ===;;"],
          ["Cookie", "c"],
        ],
      },
      accepted,
    ],
    ["fields-order", "the fields backwards", { isReversed: true }, accepted],
    [
      "fields-lower-case",
      "names in lower case",
      { fields: { "Sec-WebSocket-Key": null }, more: [["sec-websocket-key", key]] },
      accepted,
    ],
    ["fields-folded", "a folded line", { more: [["X-Folded", "a\r\n b"]] }, { ...refused, isLenient: true }],
    [
      "fields-space",
      "a space before the colon",
      { more: [["X-Spaced ", "a"]] },
      { ...refused, isLenient: true },
    ],
  ],
);

const version44 = table(
  "4.4",
  '"If the server doesn\'t support the requested version, it MUST respond with a |Sec-WebSocket-Version| header field"',
  [
    versionRow("version-missing", null),
    ...["0", "8", "12", "14", "99", "255", "013", "13, 8", ""].map((value) =>
      versionRow(`version-${value === "" ? "empty" : value.replaceAll(/\W+/g, "-")}`, value),
    ),
    [
      "version-426",
      "a 426 names what to upgrade to",
      { fields: { "Sec-WebSocket-Version": "8" } },
      { ...refused, check: upgradeWith426 },
    ],
  ],
);

const extensions91 = table(
  "9.1",
  'a value "that does not conform to the ABNF …, the recipient … MUST immediately _Fail the WebSocket Connection_"',
  [
    ...[
      ["no-name", "; a"],
      ["no-parameter", "foo;"],
      ["no-value", "foo; a="],
      ["open-quote", 'foo; a="b'],
      ["quoted-no-token", 'foo; a="b c"'],
      ["space-in-name", "foo bar"],
      ["two-values", "foo; a=b=c"],
      ["bad-character", "foo/bar"],
    ].map(([name = "", value = ""]): Row => [
      `extensions-${name}`,
      value,
      { more: [["Sec-WebSocket-Extensions", value]] },
      { ...refused, isLenient: name === "no-parameter" },
    ]),
    ...[
      ["unknown", "foo"],
      ["unknown-parameters", 'foo; a; b=c; d="e", bar; a=1; a=2'],
      ["spaces", "foo ;\ta = b , bar"],
      ["empty-elements", ", foo,, bar ,"],
      ["prototype", "__proto__; constructor=toString"],
    ].map(([name = "", value = ""]): Row => [
      `extensions-${name}`,
      `${value}: declined, not refused`,
      { more: [["Sec-WebSocket-Extensions", value]] },
      // RFC 9110 §5.6 grants spaces and empty elements; RFC 6455 itself leaves them to HTTP.
      { ...accepted, isLenient: name === "spaces" || name === "empty-elements" },
    ]),
  ],
);

const behind: Case[] = [
  {
    id: "4.2.2-frames-behind",
    must: '"At this point, the server may begin sending (and receiving) data."',
    what: "a message in the packet of the handshake",
    request: request({ behind: frame(op.text, "early") }),
    expect: { ...accepted, steps: [sees(text("early"))] },
    ways: [...ways, 200],
  },
  {
    id: "4.2.1-frames-behind-refusal",
    must: 'the server "MUST stop processing the client\'s handshake"',
    what: "frames behind a refused handshake are none",
    request: request({ fields: { "Sec-WebSocket-Version": "8" }, behind: frame(op.text, "early") }),
    expect: refused,
  },
];

export const openingCases: readonly Case[] = [
  ...request421,
  ...host421,
  ...upgrade421,
  ...connection421,
  ...key421,
  ...other421,
  ...accept422,
  ...protocol422,
  ...version44,
  ...extensions91,
  ...behind,
];
