/**
 * What an audience costs by how many different sets of topics there are: memory, joining, leaving, publishing and
 * flushing; and a reader that takes 1,024 topics one by one. Not timed in rounds as the other cases are: joining and
 * leaving happen once, so the shapes follow each other several times and the medians are told.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import type { BuiltModules } from "./built-modules.ts";
import { HubStage, topicOf } from "./hub-cases.ts";
import { markdownTable } from "./markdown-table.ts";
import { quoteJson } from "./quotes.ts";
import { readable, median } from "./statistics.ts";

/** 100,000 readers, however many sets they share. */
export interface TopicSetShape {
  readonly sets: number;
  readonly readers: number;
}

export interface TopicSetFigures {
  readonly bytesPerReader: number;
  readonly joinUs: number;
  readonly leaveUs: number;
  /** One publication until it waits in all audiences of its topic. */
  readonly publishUs: number;
  /** One publication for one reader, publishing and writing together. */
  readonly deliveryNs: number;
  /** A subscribe of one more topic, of 1,024 in a row. */
  readonly singleUs: number;
  /** The last 256 of them by the first: about 1 when it does not matter how many a reader has. */
  readonly singleGrowth: number;
}

export interface TopicSetResult extends TopicSetFigures {
  readonly sets: number;
  readonly readers: number;
}

export const topicSetShapes: readonly TopicSetShape[] = [1, 100, 100_000].map((sets) => ({
  sets,
  readers: 100_000,
}));
const topicCount = 1000;
const topicsPerSet = 5;
const singles = 1024;
const quarter = singles / 4;

/** @param rounds how often each shape is built up and measured; the medians are returned. */
export function measureTopicSets(
  build: BuiltModules,
  shapes: readonly TopicSetShape[],
  rounds: number,
): TopicSetResult[] {
  const figures = shapes.map((): TopicSetFigures[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, shape] of shapes.entries()) figures[index]?.push(measureOnce(build, shape));
  }
  return shapes.map((shape, index) => {
    const of = (name: keyof TopicSetFigures): number =>
      median((figures[index] ?? []).map((each) => each[name]));
    return {
      ...shape,
      bytesPerReader: of("bytesPerReader"),
      joinUs: of("joinUs"),
      leaveUs: of("leaveUs"),
      publishUs: of("publishUs"),
      deliveryNs: of("deliveryNs"),
      singleUs: of("singleUs"),
      singleGrowth: of("singleGrowth"),
    };
  });
}

function measureOnce(build: BuiltModules, { sets, readers }: TopicSetShape): TopicSetFigures {
  const topics = Array.from({ length: topicCount }, (_, number) => topicOf(number, "every"));
  const stage = new HubStage(build);
  // Somebody has each topic open, as in a worker that has been up for a while.
  stage.subscribe(topics, "native", 0);
  stage.settle();
  const setOf = (reader: number) =>
    topicsOf(reader % sets).map((number) => topics[number] ?? topicOf(0, "every"));
  const before = heapBytes();
  const joinBegun = performance.now();
  const handles: unknown[] = [];
  for (let reader = 0; reader < readers; reader += 1)
    handles.push(stage.subscribe(setOf(reader), "native", 0));
  stage.settle();
  const joinMs = performance.now() - joinBegun;
  const bytesPerReader = (heapBytes() - before) / readers;

  const data = Buffer.from(quoteJson(1));
  const publishAll = (): void => {
    for (const { name } of topics) stage.hub.publish(name, 0, data, null, stage.nowMs);
  };
  publishAll();
  stage.flush();
  const publishBegun = performance.now();
  publishAll();
  const publishMs = performance.now() - publishBegun;
  stage.flush();
  const deliveryMs = performance.now() - publishBegun;

  const [singleFirstMs, singleMiddleMs, singleLastMs] = subscribeOneByOne(stage);
  const leaveBegun = performance.now();
  for (const handle of handles) stage.hub.remove(handle, stage.nowMs);
  const leaveMs = performance.now() - leaveBegun;
  return {
    bytesPerReader,
    joinUs: (joinMs * 1000) / readers,
    leaveUs: (leaveMs * 1000) / readers,
    publishUs: (publishMs * 1000) / topicCount,
    deliveryNs: (deliveryMs * 1e6) / (readers * topicsPerSet + topicCount),
    singleUs: ((singleFirstMs + singleMiddleMs + singleLastMs) * 1000) / singles,
    singleGrowth: singleLastMs / singleFirstMs,
  };
}

/** Milliseconds of the first 256, of those between, and of the last 256. */
function subscribeOneByOne(stage: HubStage): [number, number, number] {
  const topics = Array.from({ length: singles }, (_, number) => topicOf(topicCount + number, "every"));
  const reader = stage.subscribe(topics.slice(0, 1), "native", 0);
  // All topics are open already: what the broker does for new ones is not meant here.
  stage.subscribe(topics, "native", 0);
  const timed = (from: number, to: number): number => {
    const begun = performance.now();
    for (const topic of topics.slice(from, to)) stage.add(reader, topic);
    return performance.now() - begun;
  };
  return [timed(0, quarter), timed(quarter, singles - quarter), timed(singles - quarter, singles)];
}

/** Five topics of 1,000. The first three are digits of the number, so each number below 100,000 has a set of its own. */
function topicsOf(set: number): readonly number[] {
  const second = Math.floor(set / 200) % 200;
  return [
    set % 200,
    200 + second,
    400 + Math.floor(set / 40_000) * 66 + (set % 66),
    600 + ((set * 7 + second) % 200),
    800 + ((set * 3 + second * 7) % 200),
  ];
}

/**
 * After full collections, which a program may ask for only through this flag: the second takes what the first only
 * found out about, such as code that is too old to keep.
 */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

/** The table, with what bounds its figures. */
export function topicSetReport(results: readonly TopicSetResult[]): string {
  const rows = results.map((each) => [
    each.sets.toLocaleString("en"),
    readable(each.joinUs),
    readable(each.leaveUs),
    readable(each.bytesPerReader),
    readable(each.publishUs),
    readable(each.deliveryNs),
    readable(each.singleUs),
    readable(each.singleGrowth),
  ]);
  return [
    "## Topic sets",
    `100,000 readers without sockets, each with ${topicsPerSet} of ${topicCount.toLocaleString("en")} topics, on 1, 100 or 100,000 different sets. Joining includes the rest of a second after which equal sets find each other. \`single\` is a subscribe of one topic more, of 1,024 in a row by one reader; its growth is the last 256 by the first 256.`,
    markdownTable(
      [
        "different sets",
        "join, µs",
        "leave, µs",
        "bytes per reader",
        "publish, µs",
        "delivery, ns",
        "single, µs",
        "growth",
      ],
      rows,
      new Set([0, 1, 2, 3, 4, 5, 6, 7]),
    ),
    "A publication is appended once for each audience of its topic, so publishing is bounded by the number of different sets that contain the topic, and never by the readers; at worst each reader has a set of its own, and costs one audience. Joining and leaving cost the topics that change, with a set of one's own however many it has.",
  ].join("\n\n");
}
