import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

// What needs more than Node and Redis: Chromium, Prometheus, foreign clients. `.ci/run` installs these.
export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    include: ["test/system/**/*.test.ts"],
    globalSetup: ["test/setup/redis.ts"],
    testTimeout: 90_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
    fileParallelism: false,
  },
});
