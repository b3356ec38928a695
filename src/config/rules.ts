/**
 * Rules between options, and between options and the machine (files, the Node version). A rule is looked at only when
 * the options it needs are well-formed, so that one mistake is one problem.
 */
import { accessSync, constants, readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";

import { readProblem } from "../base/system-problem.ts";
import { jwtProblems, tokenRuleProblems } from "./jwt-rules.ts";
import type { KeyPath } from "./key-path.ts";
import type { Config } from "./schema.ts";

/** What a rule found wrong. */
export interface RuleProblem {
  readonly path: KeyPath;
  readonly message: string;
}

/** One rule: the key paths whose values it looks at, and its judgement. */
export interface ConfigRule {
  readonly needs: readonly string[];
  check(config: Config): readonly RuleProblem[];
}

/** All rules. */
export const configRules: readonly ConfigRule[] = [
  {
    needs: ["listen.tls.cert"],
    check: (config) => fileProblems(["listen", "tls", "cert"], config.listen.tls?.cert),
  },
  {
    needs: ["listen.tls.key"],
    check: (config) => fileProblems(["listen", "tls", "key"], config.listen.tls?.key),
  },
  { needs: ["listen.tls"], check: certificateProblems },
  { needs: ["listen.unixSocket"], check: unixSocketProblems },
  { needs: ["listen.reusePort"], check: reusePortProblems },
  { needs: ["listen.host", "listen.port", "admin.host", "admin.port"], check: sameAddressProblems },
  { needs: ["broker.redis.mode", "broker.redis.url", "broker.redis.urls"], check: clusterProblems },
  { needs: ["broker.redis.mode", "broker.redis.urls", "broker.redis.sentinelName"], check: sentinelProblems },
  { needs: ["auth.jwt"], check: jwtProblems },
  { needs: ["topics", "auth.jwt"], check: tokenRuleProblems },
  { needs: ["auth.required", "auth.jwt"], check: requiredTokenProblems },
  { needs: ["demo.replay"], check: replayProblems },
];

function fileProblems(path: KeyPath, file: string | undefined): readonly RuleProblem[] {
  if (file === undefined) return [];
  try {
    accessSync(file, constants.R_OK);
    return [];
  } catch (error) {
    return [{ path, message: readProblem(error) }];
  }
}

/** That certificate and key belong together is seen at the start, not at the first handshake. */
function certificateProblems(config: Config): readonly RuleProblem[] {
  const { tls } = config.listen;
  if (tls === null) return [];
  let cert: Buffer;
  let key: Buffer;
  try {
    cert = readFileSync(tls.cert);
    key = readFileSync(tls.key);
  } catch {
    return []; // said by fileProblems
  }
  try {
    createSecureContext({ cert, key });
    return [];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [{ path: ["listen", "tls"], message: `certificate and key cannot be used: ${reason}` }];
  }
}

/** sockaddr_un holds 108 bytes with the closing zero (unix(7)); a longer path is cut in silence by some systems. */
function unixSocketProblems(config: Config): readonly RuleProblem[] {
  const path = config.listen.unixSocket;
  if (path === null || Buffer.byteLength(path) <= 107) return [];
  return [{ path: ["listen", "unixSocket"], message: "a path of at most 107 bytes" }];
}

function reusePortProblems(config: Config): readonly RuleProblem[] {
  if (!config.listen.reusePort) return [];
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 12)) return [];
  return [{ path: ["listen", "reusePort"], message: `needs Node 22.12, this is ${process.versions.node}` }];
}

function sameAddressProblems(config: Config): readonly RuleProblem[] {
  const { listen, admin } = config;
  if (listen.port !== admin.port || listen.port === 0) return [];
  const everywhere = new Set(["0.0.0.0", "::"]);
  if (listen.host !== admin.host && !everywhere.has(listen.host) && !everywhere.has(admin.host)) return [];
  return [{ path: ["admin", "port"], message: "the same address as listen; choose another port" }];
}

/** A node of a cluster has one database. */
function clusterProblems(config: Config): readonly RuleProblem[] {
  const { mode, url, urls } = config.broker.redis;
  if (mode !== "cluster") return [];
  const seeds =
    urls.length === 0
      ? [{ path: ["url"], text: url }]
      : urls.map((text, index) => ({ path: ["urls", index], text }));
  return seeds
    .filter(({ text }) => !["", "/", "/0"].includes(new URL(text).pathname))
    .map(({ path }) => ({
      path: ["broker", "redis", ...path],
      message: "no database but 0 with mode: cluster",
    }));
}

function sentinelProblems(config: Config): readonly RuleProblem[] {
  const { mode, urls, sentinelName } = config.broker.redis;
  const path = ["broker", "redis"];
  const problems: RuleProblem[] = [];
  if (mode === "sentinel" && urls.length === 0) {
    problems.push({
      path: [...path, "urls"],
      message: "the sentinels' addresses are needed with mode: sentinel",
    });
  }
  if (mode === "sentinel" && sentinelName === null) {
    problems.push({ path: [...path, "sentinelName"], message: "needed with mode: sentinel" });
  }
  if (mode === "standalone" && urls.length > 0) {
    problems.push({ path: [...path, "urls"], message: "not used with mode: standalone; set url" });
  }
  if (mode !== "sentinel" && sentinelName !== null) {
    problems.push({ path: [...path, "sentinelName"], message: `not used with mode: ${mode}` });
  }
  return problems;
}

function requiredTokenProblems(config: Config): readonly RuleProblem[] {
  if (!config.auth.required || config.auth.jwt !== null) return [];
  return [
    { path: ["auth", "required"], message: "nobody could connect: auth.jwt says which tokens are good" },
  ];
}

function replayProblems(config: Config): readonly RuleProblem[] {
  const { replay } = config.demo;
  if (replay === null || replay === "recorded") return [];
  return replay.flatMap((file, index) => fileProblems(["demo", "replay", index], file));
}
