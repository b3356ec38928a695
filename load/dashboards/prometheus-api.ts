/** The little of Prometheus's HTTP API that dashboards need. https://prometheus.io/docs/prometheus/latest/querying/api/ */
import { CliError, exitCode } from "../../src/cli/exit-code.ts";

/** One series of a range query: its labels, and `[unix seconds, number as text]` pairs. */
export interface RangeSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

/** A span of time, unix seconds, and the distance of its points. */
export interface Range {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

export class PrometheusApi {
  readonly #url: string;

  /** @param url `http://host:port`. */
  constructor(url: string) {
    this.#url = url;
  }

  async range(query: string, { start, end, step }: Range): Promise<readonly RangeSeries[]> {
    const parameters = new URLSearchParams({
      query,
      start: String(start),
      end: String(end),
      step: String(step),
    });
    const { result } = await this.ask<{ result: RangeSeries[] }>(`query_range?${parameters}`);
    return result;
  }

  /** The values that a label has, sorted. @param series selects which series count. */
  async labelValues(label: string, series: string): Promise<readonly string[]> {
    const values = await this.ask<string[]>(
      `label/${label}/values?${new URLSearchParams({ "match[]": series })}`,
    );
    return values.toSorted();
  }

  /** @param path after `/api/v1/`. @throws CliError without an answer, or with one that is an error. */
  async ask<Data>(path: string): Promise<Data> {
    const response = await fetch(`${this.#url}/api/v1/${path}`).catch(() => null);
    if (response === null) throw new CliError(exitCode.unavailable, `no Prometheus answers at ${this.#url}`);
    const answer = (await response.json().catch(() => null)) as Answer<Data> | null;
    if (answer?.status !== "success" || answer.data === undefined)
      throw new CliError(
        exitCode.failed,
        `${this.#url}: ${answer?.error ?? `HTTP status ${response.status}`}`,
      );
    return answer.data;
  }
}

interface Answer<Data> {
  readonly status: string;
  readonly data?: Data;
  readonly error?: string;
}
