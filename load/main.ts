/** The entry of `npm run load`: one file per scenario under load/scenarios, and `compare`. */
import { Command } from "commander";

import { addBadClient } from "./bad-client/neighbours-command.ts";
import { addCompare } from "./compare/compare-command.ts";
import { runProgram } from "./run-program.ts";
import { addConnectStormScenario } from "./scenarios/connect-storm.ts";
import { addDanmakuBurstScenario } from "./scenarios/danmaku-burst.ts";
import { addPollingVsPushScenario } from "./scenarios/polling-vs-push.ts";
import { addPublishScenario } from "./scenarios/publish.ts";
import { addQuoteFanoutScenario } from "./scenarios/quote-fanout.ts";
import { addReconnectHerdScenario } from "./scenarios/reconnect-herd.ts";
import { addSlowReadersScenario } from "./scenarios/slow-readers.ts";
import { addSoakScenario } from "./scenarios/soak.ts";

const result = { exitCode: 0 };
const program = new Command("npm run load --")
  .usage("SCENARIO [options]")
  .description(
    "Load scenarios. Each ends what it started, writes a report to load/results, and exits with 1 when a promise was not kept.",
  )
  .showHelpAfterError("(add --help for what is possible)")
  .exitOverride();
for (const add of [
  addPublishScenario,
  addPollingVsPushScenario,
  addQuoteFanoutScenario,
  addDanmakuBurstScenario,
  addConnectStormScenario,
  addSlowReadersScenario,
  addReconnectHerdScenario,
  addSoakScenario,
  addBadClient,
  addCompare,
]) {
  add(program, result);
}
const names = program.commands.map((command) => command.name());
program.on("command:*", ([name]: string[]) => {
  program.error(`error: there is no scenario ${JSON.stringify(name)}; there are ${names.join(", ")}`);
});

await runProgram(program, result);
