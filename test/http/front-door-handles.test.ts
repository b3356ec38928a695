/** The front door once more, with connections served by their handles: everything must be as it is on node's sockets. */
import { describe, expect } from "vitest";

import { probeHandleTransport } from "../../src/connection/handle-trial.ts";

expect(await probeHandleTransport()).toBeNull();
// Each in a suite of its own, which keeps their hooks apart.
describe("by handles: requests", () => import("./front-door.test.ts").then(ignore));
describe("by handles: limits", () => import("./front-door-limits.test.ts").then(ignore));
describe("by handles: listening", () => import("./front-door-listen.test.ts").then(ignore));
describe("by handles: clients", () => import("./front-door-clients.test.ts").then(ignore));
describe("by handles: compression", () => import("./front-door-deflate.test.ts").then(ignore));

function ignore(): void {
  // What was imported has put its tests into the suite.
}
