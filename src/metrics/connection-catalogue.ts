/** What a worker reports about its sockets and connections, the limits that stopped them, and what they asked for. */

import { counter, gauge, type MetricDefinition } from "./metric-definition.ts";

export const connectionCatalogue = {
  connectionsOpen: gauge("tapecast_connections_open", "WebSocket connections open now."),
  connectionsOpened: counter("tapecast_connections_opened_total", "WebSocket connections opened."),
  connectionsClosed: counter(
    "tapecast_connections_closed_total",
    "WebSocket connections closed, by the first reason that closed them.",
    "reason",
  ),
  messagesReceived: counter(
    "tapecast_messages_received_total",
    "Whole WebSocket messages received from clients.",
  ),
  pingsReceived: counter("tapecast_pings_received_total", "WebSocket pings received from clients."),
  deflateConnections: counter(
    "tapecast_deflate_connections_total",
    "WebSocket connections that agreed on permessage-deflate.",
  ),
  deflateMessages: counter(
    "tapecast_deflate_messages_total",
    "Messages compressed, each once however many readers it went to.",
  ),
  deflateBytesIn: counter(
    "tapecast_deflate_input_bytes_total",
    "Bytes of the compressed messages before compression.",
  ),
  deflateBytesOut: counter(
    "tapecast_deflate_output_bytes_total",
    "Bytes of the compressed messages after compression, frame headers included.",
  ),
  deflateUnshrinkable: counter(
    "tapecast_deflate_unshrinkable_total",
    "Messages that compression would not have made a quarter smaller: sent as they were.",
  ),
  inflateMessages: counter("tapecast_inflate_messages_total", "Compressed messages received from clients."),
  inflateBytesIn: counter(
    "tapecast_inflate_input_bytes_total",
    "Bytes of the compressed messages received, as they came.",
  ),
  inflateBytesOut: counter(
    "tapecast_inflate_output_bytes_total",
    "Bytes of the compressed messages received, inflated.",
  ),
  bytesReceived: counter("tapecast_received_bytes_total", "Bytes read from WebSocket connections."),
  bytesSent: counter(
    "tapecast_sent_bytes_total",
    "Bytes given to WebSocket connections, replies and control frames included.",
  ),
  socketWrites: counter(
    "tapecast_socket_writes_total",
    "Writes to WebSocket connections, one system call each in the usual case.",
  ),
  socketReads: counter("tapecast_socket_reads_total", "Reads from WebSocket connections."),
  socketWritesPended: counter(
    "tapecast_socket_writes_pended_total",
    "Writes that the kernel did not take whole at once: the reader is slower than we are.",
  ),
  pendingBytes: gauge(
    "tapecast_pending_bytes",
    "Bytes given to the sockets of all connections and not taken by the kernel when each was last looked at.",
  ),
  arrivingBytes: gauge(
    "tapecast_arriving_bytes",
    "Memory held for messages of all WebSocket connections that are not whole yet (`limits.arrivingBytesTotalMax`).",
  ),
  turnsCut: counter(
    "tapecast_turns_cut_total",
    "How often what a connection asked for had to wait for a later turn of the event loop, by `reason`: `slice` (its part of this turn was over), `share` (`limits.workMsPerSecMax`), `address` (`limits.workMsPerAddressPerSecMax`).",
    "reason",
  ),
  connectionsWaitingTurn: gauge(
    "tapecast_connections_waiting_turn",
    "Connections now whose work waits for a later turn, or that rest.",
  ),
  waitingTurnBytes: gauge(
    "tapecast_waiting_turn_bytes",
    "Bytes that wait for a later turn: read and not decoded, or large messages not given to the socket yet.",
  ),
  connectionsShed: counter(
    "tapecast_connections_shed_total",
    "WebSocket connections ended because `limits.pendingBytesTotalMax` was reached; part of the reason `slow_consumer`.",
  ),
  socketsAccepted: counter(
    "tapecast_sockets_accepted_total",
    "TCP, TLS and unix socket connections accepted, whatever they spoke.",
  ),
  socketsWaiting: gauge(
    "tapecast_sockets_waiting",
    "Connections now whose request head has not come whole, or whose refusal is on its way.",
  ),
  httpConnections: gauge("tapecast_http_connections_open", "Connections now that speak HTTP."),
  handshakesAccepted: counter(
    "tapecast_handshakes_accepted_total",
    "WebSocket handshakes answered with 101.",
  ),
  handshakesRefused: counter(
    "tapecast_handshakes_refused_total",
    "Connections that asked for a WebSocket or sent no whole request head, and were refused, by reason.",
    "reason",
  ),
  limitsReached: counter(
    "tapecast_limits_reached_total",
    "How often a limit of the configuration stopped somebody, by its key in `limits`.",
    "limit",
  ),
  commands: counter("tapecast_commands_total", "Commands received from clients, by method.", "method"),
  commandErrors: counter(
    "tapecast_command_errors_total",
    "Commands answered with an error, by its code.",
    "code",
  ),
} as const satisfies Record<string, MetricDefinition>;
