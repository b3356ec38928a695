/** All faults that `npm run verify` knows. */
import { clusterFaults } from "./cluster-faults.ts";
import type { Fault } from "./fault.ts";
import { redisFaults } from "./redis-faults.ts";
import { sentinelFaults } from "./sentinel-faults.ts";
import { serverFaults } from "./server-faults.ts";

export const faults: readonly Fault[] = [
  ...redisFaults,
  ...clusterFaults,
  ...sentinelFaults,
  ...serverFaults,
];
