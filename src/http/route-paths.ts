/**
 * Which methods a path takes: fastify answers 404 where RFC 9110 §15.5.6 asks for 405 with `Allow`, so the routes are
 * remembered as they are registered and asked when none matched.
 */

/** Routes as they were registered: patterns such as `/api/topics/:topic` and `/demo/*`. */
export class RoutePaths {
  readonly #routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];

  add(url: string, methods: readonly string[]): void {
    const source = url
      .replace(/[.\\+?^${}()|[\]]/g, String.raw`\$&`)
      .replace(/\*/g, ".*")
      .replace(/:[a-z]+/gi, "[^/]+");
    this.#routes.push({ pattern: new RegExp(`^${source}$`), methods });
  }

  /** Methods of the routes that match, sorted; empty when none does. @param url path with or without a query */
  methodsOf(url: string): string[] {
    const path = url.split("?", 1)[0] ?? "";
    const methods = new Set<string>();
    for (const route of this.#routes) {
      if (!route.pattern.test(path)) continue;
      for (const method of route.methods) methods.add(method);
    }
    return [...methods].toSorted();
  }
}
