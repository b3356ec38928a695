/** What publishes in a scenario. */
export interface Publishing {
  /** Publishes for its time, or until `stop`. */
  run(): Promise<PublishSummary>;
  /** Ends early; `run` resolves with what was done. */
  stop(): void;
}

/** What the publishers did. */
export interface PublishSummary {
  readonly requests: number;
  /** Messages offered. */
  readonly offered: number;
  /** Messages refused, by HTTP status or error code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Of the answers. */
  readonly requestP50Ms: number;
  readonly requestP99Ms: number;
  readonly errors: number;
  readonly timeouts: number;
}

interface PublishResult {
  readonly seq?: number;
  readonly error?: { readonly code: string };
}

/** The results in an answer of `POST /api/publish`, or null when it is none. */
export function publishResults(body: string): readonly PublishResult[] | null {
  try {
    const answer: unknown = JSON.parse(body);
    if (typeof answer !== "object" || answer === null || !("results" in answer)) return null;
    return Array.isArray(answer.results) ? answer.results : null;
  } catch {
    // Not JSON is no answer of ours, which null says.
    return null;
  }
}
