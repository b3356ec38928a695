/** `GET /connections`, `/topics` and `/workers` of the admin port: the query checked, the answer as JSON. */
import { connectionSorts, insightItemsMax, topicSorts } from "../base/insight.ts";
import type { Inspector } from "./inspector.ts";
import type { WorkerList } from "./worker-list.ts";

/** What a path answers. */
export interface InsightResponse {
  readonly status: number;
  readonly body: unknown;
}

const limitDefault = 20;

/** Answers a path; null when it is none of these. */
export type InsightRoutes = (path: string, query: URLSearchParams) => Promise<InsightResponse> | null;

/** @param workers what `/workers` shows, made when it is asked for. A wrong query is answered with 400, by the routes themselves. */
export function createInsightRoutes(inspector: Inspector, workers: () => WorkerList): InsightRoutes {
  return (path, query) => {
    switch (path) {
      case "/connections":
        return answer(query, connectionSorts, (sort, limit) => inspector.connections(sort, limit));
      case "/topics":
        return answer(query, topicSorts, (sort, limit) => inspector.topics(sort, limit));
      case "/workers":
        return Promise.resolve(
          query.size === 0 ? { status: 200, body: workers() } : bad("/workers takes no parameters"),
        );
      default:
        return null;
    }
  };
}

async function answer<Sort extends string>(
  query: URLSearchParams,
  sorts: readonly [Sort, ...Sort[]],
  ask: (sort: Sort, limit: number) => Promise<unknown>,
): Promise<InsightResponse> {
  for (const name of query.keys()) {
    if (name !== "sort" && name !== "limit") return bad("the parameters are sort and limit");
    if (query.getAll(name).length > 1) return bad(`${name} may be given once`);
  }
  const wanted = query.get("sort") ?? sorts[0];
  const sort = sorts.find((each) => each === wanted);
  if (sort === undefined) return bad(`sort is one of ${sorts.join(", ")}`);
  const limitText = query.get("limit") ?? String(limitDefault);
  const limit = /^\d{1,9}$/u.test(limitText) ? Number(limitText) : 0;
  if (limit < 1 || limit > insightItemsMax) return bad(`limit is a number from 1 to ${insightItemsMax}`);
  return { status: 200, body: await ask(sort, limit) };
}

function bad(message: string): InsightResponse {
  return { status: 400, body: { error: { code: "bad_request", message } } };
}
