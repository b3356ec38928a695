/**
 * Every option of Tapecast, once: its type and limits, its unit, its default and the sentence that explains it.
 * From here come the type `Config`, the defaults, the JSON Schema for editors, docs/CONFIGURATION.md and
 * config/default.yaml. Rules between options are in `rules.ts`; reading files and the environment is `load.ts`.
 */
import { z } from "zod";

import { rangeProblem } from "../base/ip-address.ts";
import { authSchema } from "./auth-schema.ts";
import { limitsSchema } from "./limits-schema.ts";
import { choice, flag, integer, limit, optionalText, text } from "./option.ts";
import { topicsSchema } from "./topics-schema.ts";

/** A millisecond option never exceeds what setTimeout can wait: 2^31 - 1 ms, about 24.8 days. */
const timerMsMax = 2_147_483_647;

const tlsSchema = z
  .strictObject(
    {
      cert: z
        .string({ error: "the path of a PEM file" })
        .min(1, { error: "the path of a PEM file" })
        .meta({ description: "PEM file of the certificate, followed by its chain." }),
      key: z
        .string({ error: "the path of a PEM file" })
        .min(1, { error: "the path of a PEM file" })
        .meta({ description: "PEM file of the private key." }),
    },
    { error: "{cert, key}, or null" },
  )
  .nullable()
  .default(null)
  .meta({ description: "Certificate and key for `https` and `wss` on this port; null for plain TCP." });

const listenSchema = section("Where browsers and publishers connect.", {
  host: text("0.0.0.0", { description: "Address or host name to listen on; `::` for IPv6 and IPv4." }),
  port: integer(0, 65_535, 8080, { description: "TCP port; 0 lets the system choose one." }),
  unixSocket: optionalText({ description: "Path of a unix socket to listen on as well." }),
  trustedProxies: z
    .array(
      z.string({ error: "a text" }).superRefine((value, context) => {
        const problem = value === "unix" ? null : rangeProblem(value);
        if (problem !== null) context.addIssue({ code: "custom", message: problem });
      }),
      { error: "a list of addresses and ranges such as 10.0.0.0/8" },
    )
    .max(256, { error: "at most 256" })
    .default([])
    .meta({
      description:
        "Addresses and CIDR ranges of the reverse proxies in front, `unix` for one on the unix socket. Their " +
        "X-Forwarded-For says for whom limits count, their X-Forwarded-Proto which scheme `same-origin` compares. " +
        "Nobody else's is looked at.",
    }),
  tls: tlsSchema,
  reusePort: flag(false, {
    description:
      "Every worker listens by itself (SO_REUSEPORT) instead of taking connections from the primary. Balances " +
      "better; needs Node 22.12 and Linux, and resets waiting connections when a worker ends unless " +
      "`net.ipv4.tcp_migrate_req=1`.",
  }),
  directHandles: flag(true, {
    description:
      "WebSockets are served on the handles below node's sockets, for less memory and CPU. Tried out at the start: " +
      "a Node where it does not work, and TLS, use the sockets anyway.",
  }),
  sendBufferBytes: limit(16_384, 16_777_216, 131_072, {
    description:
      "How much the kernel takes for a connection before a write waits (SO_SNDBUF of TCP; the kernel doubles it, and " +
      "stops at `net.core.wmem_max`). A reader that stops reading holds so much of its memory, and one far away is " +
      "sent no more in a round trip. null: up to `net.ipv4.tcp_wmem`, 4 MB. Not with `reusePort`.",
    unit: "bytes",
  }),
  warmUpConnections: integer(0, 10_000, 500, {
    description:
      "A new worker first serves so many connections of its own (about 0.3 s, 2 s at most), so that what serves others " +
      "is compiled when they come; 0 for none.",
    unit: "connections",
  }),
});

const adminSchema = section(
  "/metrics of the whole cluster, /healthz and /readyz, served by the primary process.",
  {
    host: text("127.0.0.1", {
      description: "Address or host name to listen on. Nobody is asked for a password here.",
    }),
    port: integer(0, 65_535, 9464, { description: "TCP port; 0 lets the system choose one." }),
  },
);

const redisUrl = z.string({ error: "a URL such as redis://127.0.0.1:6379" }).refine(isRedisUrl, {
  error: "a URL such as redis://127.0.0.1:6379 or rediss://user:password@host:6380/0",
});

const redisSchema = section("Used with `kind: redis` only.", {
  url: redisUrl.default("redis://127.0.0.1:6379").meta({
    description:
      "The server, for `mode: standalone`: `redis://[[user]:password@]host[:port][/db]`; `rediss` for TLS.",
    secret: "url",
  }),
  urls: z
    .array(redisUrl, { error: "a list of URLs" })
    .default([])
    .meta({
      description:
        "The sentinels, for `mode: sentinel`; the nodes to begin with, for `mode: cluster` (with none, `url` is the one; " +
        "the first one's user, password and scheme are those of all nodes).",
      secret: "url",
    }),
  sentinelName: optionalText({
    description: "Name of the master that the sentinels watch, for `mode: sentinel`.",
  }),
  prefix: z
    .string({ error: "a text" })
    .regex(/^[^\s{}*?[\]\\]*$/u, { error: "without spaces and without any of { } * ? [ ] \\" })
    .default("tape:")
    .meta({ description: "Before every channel and key: topic `a.b` is channel `tape:a.b`." }),
  mode: choice(["standalone", "sentinel", "cluster"], "standalone", {
    description: "How Redis is set up. `cluster` uses sharded channels; see docs/REDIS.md.",
  }),
  partitions: integer(1, 16_384, 256, {
    description:
      "For `mode: cluster`: topics are hashed onto so many hash tags, which the masters share. The same on every " +
      "server and for the life of the data: with another number every topic is somewhere else.",
    unit: "partitions",
  }),
});

const memorySchema = section("Used with `kind: memory` only.", {
  logBytesMax: limit(1_048_576, 1_099_511_627_776, 536_870_912, {
    description:
      "Memory of the primary process for the history of all topics, about; when more is published, those whose last " +
      "publication is oldest lose theirs and begin a new epoch. null is no limit.",
    unit: "bytes",
  }),
});

const brokerSchema = section("What carries publications from publishers to all workers.", {
  kind: choice(["memory", "redis"], "memory", {
    description:
      "`memory`: one machine, the log lives in the primary process. `redis`: any number of machines.",
  }),
  memory: memorySchema,
  redis: redisSchema,
});

const workersProblem = { error: "auto, or a whole number from 1 to 1024" };
const workersSchema = z
  .union([z.literal("auto"), z.int().min(1, workersProblem).max(1024, workersProblem)], workersProblem)
  .default("auto")
  .meta({ description: "Worker processes; `auto` is one per core.", unit: "processes" });

const heartbeatSchema = section("How silent connections are found out.", {
  intervalMs: integer(10, timerMsMax, 25_000, {
    description:
      "A connection that was silent for this long, or up to a fifth less, is sent a ping: those who came together are not all asked together.",
    unit: "milliseconds",
  }),
  timeoutMs: integer(10, timerMsMax, 8000, {
    description: "A ping that is not answered for this long closes the connection (4002).",
    unit: "milliseconds",
  }),
});

const flushSchema = section("When publications are written to sockets.", {
  windowMsMax: integer(0, 1000, 20, {
    description:
      "Under load, publications are collected for at most this long before they are written together.",
    unit: "milliseconds",
  }),
  batchWindowMsMax: integer(0, 1000, 60, {
    description:
      "The same for readers that asked for batches (`?batch=1`): the more lines in a message, the smaller each when compressed.",
    unit: "milliseconds",
  }),
  ringMessagesMax: integer(1, 65_536, 256, {
    description: "Encoded publications kept per topic and worker for readers that fell behind.",
    unit: "messages",
  }),
});

const demoSchema = section("For demonstrations; leave it alone in production.", {
  replay: z
    .union([z.literal("recorded"), z.array(z.string({ error: "the path of a file" }).min(1)).min(1)], {
      error: "recorded, a list of CSV or NDJSON files, or null",
    })
    .nullable()
    .default(null)
    .meta({
      description:
        "Prices that the primary publishes on `quote.*`: `recorded` for the recordings that come with Tapecast, " +
        "or a list of CSV or NDJSON files (docs/CLI.md, replay).",
    }),
  speed: z
    .number({ error: "a number above 0" })
    .gt(0, { error: "above 0" })
    .max(1_000_000, { error: "at most 1000000" })
    .default(1)
    .meta({ description: "How many times faster than recorded; dates without a time: steps per second." }),
  loop: flag(true, { description: "Begin again at the end." }),
  rootEcho: flag(false, { description: "A WebSocket on the path `/` is served as `/echo`." }),
});

const logSchema = section("Log lines go to standard output.", {
  level: choice(["fatal", "error", "warn", "info", "debug", "trace"], "info", {
    description: "The least important lines that are written.",
  }),
});

const shutdownSchema = section("SIGTERM and Ctrl-C.", {
  drainTimeoutMs: integer(0, timerMsMax, 10_000, {
    description: "How long connections are given to go before they are cut.",
    unit: "milliseconds",
  }),
});

/** The schema itself, for the loader and the generated documents. */
export const configSchema = z.strictObject(
  {
    listen: listenSchema,
    admin: adminSchema,
    workers: workersSchema,
    broker: brokerSchema,
    topics: topicsSchema,
    auth: authSchema,
    limits: limitsSchema,
    heartbeat: heartbeatSchema,
    flush: flushSchema,
    demo: demoSchema,
    log: logSchema,
    shutdown: shutdownSchema,
  },
  { error: "sections such as listen and broker" },
);

/** The effective configuration: every key is there. Nobody changes it after loading. */
export type Config = DeepReadonly<z.output<typeof configSchema>>;

/** One rule of `topics`. */
export type TopicConfig = Config["topics"][number];

/** `auth.jwt` when it is set. */
export type JwtConfig = NonNullable<Config["auth"]["jwt"]>;

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** The configuration of a server that was told nothing. A new object with each call. */
export function defaultConfig(): Config {
  return configSchema.parse({});
}

/** An option of `limits` as a number that can be compared: no limit is infinity. */
export function limitNumber(value: number | null): number {
  return value ?? Number.POSITIVE_INFINITY;
}

function section<Shape extends z.core.$ZodLooseShape>(description: string, shape: Shape) {
  const schema = z.strictObject(shape, { error: "a section with keys of its own" });
  // Every key has a default, so an absent section is an empty one. The schema cannot express that for a generic shape.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return schema.prefault({} as z.input<typeof schema>).meta({ description });
}

function isRedisUrl(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const url = new URL(value);
  return (url.protocol === "redis:" || url.protocol === "rediss:") && url.hostname !== "";
}
