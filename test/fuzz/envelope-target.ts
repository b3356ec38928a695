/** The bus envelope beside a regular expression, and the JSON scanner beside JSON.parse. */
import { isUtf8 } from "node:buffer";
import { isJson, jsonDepthMax, objectMembers } from "../../src/base/json-scanner.ts";
import { decodeEnvelope, encodeEnvelope } from "../../src/broker/bus-envelope.ts";
import { expectSame, type FuzzInput, type FuzzTarget } from "./fuzz-target.ts";
import { mutate } from "./mutate.ts";
import type { Random } from "./random.ts";

const values = [
  "1", "-0.10", "1e400", "12345678901234567890", '"哈哈哈"', '"\\u00e9\\n"', "true", "null", "[]", "{}", '{"a":{"b":[{},[]]}}',
  '{"price":1.10,"size":3}', " [1 , 2] ", '"@2-2 x"', '{"a":1,"a":2}', '{"\\u0061":1,"__proto__":2}', '"\u{10ffff}"',
]; // prettier-ignore

export const envelopeTarget: FuzzTarget = {
  name: "envelope",
  make(random) {
    const variant = random.int(2);
    const valid = variant === 0 ? envelope(random) : json(random, 0);
    const bytes = random.chance(85) ? mutate(random, valid) : valid;
    return { bytes, cuts: [], variant };
  },
  check({ bytes, variant }: FuzzInput) {
    if (variant === 0) checkEnvelope(bytes);
    else checkJson(bytes);
  },
};

function checkEnvelope(bytes: Buffer): void {
  const envelope = decodeEnvelope(bytes);
  const shown =
    envelope === null
      ? null
      : [envelope.epoch, envelope.seq, envelope.origin, bytes.toString("latin1", envelope.dataStart)];
  expectSame("envelope", shown, envelopeTwin(bytes.toString("latin1")));
  if (envelope === null || bytes[0] !== 0x40) return;
  const { epoch, seq, origin, dataStart } = envelope;
  const again = decodeEnvelope(
    Buffer.from(encodeEnvelope(epoch === null ? null : { epoch, seq }, origin, bytes.subarray(dataStart))),
  );
  expectSame("what it makes", [again?.epoch, again?.seq, again?.origin], [epoch, seq, origin]);
}

function envelopeTwin(text: string): unknown {
  if (!text.startsWith("@")) return [null, 0, null, text];
  const match = /^@(?:([0-9]{1,20})-([0-9]{1,15}))?(?:~([A-Za-z0-9_-]{1,64}))? ([^]*)$/.exec(text);
  if (match === null || (match[1] !== undefined && Number(match[2]) === 0)) return null;
  return [match[1] ?? null, Number(match[2] ?? 0), match[3] ?? null, match[4]];
}

function checkJson(bytes: Buffer): void {
  const value = parse(bytes);
  expectSame("isJson", isJson(bytes), value !== undefined);
  const members = objectMembers(bytes);
  const isObject =
    value !== undefined && typeof value === "object" && value !== null && !Array.isArray(value);
  expectSame("has members", members !== null, isObject);
  if (members === null || !isObject) return;
  expectSame("names", [...members.keys()].sort(), Object.keys(value).sort());
  for (const [name, { start, end }] of members) {
    const source = bytes.toString("utf8", start, end);
    expectSame(`member ${name}`, JSON.parse(source), Reflect.get(value, name));
    expectSame("whitespace around it", source.trim(), source);
  }
}

/** Undefined for what is no JSON value in UTF-8 within our depth. */
function parse(bytes: Buffer): unknown {
  const text = bytes.toString("utf8");
  if (!isUtf8(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return depthOf(value) > jsonDepthMax ? undefined : value;
  } catch {
    return undefined;
  }
}

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map((each) => depthOf(each)));
}

function envelope(random: Random): Buffer {
  const position = random.chance(60)
    ? { epoch: String(random.int(2 ** 32)).repeat(1 + random.int(2)), seq: 1 + random.int(2 ** 32) }
    : null;
  const origin = random.chance(50) ? "aB_-9".repeat(1 + random.int(14)) : null;
  const message = Buffer.from(encodeEnvelope(position, origin, Buffer.from(random.pick(values))));
  return random.chance(10) ? message.subarray(1) : message;
}

function json(random: Random, depth: number): Buffer {
  if (depth === 0 && random.chance(2)) {
    const levels = jsonDepthMax - 2 + random.int(4);
    return Buffer.from(`${"[".repeat(levels)}${"]".repeat(levels)}`);
  }
  if (depth > 2 || random.chance(30)) return Buffer.from(random.pick(values));
  const parts = Array.from({ length: random.int(4) }, () => json(random, depth + 1).toString());
  if (random.chance(40)) return Buffer.from(`[${parts.join(" , ")}]`);
  return Buffer.from(
    `{${parts.map((part) => `${random.pick(['"a"', '"data"', '"\\u0061"', '""'])}:${part}`).join(",")}}`,
  );
}
