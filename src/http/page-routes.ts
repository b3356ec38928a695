/** `/` and `/demo/*` from the page table, with revalidation by ETag. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HttpRefusal } from "./http-refusal.ts";
import { pageSchema } from "./openapi-schemas.ts";
import type { Page } from "./page-table.ts";

/** Registers the pages. @param pages kept; looked up, never written */
export function pageRoutes(app: FastifyInstance, pages: ReadonlyMap<string, Page>): void {
  const config = { httpRoute: "page" } as const;
  app.get("/", { config, schema: pageSchema }, async (request, reply) =>
    serve(request, reply, pages.get("/")),
  );
  app.get("/favicon.ico", { config, schema: pageSchema }, async (request, reply) =>
    serve(request, reply, pages.get("/favicon.ico")),
  );
  app.get<{ Params: { "*": string } }>("/demo/*", { config, schema: pageSchema }, async (request, reply) =>
    serve(request, reply, pages.get(`/demo/${request.params["*"]}`)),
  );
}

function serve(request: FastifyRequest, reply: FastifyReply, page: Page | undefined): FastifyReply {
  if (page === undefined) {
    throw new HttpRefusal(404, "not_found", "there is no such page; scripts are there after `npm run build`");
  }
  // "no-cache" lets the browser keep it and ask each time whether it is still good (RFC 9111 §5.2.2.4).
  reply.headers({ etag: page.etag, "cache-control": "no-cache" });
  if (isKnown(request.headers["if-none-match"], page.etag)) return reply.code(304).send();
  return reply.type(page.contentType).send(page.body);
}

/** RFC 9110 §13.1.2: "A recipient MUST use the weak comparison function when comparing entity tags". */
function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === "*") return true;
  return ifNoneMatch.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === etag);
}
