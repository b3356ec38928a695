/**
 * Where Redis is and how we talk to it: from the configuration's `broker.redis` to the options of one ioredis client.
 * The options whose defaults would lose or repeat messages are set here, each with its reason.
 */
import type { RedisOptions } from "ioredis";
import { BrokerError } from "../base/errors.ts";

/** The configuration's `broker.redis`, and the largest payload that is handed on. */
export interface RedisBrokerOptions {
  /** `redis://` or `rediss://`; with sentinels its user, password, database and scheme are the data servers'. */
  readonly url: string;
  /** Addresses of the sentinels, `redis://[:password@]host:port`. */
  readonly urls: readonly string[];
  readonly sentinelName: string | null;
  /** Begins every key and channel. */
  readonly prefix: string;
  readonly mode: "standalone" | "sentinel" | "cluster";
  /** Of a cluster; see topic-partition.ts. */
  readonly partitions: number;
  readonly messageBytesMax: number;
}

/** Longest wait for an answer of Redis. */
export const commandTimeoutMs = 2000;

/**
 * Options of one client. A client lives for one connection: it never reconnects by itself (redis-connection.ts makes
 * a new one), so a cut connection settles every promise and ioredis has no queue left to send a second time.
 * @throws BrokerError, not retryable, for a URL that is none.
 */
export function clientOptions(options: RedisBrokerOptions, name: string): RedisOptions {
  // Of a cluster the first node's user, password and scheme are every node's.
  const address = addressOf(options.mode === "cluster" ? (options.urls[0] ?? options.url) : options.url);
  const common: RedisOptions = {
    ...address,
    connectionName: name,
    // RESP2, since ioredis 5 speaks no other (docs/adr/0002): 6 would need `protocol: 2`. `disableClientInfo` saves two commands that Redis 7.0 refuses.
    disableClientInfo: true,
    lazyConnect: true,
    connectTimeout: commandTimeoutMs,
    commandTimeout: commandTimeoutMs,
    // Finds a peer that vanished without a word; the probe of the subscriber finds what this cannot.
    keepAlive: 10_000,
    noDelay: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    // Both would act behind our back on a reconnect that never comes; off, should that change.
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    // Its INFO is ours to send: we want version and role from it.
    enableReadyCheck: false,
  };
  if (options.mode !== "sentinel") return common;
  const sentinels = options.urls.map((url) => addressOf(url));
  const { host: _host, port: _port, ...data } = common;
  return {
    ...data,
    sentinels: sentinels.map(({ host, port }) => ({ host, port })),
    name: options.sentinelName ?? "",
    role: "master",
    sentinelRetryStrategy: () => null,
    ...(sentinels[0]?.username === undefined ? {} : { sentinelUsername: sentinels[0].username }),
    ...(sentinels[0]?.password === undefined ? {} : { sentinelPassword: sentinels[0].password }),
    ...(sentinels[0]?.tls === undefined
      ? {}
      : { sentinelTLS: sentinels[0].tls, enableTLSForSentinelMode: true }),
  };
}

/** Options of a client of each sentinel; none in another mode. */
export function sentinelOptions({ mode, urls }: RedisBrokerOptions): RedisOptions[] {
  if (mode !== "sentinel") return [];
  return urls.map((url) => {
    const { db: _db, ...address } = addressOf(url);
    return {
      ...address,
      connectionName: "tapecast-sentinel-watch",
      disableClientInfo: true,
      connectTimeout: commandTimeoutMs,
      keepAlive: 10_000,
      enableReadyCheck: false,
    };
  });
}

/** The nodes of a cluster to begin with: `urls`, or `url` where there are none. */
export function clusterSeeds(options: RedisBrokerOptions): readonly { host: string; port: number }[] {
  const urls = options.urls.length === 0 ? [options.url] : options.urls;
  return urls.map((url) => {
    const { host, port } = addressOf(url);
    return { host, port };
  });
}

/** The address for people: no password. */
export function maskedAddress(options: RedisBrokerOptions): string {
  const urls = options.mode === "standalone" || options.urls.length === 0 ? [options.url] : options.urls;
  return urls.map((url) => url.replace(/\/\/[^@/]*@/, "//***@")).join(",");
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly tls?: { readonly servername?: string };
}

function addressOf(text: string): Address {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new BrokerError("broker.redis: a URL such as redis://127.0.0.1:6379 is expected", false);
  }
  // WHATWG URLs keep the brackets of an IPv6 address.
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const db = Number.parseInt(url.pathname.slice(1), 10);
  return {
    host: host === "" ? "127.0.0.1" : host,
    port: url.port === "" ? 6379 : Number(url.port),
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
    ...(Number.isNaN(db) ? {} : { db }),
    ...(url.protocol === "rediss:" ? { tls: tlsOf(host) } : {}),
  };
}

/** RFC 6066 §3: the server is told a host's name, and no address. The certificate is held against either. */
export function tlsOf(host: string): { readonly servername?: string } {
  const isAddress = host.includes(":") || /^[\d.]+$/.test(host);
  return isAddress ? {} : { servername: host };
}
