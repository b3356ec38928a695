/** What a worker reports about itself as a process. */

import { counter, gauge, type MetricDefinition } from "./metric-definition.ts";

export const processCatalogue = {
  eventLoopDelay: {
    ...gauge(
      "tapecast_event_loop_delay_seconds",
      "How late the event loop came to its timers within the last second: median, 99th percentile, longest (1).",
      "quantile",
    ),
    aggregator: "max",
  },
  eventLoopUtilization: {
    ...gauge(
      "tapecast_event_loop_utilization_ratio",
      "Share of the last second in which the event loop was busy, 0 to 1.",
    ),
    aggregator: "max",
  },
  residentMemory: gauge("tapecast_resident_memory_bytes", "Resident memory of the process."),
  heapUsed: gauge("tapecast_heap_used_bytes", "JavaScript heap in use."),
  externalMemory: gauge(
    "tapecast_external_memory_bytes",
    "Memory of buffers outside of the JavaScript heap.",
  ),
  cpuSeconds: counter(
    "tapecast_cpu_seconds_total",
    "Processor time of the process, user and system.",
    "mode",
  ),
} as const satisfies Record<string, MetricDefinition>;
