/**
 * The layers and what each may import (docs/ARCHITECTURE.md), and what else holds over import lines and words.
 * Checked over text, so that a rule costs milliseconds and can be tried on a planted violation.
 */
import { posix } from "node:path";

import { importsOf, withoutComments } from "./source-text.ts";

export interface SourceFile {
  /** From the top of the repository, with `/`: `src/hub/audience.ts`. */
  readonly path: string;
  readonly text: string;
}

interface LayerRule {
  readonly imports: readonly string[];
  /** Layers of which only types may be imported. */
  readonly types?: readonly string[];
}

const allButProcesses = [
  "base",
  "config",
  "codec",
  "handshake",
  "protocol",
  "connection",
  "hub",
  "broker",
  "session",
  "auth",
  "http",
  "metrics",
  "feed",
];

/** A layer may always import from itself. */
const layers: Readonly<Record<string, LayerRule>> = {
  base: { imports: [] },
  config: { imports: ["base"] },
  codec: { imports: ["base"] },
  handshake: { imports: ["base", "codec"] },
  protocol: { imports: ["base"] },
  connection: { imports: ["base", "codec"] },
  hub: { imports: ["base", "codec"] },
  broker: { imports: ["base"] },
  session: { imports: ["base", "protocol", "hub"], types: ["codec", "broker", "auth"] },
  auth: { imports: ["base"] },
  http: {
    imports: ["base", "codec", "protocol", "handshake", "connection", "session", "auth", "metrics"],
    types: ["broker"],
  },
  metrics: { imports: ["base"] },
  feed: { imports: ["base", "protocol"], types: ["broker"] },
  worker: { imports: allButProcesses },
  primary: { imports: ["base", "config", "metrics", "broker", "protocol", "feed"] },
  cli: { imports: [...allButProcesses, "worker", "primary", "client"] },
  client: { imports: ["base", "protocol"] },
  web: { imports: ["base", "protocol", "client"] },
  // The swarm of the load scenarios is the command line's own WebSocket client.
  load: { imports: ["base", "codec", "handshake", "protocol", "broker", "client", "cli"] },
};

/** npm packages that one place hides from the rest. */
const hiddenPackages: readonly { readonly name: string; readonly allowed: RegExp }[] = [
  { name: "prom-client", allowed: /^src\/metrics\// },
  { name: "ioredis", allowed: /^(?:src\/broker\/redis-|load\/)/ },
  { name: "autocannon", allowed: /^load\// },
];

/** Sockets are touched where connections begin and live, and by programs that are clients. */
const socketModules = new Set(["net", "tls", "dgram"]);
const socketFiles = /^(?:src\/connection\/|src\/http\/|src\/cli\/|load\/)/;

/** Layers that are driven: bytes and calls in, values out. */
const pureLayers = new Set(["codec", "handshake", "protocol", "hub"]);
const impureModules =
  /^(?:node:)?(?:net|tls|dgram|http|https|timers|fs|child_process|cluster|worker_threads|perf_hooks)(?:\/|$)/;
const impureWords =
  /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask|nextTick|Date\.now|performance\.now|await|async|new Date)\b/;

/** Names of those modules that open nothing: a table, a parser of keys. */
const harmlessNames = /^\{\s*(?:STATUS_CODES|createSecureContext)\s*\}$/u;

/** All violations, one line each; empty when the rules hold. */
export function layerViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => [...importViolations(file), ...wordViolations(file)]);
}

/** The layer of a file: its folder under src, or `load`. */
export function layerOf(path: string): string | null {
  return /^src\/([^/]+)\//u.exec(path)?.[1] ?? /^(load)\//u.exec(path)?.[1] ?? null;
}

function importViolations({ path, text }: SourceFile): string[] {
  const layer = layerOf(path);
  const rule = layer === null ? undefined : layers[layer];
  if (layer === null || rule === undefined) return [`${path}: lies in no layer`];
  return importsOf(text).flatMap(({ from, names, typeOnly }) => {
    if (!from.startsWith("."))
      return harmlessNames.test(names) ? [] : moduleViolations(path, layer, from, typeOnly);
    const problems = from.endsWith(".ts") ? [] : [`${path}: imports ${from} without its extension .ts`];
    const target = layerOf(posix.join(posix.dirname(path), from));
    if (target === layer) return problems;
    const allowed =
      target !== null && (rule.imports.includes(target) || (typeOnly && rule.types?.includes(target)));
    if (!allowed) problems.push(`${path}: ${layer} may not import ${typeOnly ? "types of " : ""}${from}`);
    return problems;
  });
}

function moduleViolations(path: string, layer: string, from: string, typeOnly: boolean): string[] {
  const problems: string[] = [];
  const name = from.replace(/^node:/u, "");
  const hidden = hiddenPackages.find((each) => from === each.name || from.startsWith(`${each.name}/`));
  if (hidden !== undefined && !hidden.allowed.test(path)) problems.push(`${path}: may not import ${from}`);
  if (socketModules.has(name) && !typeOnly && !socketFiles.test(path))
    problems.push(`${path}: touches sockets (${from})`);
  if (pureLayers.has(layer) && impureModules.test(from)) problems.push(`${path}: ${layer} imports ${from}`);
  return problems;
}

function wordViolations({ path, text }: SourceFile): string[] {
  const layer = layerOf(path);
  if (layer === null || !pureLayers.has(layer)) return [];
  const word = impureWords.exec(withoutComments(text, { strings: false }))?.[0];
  return word === undefined
    ? []
    : [`${path}: ${layer} has no clock, no timer and awaits nothing, but says ${word}`];
}
