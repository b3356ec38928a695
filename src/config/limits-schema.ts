/** `limits`: everything that a peer or a publisher can grow has its limit here. null is no limit. */
import { z } from "zod";

import { limit } from "./option.ts";

/** Longest message a Node Buffer and the codec's 32-bit arithmetic take without thinking: 1 GiB. */
const bytesMax = 1_073_741_824;
const countMax = 1_000_000_000;
const timerMsMax = 2_147_483_647;

/** The section with its defaults. */
export const limitsSchema = z
  .strictObject(
    {
      connectionsMax: limit(1, countMax, null, {
        description: "Open connections per worker; one more handshake is answered 503.",
        unit: "connections",
      }),
      connectionsPerAddressMax: limit(1, countMax, null, {
        description:
          "Open connections per worker from one address (IPv6: from one /64); one more is closed with 4504.",
        unit: "connections",
      }),
      connectionsPerUserMax: limit(1, countMax, null, {
        description: "Open connections per worker with tokens of one `sub`; one more is closed with 4504.",
        unit: "connections",
      }),
      handshakesPerSecMax: limit(1, countMax, 2000, {
        description: "Handshakes that are accepted; more are answered 503.",
        unit: "per second",
      }),
      handshakesPerAddressPerSecMax: limit(1, countMax, null, {
        description: "Handshakes from one address (IPv6: from one /64); more are answered 429.",
        unit: "per second",
      }),
      badCredentialsPerAddressPerSecMax: limit(1, countMax, 100, {
        description:
          "Bad tokens and publish keys from one address (IPv6: from one /64); then nothing of it is verified for a " +
          "moment: 429, `rate_limited`, or 4004 at the handshake.",
        unit: "per second",
      }),
      headBytesMax: limit(128, 1_048_576, 16_384, { description: "Size of a request head.", unit: "bytes" }),
      headTimeoutMs: limit(10, timerMsMax, 10_000, {
        description: "Time for a request head to arrive.",
        unit: "milliseconds",
      }),
      messageTimeoutMs: limit(10, timerMsMax, 60_000, {
        description:
          "Time for a message to arrive, from its first byte to its last; a slower one closes the connection with 1008.",
        unit: "milliseconds",
      }),
      topicsPerConnectionMax: limit(1, 1_000_000, 1024, {
        description: "Topics that one connection may have.",
        unit: "topics",
      }),
      topicsPerWorkerMax: limit(1, countMax, 262_144, {
        description:
          "Topics that are open in a worker; one more is refused with `limit`, `/raw` closed with 4004.",
        unit: "topics",
      }),
      messageBytesMax: limit(1, bytesMax, 65_536, {
        description: "Size of a message from a client, and of a published `data`.",
        unit: "bytes",
      }),
      echoMessageBytesMax: limit(1, bytesMax, 16_777_216, {
        description: "Size of a message on `/echo`.",
        unit: "bytes",
      }),
      fragmentsPerMessageMax: limit(1, countMax, 1024, {
        description: "Frames that one message may be cut into.",
        unit: "frames",
      }),
      echoFragmentBytesMin: limit(1, 65_536, 64, {
        description:
          "`/echo` takes more frames than `fragmentsPerMessageMax` for a message that has so many bytes for each " +
          "of them; null: any number.",
        unit: "bytes",
      }),
      controlFramesPerSecMax: limit(1, countMax, 20, {
        description: "Pings and pongs from one connection; more close it with 4505.",
        unit: "per second",
      }),
      inboundMessagesPerSecMax: limit(1, countMax, 100, {
        description: "Messages from one connection; more close it with 4505.",
        unit: "per second",
      }),
      inboundBytesPerSecMax: limit(1, countMax, 1_048_576, {
        description: "Bytes from one connection, inflated; more close it with 4505.",
        unit: "bytes per second",
      }),
      workMsPerSecMax: limit(1, 1000, 20, {
        description:
          "Time of its worker that what one connection asks for may take while others are active, with a burst of half " +
          "a second's worth; what is beyond waits. Null: only that nobody works for long at a time.",
        unit: "milliseconds per second",
      }),
      workMsPerAddressPerSecMax: limit(1, 1000, null, {
        description:
          "`workMsPerSecMax` for all connections from one address (IPv6: from one /64) together, opening them included, " +
          "so that who comes back again and again has no fresh share each time. While it is spent handshakes are " +
          "answered 429. Only where clients have addresses of their own: behind a proxy set `listen.trustedProxies`.",
        unit: "milliseconds per second",
      }),
      commandsPerWorkerPerSecMax: limit(1, countMax, null, {
        description: "Commands from all connections of a worker; more are answered `rate_limited`.",
        unit: "per second",
      }),
      clientPublishesPerSecMax: limit(1, countMax, 5, {
        description: "Publications from one connection; more are answered `rate_limited`.",
        unit: "per second",
      }),
      clientPublishesPerUserPerSecMax: limit(1, countMax, null, {
        description:
          "Publications from all connections with tokens of one `sub`; more are answered `rate_limited`.",
        unit: "per second",
      }),
      ringBytesTotalMax: limit(65_536, 1_099_511_627_776, 268_435_456, {
        description:
          "Bytes of publications that a worker keeps for those who fall behind or come back (`flush.ringMessagesMax`); " +
          "more empties what the topics that were published on longest ago kept. History itself stays in the broker.",
        unit: "bytes",
      }),
      httpPublishesPerSecMax: limit(1, countMax, null, {
        description:
          "Messages by `POST /api/publish` from one publish key, or, where none is configured, from one address; more " +
          "are answered 429. A larger batch passes when nothing was sent for long enough.",
        unit: "per second",
      }),
      httpBodyBytesInFlightMax: limit(1024, 1_099_511_627_776, 268_435_456, {
        description: "Memory of a worker for bodies of HTTP requests; a request beyond it is answered 503.",
        unit: "bytes",
      }),
      httpAnswerBytesTotalMax: limit(1024, 1_099_511_627_776, 134_217_728, {
        description:
          "Bytes of a worker's HTTP answers that were not taken yet; more ends the connections whose answers have been " +
          "waiting longest.",
        unit: "bytes",
      }),
      httpRequestsInFlightMax: limit(1, countMax, 4096, {
        description: "HTTP requests that a worker works on at once; one more is answered 503.",
        unit: "requests",
      }),
      httpRequestsPerAddressPerSecMax: limit(1, countMax, null, {
        description:
          "HTTP requests from one address (IPv6: from one /64), `/healthz` and `/readyz` apart; more are answered 429.",
        unit: "per second",
      }),
      pendingBytesMax: limit(1024, bytesMax, 1_048_576, {
        description:
          "Bytes given to a connection's socket and not yet taken by the kernel, replies included; more close it " +
          "with 4001.",
        unit: "bytes",
      }),
      pendingAgeMsMax: limit(10, timerMsMax, 10_000, {
        description:
          "Time since the kernel last took any of them; more closes the connection with 4001. An HTTP connection that " +
          "takes none of its answers ends after this time.",
        unit: "milliseconds",
      }),
      pendingBytesTotalMax: limit(1024, 1_099_511_627_776, 536_870_912, {
        description:
          "`pendingBytesMax` for all connections of a worker together; more ends those that have been waiting longest.",
        unit: "bytes",
      }),
      arrivingBytesTotalMax: limit(1024, 1_099_511_627_776, 268_435_456, {
        description:
          "Memory of a worker for messages of all connections that are not whole yet; more closes those whose message " +
          "began first, with 4004.",
        unit: "bytes",
      }),
      echoPendingBytesTotalMax: limit(1024, 1_099_511_627_776, 134_217_728, {
        description:
          "Bytes of a worker that all connections on `/echo` together were sent and have not taken; more ends those " +
          "that have been waiting longest.",
        unit: "bytes",
      }),
      waitingCommandBytesMax: limit(1024, bytesMax, 1_048_576, {
        description:
          "Bytes of the commands of one connection that wait for an earlier one; more are answered `rate_limited`.",
        unit: "bytes",
      }),
      waitingCommandBytesTotalMax: limit(1024, 1_099_511_627_776, 67_108_864, {
        description: "`waitingCommandBytesMax` for all connections of a worker together.",
        unit: "bytes",
      }),
    },
    { error: "a section with keys of its own" },
  )
  .prefault({})
  .meta({
    description:
      "null is no limit. Rates are per worker, with a burst of one second's worth. `tapecast_limits_reached_total` " +
      "counts, by key, how often each stopped somebody.",
  });
