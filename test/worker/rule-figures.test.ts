/** What the metrics say of each rule of the configuration: topics, publications, freshness. */
import { describe, expect, it } from "vitest";

import { ruleLabelsMax } from "../../src/metrics/catalogue.ts";
import { RuleFigures } from "../../src/worker/rule-figures.ts";
import { chat, HubWorld, quote } from "../hub/hub-world.ts";

function figuresOf(figures: RuleFigures, world: HubWorld) {
  return Object.fromEntries(
    figures.read(world.hub.logs(), world.nowMs).map(({ rule, ...rest }) => [rule, rest]),
  );
}

const none = { topics: 0, quietTopics: 0, publications: 0, newestAgeMs: null };

describe("freshness per topic rule", () => {
  it("counts topics and publications, and knows the age of the newest", () => {
    const world = new HubWorld();
    const figures = new RuleFigures([{ match: "quote.**" }, { match: "chat.**" }, { match: "trade.**" }]);
    expect(figuresOf(figures, world)["quote.**"]).toEqual(none);
    const client = world.client();
    world.subscribe(client, [quote("quote.A"), quote("quote.B"), chat("chat.a")]);
    world.publish("quote.A");
    world.publish("quote.A");
    world.go(30_000);
    world.publish("quote.B");
    world.go(250);
    expect(figuresOf(figures, world)).toEqual({
      "quote.**": { topics: 2, quietTopics: 0, publications: 3, newestAgeMs: 250 },
      // Nothing came: of unknown age, which is not the same as fresh.
      "chat.**": { topics: 1, quietTopics: 1, publications: 0, newestAgeMs: null },
      "trade.**": none,
    });
    world.go(30_000);
    expect(figuresOf(figures, world)["quote.**"]).toMatchObject({ quietTopics: 1, newestAgeMs: 30_250 });
  });

  it("a topic that was closed keeps counting as what it brought", () => {
    const world = new HubWorld();
    const figures = new RuleFigures([{ match: "quote.**" }]);
    const client = world.client();
    world.subscribe(client, [quote("quote.A")]);
    world.publish("quote.A");
    figures.read(world.hub.logs(), world.nowMs);
    world.unsubscribe(client, "quote.A");
    world.go(6000);
    expect(figuresOf(figures, world)["quote.**"]).toEqual({ ...none, publications: 1 });
    world.subscribe(client, [quote("quote.A")]);
    world.publish("quote.A");
    world.go(1000);
    expect(figuresOf(figures, world)["quote.**"]).toMatchObject({ topics: 1, publications: 2 });
  });

  it("what was read at the opening is of unknown age", () => {
    const world = new HubWorld();
    const figures = new RuleFigures([{ match: "quote.**" }]);
    world.hub.open([quote("quote.A")], world.nowMs, () => undefined);
    world.hub.opened("quote.A", { epoch: "1", seq: 1 }, [{ seq: 1, data: Buffer.from("1") }], world.nowMs);
    expect(figuresOf(figures, world)["quote.**"]).toMatchObject({ publications: 0, newestAgeMs: null });
  });

  it.each([
    { name: "as many rules as have series", count: ruleLabelsMax, series: ruleLabelsMax },
    { name: "one more: the last is `other`", count: ruleLabelsMax + 1, series: ruleLabelsMax + 1 },
    { name: "a thousand: the rest is `other` together", count: 1000, series: ruleLabelsMax + 1 },
  ])("$name", ({ count, series }) => {
    const world = new HubWorld();
    const rules = Array.from({ length: count }, (_, index) => ({ match: `r${index}.**` }));
    const figures = new RuleFigures(rules);
    world.subscribe(world.client(), [quote(`r${count - 1}.A`)]);
    const read = figures.read(world.hub.logs(), world.nowMs);
    expect(read).toHaveLength(series);
    const wanted = count > ruleLabelsMax ? "other" : `r${count - 1}.**`;
    expect(read.find(({ topics }) => topics === 1)?.rule).toBe(wanted);
  });
});
