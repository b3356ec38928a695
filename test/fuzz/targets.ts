/** All targets by name. */
import { batchTarget } from "./batch-target.ts";
import { envelopeTarget } from "./envelope-target.ts";
import { frameTarget } from "./frame-target.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { handshakeTarget } from "./handshake-target.ts";
import { inflateTarget } from "./inflate-target.ts";
import { topicTarget } from "./topic-target.ts";
import { tokenTarget } from "./token-target.ts";
import { SessionTarget } from "./session-target.ts";

export const targets: readonly FuzzTarget[] = [
  frameTarget,
  handshakeTarget,
  inflateTarget,
  new SessionTarget(),
  envelopeTarget,
  topicTarget,
  batchTarget,
  tokenTarget,
];
