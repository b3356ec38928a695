import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, type Harness, startHarness } from "./http-harness.ts";

interface Operation {
  summary?: string;
  parameters?: { name: string; in: string; required?: boolean; schema?: object }[];
  requestBody?: { content: Record<string, { schema?: object }> };
  responses: Record<string, { description: string; content?: Record<string, { schema?: object }> }>;
}
interface Description {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; securitySchemes: Record<string, object> };
}

let harness: Harness;
let description: Description;
let text: string;
beforeAll(async () => {
  harness = await startHarness();
  const answer = await ask(harness.port, "GET", "/openapi.json");
  text = answer.text;
  description = JSON.parse(text) as Description;
});
afterAll(async () => harness.stop());

describe("GET /openapi.json", () => {
  const expected: Readonly<Record<string, readonly [method: string, statuses: string]>> = {
    "/api/publish": ["post", "200 400 401 403 404 405 408 413 415 429 431 500 503"],
    "/api/topics/{topic}": ["get", "200 400 401 403 404 405 431 500 503"],
    "/api/topics/{topic}/history": ["get", "200 400 401 403 404 405 431 500 503"],
    "/healthz": ["get", "200 405 431 500"],
    "/readyz": ["get", "200 405 431 500 503"],
    "/openapi.json": ["get", "200 405 431 500"],
    "/": ["get", "200 304 404 405 431 500"],
    "/favicon.ico": ["get", "200 304 404 405 431 500"],
    "/demo/{path}": ["get", "200 304 404 405 431 500"],
    "/ws": ["get", "101 405 426 431 500"],
    "/raw/{path}": ["get", "101 405 426 431 500"],
    "/echo": ["get", "101 405 426 431 500"],
  };

  it("names every route with every status", () => {
    expect(description.openapi).toBe("3.1.0");
    expect(description.info).toMatchObject({ title: "Tapecast", version: "1.2.3" });
    const found = Object.entries(description.paths).map(([path, operations]) => {
      const methods = Object.keys(operations).filter((method) => method !== "head");
      expect(methods).toHaveLength(1);
      return [path, [methods[0], Object.keys(operations[methods[0]!]!.responses).join(" ")]];
    });
    expect(Object.fromEntries(found)).toEqual(expected);
  });

  it("describes every answer, declares every path parameter, and every reference resolves", () => {
    for (const [path, operations] of Object.entries(description.paths)) {
      for (const operation of Object.values(operations)) {
        expect(operation.summary).toBeTruthy();
        const declared = (operation.parameters ?? []).filter((each) => each.in === "path");
        expect(declared.map((each) => each.name)).toEqual(
          [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]),
        );
        for (const parameter of declared) expect(parameter.required).toBe(true);
        for (const [status, response] of Object.entries(operation.responses)) {
          expect(response.description, `${path} ${status}`).not.toBe("Default Response");
          expect(response.description.length).toBeGreaterThan(2);
          const isError = Number(status) >= 400;
          if (isError)
            expect(response.content).toEqual({
              "application/json": { schema: { $ref: "#/components/schemas/Error" } },
            });
        }
      }
    }
    const references = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]!);
    expect(references.length).toBeGreaterThan(10);
    for (const reference of new Set(references)) {
      const names = reference.replace(/^#\//, "").split("/");
      let found: unknown = description;
      for (const name of names) found = (found as Record<string, unknown>)[name];
      expect(found, reference).toBeTypeOf("object");
    }
  });

  it("describes both bodies of a publish, the query of a history, and who may", () => {
    const publish = description.paths["/api/publish"]!["post"]!;
    expect(Object.keys(publish.requestBody!.content)).toEqual(["application/json", "application/x-ndjson"]);
    expect(publish.parameters!.map((each) => [each.in, each.name])).toEqual([["header", "idempotency-key"]]);
    const history = description.paths["/api/topics/{topic}/history"]!["get"]!;
    expect(history.parameters!.filter((each) => each.in === "query").map((each) => each.name)).toEqual([
      "epoch",
      "since",
      "limit",
    ]);
    expect(Object.keys(description.components.securitySchemes)).toEqual(["publishKey", "token"]);
  });
});
