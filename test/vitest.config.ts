import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

// What needs Node and Redis and nothing else. test/system has a configuration of its own.
export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/system/**"],
    globalSetup: ["test/setup/redis.ts"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/web/**"],
      reporter: ["text-summary", "json-summary", "html"],
      thresholds: {
        "src/{codec,handshake}/**": { lines: 100, branches: 100 },
      },
    },
  },
});
