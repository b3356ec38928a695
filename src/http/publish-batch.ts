/**
 * From the bytes of a publish request to publications. Knows no HTTP: it reads messages out of lines, gives them to
 * the backend in order, and says per line what became of each. `data` is never parsed, only found (base/json-scanner),
 * so that prices keep their decimals and 64-bit integers their digits.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { BrokerError, RequestError } from "../base/errors.ts";
import { type Extent, objectMembers } from "../base/json-scanner.ts";
import { topicBytesMax } from "../base/topic.ts";
import type { BrokerTopic, Position } from "../broker/broker.ts";
import type { HttpBackend } from "./http-backend.ts";
import { unavailable } from "./http-refusal.ts";

/** Most messages in one request (PRODUCT contract, docs/HTTP.md). */
export const publishLinesMax = 1000;

/** What a message may have beside its `data`: member names, the topic with every character escaped, whitespace. */
export const envelopeBytesMax = 4096;

/** What became of one message. `line` counts from 1, blank lines included. */
export type PublishOutcome =
  | { readonly line: number; readonly topic: BrokerTopic; readonly position: Position | null }
  | { readonly line: number; readonly error: RequestError };

/** One line of a batch. */
export interface PublishLine {
  readonly number: number;
  /** Borrowed from the body. */
  readonly bytes: Uint8Array;
}

export interface PublishBatchOptions {
  readonly messageBytesMax: number;
  /** The key of one line's message, or undefined. A batch needs a different one for each line. */
  readonly idempotencyKeyOf: (lineNumber: number) => string | undefined;
  /** When the request came, of performance.now(). */
  readonly arrivedMs: number;
  /** Told of what nobody expected; the line is answered `internal`. */
  readonly onError: (error: unknown) => void;
}

const lineFeed = 0x0a;

/** How much of a batch is scanned in one turn of the event loop: under a millisecond. */
const sliceBytes = 262_144;

/**
 * Splits an NDJSON body at LF (a CR before it is JSON whitespace). Blank lines are no messages but are counted, so
 * that line numbers agree with the sender's file.
 * @throws RequestError `bad_request` when there are none, or more than `publishLinesMax`
 */
export function splitLines(body: Uint8Array): PublishLine[] {
  const lines: PublishLine[] = [];
  let number = 1;
  for (let start = 0; start < body.length; number++) {
    const found = body.indexOf(lineFeed, start);
    const end = found === -1 ? body.length : found;
    const bytes = body.subarray(start, end);
    if (!isBlank(bytes)) {
      if (lines.length === publishLinesMax) {
        throw new RequestError("bad_request", `a request has at most ${publishLinesMax} messages`);
      }
      lines.push({ number, bytes });
    }
    start = end + 1;
  }
  if (lines.length === 0) {
    throw new RequestError(
      "bad_request",
      'the body has no message: {"topic":"quote.AAPL","data":…} on each line',
    );
  }
  return lines;
}

/**
 * Publishes the lines that can be, in their order; a line that is refused holds up no other. The backend keeps call
 * order per topic, so no publication waits for the one before; a large batch is read in slices, between which the
 * event loop serves others.
 * Never rejects: a failure is a line's outcome. Outcomes are in line order.
 */
export async function publishBatch(
  lines: readonly PublishLine[],
  backend: HttpBackend,
  options: PublishBatchOptions,
): Promise<PublishOutcome[]> {
  const outcomes: Promise<PublishOutcome>[] = [];
  let bytesInSlice = 0;
  for (const line of lines) {
    outcomes.push(publishLine(line, backend, options));
    bytesInSlice += line.bytes.length;
    if (bytesInSlice >= sliceBytes) {
      bytesInSlice = 0;
      await nextTurn();
    }
  }
  return Promise.all(outcomes);
}

/** Runs up to the call of `backend.publish` before it returns: that is what keeps the order. */
async function publishLine(
  line: PublishLine,
  backend: HttpBackend,
  options: PublishBatchOptions,
): Promise<PublishOutcome> {
  try {
    const { topic, data } = readMessage(line.bytes, backend, options.messageBytesMax);
    const position = await backend.publish(topic, data, {
      idempotencyKey: options.idempotencyKeyOf(line.number),
      arrivedMs: options.arrivedMs,
    });
    return { line: line.number, topic, position };
  } catch (error) {
    if (error instanceof RequestError) return { line: line.number, error };
    if (error instanceof BrokerError) return { line: line.number, error: unavailable() };
    options.onError(error);
    return { line: line.number, error: new RequestError("internal", "an error of the server") };
  }
}

/**
 * Reads `{"topic","data"}`. Of duplicate members the last counts, as with JSON.parse.
 * @returns `data` as a copy of the exact bytes, which does not keep the body alive.
 * @throws RequestError
 */
function readMessage(
  bytes: Uint8Array,
  backend: HttpBackend,
  messageBytesMax: number,
): { topic: BrokerTopic; data: Uint8Array } {
  // Before scanning: an object of a million members must not become a Map.
  if (bytes.length > messageBytesMax + envelopeBytesMax) throw messageTooLarge(messageBytesMax);
  const members = objectMembers(bytes);
  if (members === null) {
    throw new RequestError("bad_request", 'a message is one JSON object {"topic":…,"data":…} in valid UTF-8');
  }
  const topicExtent = members.get("topic");
  if (topicExtent === undefined) {
    throw new RequestError("bad_request", '"topic" is missing: {"topic":"quote.AAPL","data":…}');
  }
  const dataExtent = members.get("data");
  if (dataExtent === undefined) {
    throw new RequestError(
      "bad_request",
      '"data" is missing: {"topic":"quote.AAPL","data":…}, null is a value too',
    );
  }
  if (members.size > 2) {
    throw new RequestError("bad_request", 'a message has the members "topic" and "data" and no others');
  }
  const topic = backend.topic(topicName(bytes, topicExtent));
  if (dataExtent.end - dataExtent.start > messageBytesMax) throw messageTooLarge(messageBytesMax);
  return { topic, data: new Uint8Array(bytes.subarray(dataExtent.start, dataExtent.end)) };
}

/** The value of the `topic` member when it can be a name at all; null otherwise, which no backend takes for one. */
function topicName(bytes: Uint8Array, extent: Extent): unknown {
  const quote = 0x22;
  if (bytes[extent.start] !== quote) return null;
  // Six characters, \uXXXX, for each byte and two quotes is the longest spelling of a good name.
  if (extent.end - extent.start > topicBytesMax * 6 + 2) {
    throw new RequestError("bad_topic", `a topic has at most ${topicBytesMax} bytes`);
  }
  return JSON.parse(
    Buffer.from(bytes.buffer, bytes.byteOffset + extent.start, extent.end - extent.start).toString(),
  );
}

function messageTooLarge(bytesMax: number): RequestError {
  return new RequestError("too_large", `the data of a message has at most ${bytesMax} bytes`);
}

function isBlank(bytes: Uint8Array): boolean {
  // RFC 8259 §2: whitespace is space, tab, LF and CR; LF cannot be here.
  for (const byte of bytes) {
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}
