/** What the primary reports about itself and its workers. */

import { counter, gauge, type MetricDefinition } from "./metric-definition.ts";

export const primaryCatalogue = {
  buildInfo: gauge(
    "tapecast_build_info",
    "Always 1; which Tapecast and which Node are running.",
    "version",
    "node",
  ),
  workersConfigured: gauge("tapecast_workers_configured", "Worker slots."),
  workersReady: gauge("tapecast_workers_ready", "Slots whose worker is listening now."),
  workerRestarts: counter(
    "tapecast_worker_restarts_total",
    "Workers that ended unasked and were replaced: exited, or stalled (its event loop stood still).",
    "worker",
    "cause",
  ),
  workerSnapshotAge: gauge(
    "tapecast_worker_snapshot_age_seconds",
    "Age of the figures of a slot. It stays below 2 unless the worker's event loop stands still.",
    "worker",
  ),
  primaryResidentMemory: gauge(
    "tapecast_primary_resident_memory_bytes",
    "Resident memory of the primary process; with broker.kind memory it holds the history.",
  ),
  memoryLogBytes: gauge(
    "tapecast_memory_log_bytes",
    "With broker.kind memory: what the history of all topics takes, about (`broker.memory.logBytesMax`).",
  ),
  memoryLogsDropped: counter(
    "tapecast_memory_logs_dropped_total",
    "Topics whose history was given up because `broker.memory.logBytesMax` was reached.",
  ),
  primaryCpuSeconds: counter(
    "tapecast_primary_cpu_seconds_total",
    "Processor time of the primary process, user and system.",
    "mode",
  ),
  primaryEventLoopDelay: gauge(
    "tapecast_primary_event_loop_delay_seconds",
    "How late the primary's event loop came to its timers since the last scrape.",
    "quantile",
  ),
} as const satisfies Record<string, MetricDefinition>;
