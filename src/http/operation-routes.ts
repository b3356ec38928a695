/** Health, readiness, the OpenAPI description, and what a WebSocket endpoint says to a plain request. */
import type { FastifyInstance } from "fastify";
import type { HttpBackend } from "./http-backend.ts";
import { HttpRefusal, sendJson, sendRefusal } from "./http-refusal.ts";
import { healthSchema, openapiSchema, readySchema, websocketSchema } from "./openapi-schemas.ts";

/** What anybody may know of it. */
const brokerAway =
  "the broker (Redis) is away or does not answer; /readyz of the admin port says where and why";

/** Paths of the WebSocket endpoints as fastify writes them; the front door takes real handshakes before they get here. */
const websocketPaths = ["/ws", "/raw/*", "/echo"] as const;

/** Registers the routes. `@fastify/swagger` must be registered before. */
export function operationRoutes(app: FastifyInstance, backend: HttpBackend): void {
  app.get("/healthz", { config: { httpRoute: "health" }, schema: healthSchema }, async (_request, reply) =>
    sendJson(reply, '{"status":"ok"}'),
  );

  app.get("/readyz", { config: { httpRoute: "ready" }, schema: readySchema }, async (_request, reply) => {
    const { ready, reason } = backend.status();
    if (ready) return sendJson(reply, '{"status":"ready"}');
    // Addresses and causes of the inside are for the log and the admin port. Not a failure of this request: no
    // Retry-After, a prober has its own interval.
    const message = reason === "draining" ? reason : brokerAway;
    return sendRefusal(reply, new HttpRefusal(503, "unavailable", message));
  });

  let description: string | null = null;
  app.get(
    "/openapi.json",
    { config: { httpRoute: "openapi" }, schema: openapiSchema },
    async (_request, reply) => {
      description ??= JSON.stringify(app.swagger());
      return sendJson(reply, description);
    },
  );

  for (const path of websocketPaths) {
    app.get(path, { config: { httpRoute: "websocket" }, schema: websocketSchema }, async () => {
      throw upgradeRequired();
    });
  }
}

function upgradeRequired(): HttpRefusal {
  return new HttpRefusal(
    426,
    "upgrade_required",
    "this is a WebSocket endpoint: connect with new WebSocket(…), or send Connection: Upgrade and Upgrade: websocket",
    // RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426 response"; §7.8 asks for the option.
    { upgrade: "websocket", connection: "Upgrade" },
  );
}
