/** RFC 7692 §5 and §7.1: how compression is agreed on. What cannot be met is declined, never refused. */
import { sees, send, text, type Case, type OpeningCase } from "../case.ts";
import { key } from "../link.ts";
import { agreementOf, valuesOf, type Agreement, type ResponseHead } from "../response-head.ts";
import { frame, op } from "../wire.ts";

const name = "permessage-deflate";

function request(offers: readonly string[]): OpeningCase["request"] {
  return (host, target) =>
    `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n` +
    `${offers.map((offer) => `Sec-WebSocket-Extensions: ${offer}\r\n`).join("")}\r\n`;
}

interface Row {
  readonly id: string;
  readonly must: string;
  readonly offers: readonly string[];
  readonly demand: (agreement: Agreement | null) => string | null;
}

function offerCase({ id, must, offers, demand }: Row): Case {
  const check = (head: ResponseHead): string | null => {
    try {
      return demand(agreementOf(head));
    } catch (error) {
      return `${String(error)} (${valuesOf(head, "sec-websocket-extensions").join(", ")})`;
    }
  };
  return {
    id: `7692-${id}`,
    must,
    what: offers.map((offer) => offer.replaceAll(name, "p-d")).join(" and in a second line "),
    request: request(offers),
    expect: {
      accepted: true,
      offersExtensions: true,
      check,
      // Whatever was agreed on, a message without RSV1 is understood.
      steps: [send(frame(op.text, "plain")), sees(text("plain"))],
    },
  };
}

const declined =
  (why: string) =>
  (agreement: Agreement | null): string | null =>
    agreement === null ? null : `accepted ${why}`;

/** Accepted or declined; if accepted, then with these words. */
function ifAccepted(demand: (agreement: Agreement) => string | null) {
  return (agreement: Agreement | null): string | null => (agreement === null ? null : demand(agreement));
}

function clientBitsUnasked(agreement: Agreement): string | null {
  return agreement.parameters.has("client_max_window_bits")
    ? "client_max_window_bits is answered to a client that did not offer it"
    : null;
}

const declineMust =
  '§7: "MUST decline" an offer that "contains an extension parameter not defined for use in an offer", "with an invalid value" or "multiple extension parameters with the same name"';

const invalid: readonly (readonly [string, string])[] = [
  ["unknown-parameter", "unknown"],
  ["unknown-with-value", "unknown=1"],
  ["server-bits-7", "server_max_window_bits=7"],
  ["server-bits-16", "server_max_window_bits=16"],
  ["server-bits-0", "server_max_window_bits=0"],
  ["server-bits-08", "server_max_window_bits=08"],
  ["server-bits-010", "server_max_window_bits=010"],
  ["server-bits-none", "server_max_window_bits"],
  ["server-bits-word", "server_max_window_bits=ten"],
  ["server-bits-signed", "server_max_window_bits=+10"],
  ["server-bits-quoted-16", 'server_max_window_bits="16"'],
  ["server-bits-twice", "server_max_window_bits=10; server_max_window_bits=10"],
  ["client-bits-7", "client_max_window_bits=7"],
  ["client-bits-16", "client_max_window_bits=16"],
  ["client-bits-08", "client_max_window_bits=08"],
  ["client-bits-word", "client_max_window_bits=ten"],
  ["client-bits-twice", "client_max_window_bits; client_max_window_bits=10"],
  ["server-context-value", "server_no_context_takeover=1"],
  ["client-context-value", "client_no_context_takeover=true"],
  ["server-context-twice", "server_no_context_takeover; server_no_context_takeover"],
  ["client-context-twice", "client_no_context_takeover; client_no_context_takeover"],
];

const offers: readonly Row[] = [
  ...invalid.flatMap(([each, parameter]): Row[] => [
    { id: `7.1-${each}`, must: declineMust, offers: [`${name}; ${parameter}`], demand: declined(parameter) },
    {
      id: `5.1-${each}-fallback`,
      must: "offers come in order of preference: when one must be declined, the next is looked at",
      offers: [`${name}; ${parameter}, ${name}; server_no_context_takeover`],
      demand: ifAccepted((agreement) =>
        agreement.serverNoContext ? null : "not the offer that could be met",
      ),
    },
  ]),
  {
    id: "5.1-other-extension-first",
    must: "offers come in order of preference: what is unknown is declined, the next is looked at",
    offers: [`foo; bar=1, ${name}; server_no_context_takeover`],
    demand: ifAccepted((agreement) => (agreement.serverNoContext ? null : "not the offer that was made")),
  },
  {
    id: "5.1-two-lines",
    must: 'RFC 6455 §11.3.2: the field "MAY appear multiple times in an HTTP request (which is logically the same as a single |Sec-WebSocket-Extensions| header field that contains all values"',
    offers: ["foo", `${name}; server_no_context_takeover`],
    demand: ifAccepted((agreement) => (agreement.serverNoContext ? null : "not the offer that was made")),
  },
  {
    id: "5.1-fifty",
    must: "offers come in order of preference: one is accepted",
    offers: [Array.from({ length: 50 }, () => name).join(", ")],
    demand: () => null,
  },
  {
    id: "7.1-plain",
    must: '"permessage-deflate" alone is a valid offer',
    offers: [name],
    demand: ifAccepted(clientBitsUnasked),
  },
  {
    id: "7.1.1.1-server-no-context",
    must: '"A server accepts an extension negotiation offer that includes the "server_no_context_takeover" extension parameter by including" it',
    offers: [`${name}; server_no_context_takeover`],
    demand: ifAccepted((agreement) => (agreement.serverNoContext ? null : "accepted without it")),
  },
  {
    id: "7.1.1.2-client-no-context",
    must: '"client_no_context_takeover" in an offer: "a hint"; the server may answer it or not',
    offers: [`${name}; client_no_context_takeover`],
    demand: ifAccepted(clientBitsUnasked),
  },
  {
    id: "7.1.1-both",
    must: "all parameters of §7.1.1 together",
    offers: [`${name}; server_no_context_takeover; client_no_context_takeover`],
    demand: ifAccepted((agreement) => (agreement.serverNoContext ? null : "accepted without it")),
  },
  ...[8, 9, 10, 11, 12, 13, 14, 15].flatMap((bits): Row[] => [
    {
      id: `7.1.2.1-server-bits-${bits}`,
      must: 'the server accepts by answering server_max_window_bits "with the same or smaller value as the offer"',
      offers: [`${name}; server_max_window_bits=${bits}`],
      demand: ifAccepted(({ parameters, serverBits }) =>
        !parameters.has("server_max_window_bits")
          ? "accepted without it"
          : serverBits > bits
            ? `answered ${serverBits}`
            : null,
      ),
    },
    {
      id: `7.1.2.2-client-bits-${bits}`,
      must: '"client_max_window_bits" in the answer: "a value equal to or smaller than the received value"',
      offers: [`${name}; client_max_window_bits=${bits}`],
      demand: ifAccepted(({ parameters, clientBits }) =>
        parameters.has("client_max_window_bits") && clientBits > bits ? `answered ${clientBits}` : null,
      ),
    },
  ]),
  {
    id: "7.1.2.1-server-bits-quoted",
    must: "RFC 6455 §9.1: \"When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to the 'token' ABNF\": it is the same value",
    offers: [`${name}; server_max_window_bits="10"`],
    demand: ifAccepted(({ serverBits }) => (serverBits <= 10 ? null : `answered ${serverBits}`)),
  },
  {
    id: "7.1.2.2-client-bits-any",
    must: '"client_max_window_bits" without a value: the client takes the parameter in a response',
    offers: [`${name}; client_max_window_bits`],
    demand: () => null,
  },
  {
    id: "7.1.2.2-not-offered",
    must: '"If a received extension negotiation offer doesn\'t have the "client_max_window_bits" extension parameter, the … response … MUST NOT include" it',
    offers: [`${name}; server_max_window_bits=12`],
    demand: ifAccepted(clientBitsUnasked),
  },
  {
    id: "7.1.3-example",
    must: "§7.1.3: an offer with a fallback",
    offers: [`${name}; client_max_window_bits; server_max_window_bits=10, ${name}; client_max_window_bits`],
    demand: ifAccepted(({ serverBits, parameters }) =>
      parameters.has("server_max_window_bits") && serverBits > 10 ? `answered ${serverBits}` : null,
    ),
  },
];

export const deflateOfferCases: readonly Case[] = offers.map(offerCase);
