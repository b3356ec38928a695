/** What a scrape of the admin port says. */

export class Metrics {
  readonly text: string;

  /** @param text Prometheus's text format. */
  constructor(text: string) {
    this.text = text;
  }

  /** The sum over all series of a metric that carry these labels; 0 when there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#values(name, labels).reduce((sum, { value }) => sum + value, 0);
  }

  /** The sum by worker slot. */
  byWorker(name: string): Map<string, number> {
    const workers = new Map<string, number>();
    for (const { labels, value } of this.#values(name, {})) {
      const worker = labels.get("worker") ?? "";
      workers.set(worker, (workers.get(worker) ?? 0) + value);
    }
    return workers;
  }

  #values(name: string, wanted: Readonly<Record<string, string>>) {
    const lines = this.text.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, "gmu"));
    return Array.from(lines, ([, labelText = "", value = "0"]) => ({
      labels: new Map(
        Array.from(labelText.matchAll(/(\w+)="([^"]*)"/gu), ([, key = "", text = ""]) => [key, text]),
      ),
      value: Number(value),
    })).filter(({ labels }) => Object.entries(wanted).every(([key, text]) => labels.get(key) === text));
  }
}
