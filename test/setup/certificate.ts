/**
 * A certificate that the test signs itself, without openssl: the tests need Node and Redis and nothing else. RFC 5280
 * §4.1 in DER, as little of it as a server certificate needs.
 */
import { generateKeyPairSync, sign } from "node:crypto";

const tag = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
};
/** RFC 5280 §4.1: the version and the extensions have tags of their own in TBSCertificate. */
const contextTag = { version: 0xa0, extensions: 0xa3, dnsName: 0x82, ipAddress: 0x87 };

// Object identifiers, encoded: RFC 5480 ecdsa-with-SHA256, RFC 5280 commonName and subjectAltName.
const ecdsaWithSha256 = Buffer.from("2a8648ce3d040302", "hex");
const commonName = Buffer.from("550403", "hex");
const subjectAltName = Buffer.from("551d11", "hex");

/** PEM of a certificate for `localhost` and 127.0.0.1 that is good for a day, and of its key. */
export function selfSigned(): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(tag.sequence, der(tag.oid, ecdsaWithSha256));
  const name = der(
    tag.sequence,
    der(tag.set, der(tag.sequence, der(tag.oid, commonName), der(tag.utf8, Buffer.from("localhost")))),
  );
  const nowMs = Date.now();
  const names = der(
    tag.sequence,
    der(contextTag.dnsName, Buffer.from("localhost")),
    der(contextTag.ipAddress, Buffer.from([127, 0, 0, 1])),
  );
  const content = der(
    tag.sequence,
    der(contextTag.version, der(tag.integer, Buffer.of(2))),
    der(tag.integer, Buffer.of(1)),
    algorithm,
    name,
    der(tag.sequence, time(nowMs - 3_600_000), time(nowMs + 86_400_000)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(
      contextTag.extensions,
      der(tag.sequence, der(tag.sequence, der(tag.oid, subjectAltName), der(tag.octetString, names))),
    ),
  );
  const signature = der(tag.bitString, Buffer.of(0), sign("sha256", content, privateKey));
  const bytes = der(tag.sequence, content, algorithm, signature);
  const base64 = bytes.toString("base64").replaceAll(/.{64}/gu, "$&\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** X.690 §8.1: identifier, length, contents. */
function der(identifier: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const lengthBytes =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([identifier, ...lengthBytes]), content]);
}

/** YYMMDDHHMMSSZ. */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/\D/gu, "").slice(2, 14);
  return der(tag.utcTime, Buffer.from(`${digits}Z`));
}
