/**
 * IP addresses as texts from outside: what a socket says of its peer, what a proxy writes into a header, what the
 * configuration names. One form for all (RFC 4291 §2.5.5.2: IPv4 as ::ffff:a.b.c.d), so that no spelling of an address
 * gets past a rule about it. Knows no sockets and no names.
 */

/** Eight groups of sixteen bits. */
type Groups = readonly number[];

const groupCount = 8;
const groupBits = 16;
const addressBits = groupCount * groupBits;
/** Where an IPv4 address begins in its IPv6 form. */
const mappedBits = 96;

// No leading zeros: to some readers 010 is eight.
const ipv4Pattern = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const groupPattern = /^[0-9a-f]{1,4}$/i;
const prefixPattern = /^(?:0|[1-9]\d{0,2})$/;
// RFC 4007 §11: the zone of a link-local address, as the kernel names it.
const zonePattern = /^([^%]*)%[A-Za-z0-9._-]{1,32}$/;

/** The address in one spelling (IPv4 dotted, IPv6 as RFC 5952 writes it), or null when `text` is none. */
export function canonicalAddress(text: string): string | null {
  const dotted = plainIpv4(text);
  if (dotted !== null) return dotted;
  const groups = parse(text);
  return groups === null ? null : textOf(groups);
}

/**
 * What counts as one peer for limits: an IPv4 address, or the /64 of an IPv6 address, since every subscriber is given
 * at least that many (RFC 6177 §2). Any other text stands for itself.
 */
export function limitKeyOf(address: string): string {
  const dotted = plainIpv4(address);
  if (dotted !== null) return dotted;
  const groups = parse(address);
  if (groups === null) return address;
  return isIpv4(groups) ? textOf(groups) : `${groups.slice(0, 4).map(hex).join(":")}::/64`;
}

/** True for 127.0.0.0/8 and ::1, in every spelling. */
export function isLoopback(address: string): boolean {
  const groups = parse(address);
  if (groups === null) return false;
  if (isIpv4(groups)) return (groups[6] ?? 0) >> 8 === 127;
  return groups.every((group, index) => group === (index === groupCount - 1 ? 1 : 0));
}

/** True for 0.0.0.0 and ::, which reach this machine from this machine. */
export function isUnspecified(address: string): boolean {
  const groups = parse(address);
  return groups?.every((group, index) => group === 0 || (index === 5 && isIpv4(groups))) === true;
}

/** Says what is wrong with an address or CIDR range, or null. */
export function rangeProblem(text: string): string | null {
  const range = parseRange(text);
  if (typeof range === "string") return range;
  return null;
}

/** Whether addresses lie in one of some ranges. */
export class AddressRanges {
  readonly #ranges: readonly Range[];

  /** @param ranges without `rangeProblem`. */
  constructor(ranges: readonly string[]) {
    this.#ranges = ranges.map((text) => parseRange(text)).filter((range) => typeof range !== "string");
  }

  /** False for what is no address. Cost: O(ranges). */
  has(address: string): boolean {
    const groups = parse(address);
    if (groups === null) return false;
    return this.#ranges.some((range) => isWithin(groups, range));
  }
}

interface Range {
  readonly groups: Groups;
  readonly bits: number;
}

function parseRange(text: string): Range | string {
  const slash = text.indexOf("/");
  const address = slash === -1 ? text : text.slice(0, slash);
  const groups = address.includes("%") ? null : parse(address);
  if (groups === null) return "an IP address such as 10.0.0.1 or a range such as 10.0.0.0/8 or fd00::/8";
  const ofDotted = !address.includes(":");
  const widest = ofDotted ? 32 : addressBits;
  const prefix = slash === -1 ? String(widest) : text.slice(slash + 1);
  if (!prefixPattern.test(prefix) || Number(prefix) > widest) {
    return `the length of the prefix is a number from 0 to ${widest}`;
  }
  const bits = Number(prefix) + (ofDotted ? mappedBits : 0);
  if (groups.some((group, index) => (group & ~maskOf(bits, index)) !== 0)) {
    return `has bits set behind its first ${prefix}: a slip, or another length was meant`;
  }
  return { groups, bits };
}

/** An IPv6 range never holds an IPv4 address, not even ::/0: whoever writes it thinks of IPv6. */
function isWithin(address: Groups, { groups, bits }: Range): boolean {
  if (isIpv4(address) && bits < mappedBits) return false;
  return groups.every((group, index) => ((address[index] ?? 0) & maskOf(bits, index)) === group);
}

/** The part of a group that the first `bits` of an address cover. */
function maskOf(bits: number, groupIndex: number): number {
  const covered = Math.min(groupBits, Math.max(0, bits - groupIndex * groupBits));
  return (0xffff << (groupBits - covered)) & 0xffff;
}

/**
 * The address of nearly every socket, without a group being made of it: IPv4, as such or as a socket of both families
 * has it. Null for everything else.
 */
function plainIpv4(text: string): string | null {
  const dotted = text.startsWith("::ffff:") ? text.slice(7) : text;
  return ipv4Pattern.test(dotted) ? dotted : null;
}

function parse(text: string): Groups | null {
  if (ipv4Pattern.test(text)) return [0, 0, 0, 0, 0, 0xffff, ...ipv4Groups(text)];
  // The longest form: eight groups of four, the last two in IPv4 form, and a zone.
  if (text.length > 80) return null;
  const address = zonePattern.exec(text)?.[1] ?? text;
  const halves = address.split("::");
  if (!address.includes(":") || halves.length > 2) return null;
  const before = groupsOf(halves[0] ?? "", halves.length === 1);
  const after = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : [];
  if (before === null || after === null) return null;
  const missing = groupCount - before.length - after.length;
  // RFC 4291 §2.2: "::" stands for one or more groups of zeros.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  return [...before, ...Array.from({ length: missing }, () => 0), ...after];
}

/** @param isLast whether an IPv4 address may stand at the end. */
function groupsOf(text: string, isLast: boolean): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    if (groupPattern.test(part)) groups.push(Number.parseInt(part, 16));
    else if (isLast && index === parts.length - 1 && ipv4Pattern.test(part)) groups.push(...ipv4Groups(part));
    else return null;
  }
  return groups;
}

function ipv4Groups(text: string): number[] {
  const [a = 0, b = 0, c = 0, d = 0] = text.split(".").map(Number);
  return [(a << 8) | b, (c << 8) | d];
}

function isIpv4(groups: Groups): boolean {
  return groups.every((group, index) => index > 5 || group === (index === 5 ? 0xffff : 0));
}

function textOf(groups: Groups): string {
  if (!isIpv4(groups)) return ipv6Text(groups);
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join(".");
}

/** RFC 5952 §4: lower case, no leading zeros, `::` for the longest run of two zero groups or more, the first of equals. */
function ipv6Text(groups: Groups): string {
  let [start, length] = [0, 1];
  for (let from = 0; from < groups.length; from += 1) {
    let end = from;
    while (groups[end] === 0) end += 1;
    if (end - from > length) [start, length] = [from, end - from];
  }
  const written = groups.map(hex);
  if (length === 1) return written.join(":");
  return `${written.slice(0, start).join(":")}::${written.slice(start + length).join(":")}`;
}

function hex(group: number): string {
  return group.toString(16);
}
