/** Answers `Broker.history`, whatever the broker: concurrent reads of the same part are one. */
import type { BrokerTopic, HistoryPage, Position } from "./broker.ts";
import { historyPage } from "./history-page.ts";
import { partForPage, type LogPart, type LogRead } from "./log-read.ts";
import { SharedReads } from "./shared-reads.ts";

/** One for each broker. */
export class HistoryReads {
  readonly #reads = new SharedReads<LogRead>();
  readonly #read: (topic: BrokerTopic, part: LogPart) => Promise<LogRead>;

  constructor(read: (topic: BrokerTopic, part: LogPart) => Promise<LogRead>) {
    this.#read = read;
  }

  /** See `Broker.history`. */
  async page(topic: BrokerTopic, since: Position | null, limit: number): Promise<HistoryPage> {
    const part = partForPage(topic, since, limit);
    const after = part.since === null ? "" : `${part.since.epoch}-${part.since.seq}`;
    const read = await this.#reads.get(`${topic.name} ${after} ${limit}`, () => this.#read(topic, part));
    return historyPage(read, since);
  }
}
