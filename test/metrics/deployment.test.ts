import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

// As far as it goes without an engine: what the files name must exist.
const top = fileURLToPath(new URL("../../", import.meta.url));

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { condition: string }>>;
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly profiles?: readonly string[];
  readonly stop_grace_period?: string;
  readonly deploy?: { readonly resources: { readonly limits: { readonly memory: string } } };
}

const compose = parse(readFileSync(`${top}docker-compose.yml`, "utf8"), { merge: true }) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const dockerfile = readFileSync(`${top}Dockerfile`, "utf8");
const services = Object.entries(compose.services).map(([name, service]) => ({ name, service }));

describe("docker-compose.yml", () => {
  it("has the server, Redis, Prometheus and Grafana, and more in profiles", () => {
    const named = services.map(({ name, service }) => [name, ...(service.profiles ?? [])].join(" "));
    expect(named.toSorted()).toEqual([
      "grafana",
      "nginx scale-out",
      "prometheus",
      "redis",
      "replay demo",
      "server",
      "server-2 scale-out",
    ]);
  });

  it.each(["server", "server-2", "replay"])("%s: read-only, without rights, with an init", (name) => {
    expect(compose.services[name]).toMatchObject({
      init: true,
      read_only: true,
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
    });
  });

  it("a server is given more time to stop than it takes to drain", () => {
    const { shutdown } = parse(readFileSync(`${top}config/production.yaml`, "utf8"));
    for (const name of ["server", "server-2"]) {
      const graceMs = Number.parseInt(compose.services[name]?.stop_grace_period ?? "0", 10) * 1000;
      expect(graceMs).toBeGreaterThan(shutdown.drainTimeoutMs + 1000);
    }
  });

  it("every long-running service has a limit of memory", () => {
    for (const { name, service } of services) {
      if (name !== "replay") expect(service.deploy?.resources.limits.memory, name).toMatch(/^\d+[gm]$/u);
    }
  });

  it.each(services)("$name: mounts, dependencies and health check exist", ({ name, service }) => {
    for (const volume of service.volumes ?? []) {
      const [source = ""] = volume.split(":");
      if (source.startsWith("./")) expect(existsSync(top + source), source).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
    for (const [needed, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(compose.services[needed], `${name} needs ${needed}`).toBeDefined();
      expect(condition).toBe("service_healthy");
    }
    const isChecked =
      service.healthcheck !== undefined ||
      (service.build !== undefined && /^HEALTHCHECK /mu.test(dockerfile));
    expect(isChecked).toBe(true);
    // A tag that moves makes yesterday's installation another one today.
    if (service.image !== undefined && service.build === undefined) expect(service.image).toMatch(/:[v\d]/u);
  });

  it("the server's command and environment are the server's own", () => {
    const { command = [], environment = {} } = compose.services["server"] ?? {};
    expect(command[0]).toBe("serve");
    expect(existsSync(`${top}${command[command.indexOf("--config") + 1]}`)).toBe(true);
    const defaults = parse(readFileSync(`${top}config/default.yaml`, "utf8"));
    for (const name of Object.keys(environment)) {
      const path = name
        .replace(/^TAPECAST_/u, "")
        .split("__")
        .map(camelCase);
      const value = path.reduce(
        (at: unknown, key) => (at as Record<string, unknown> | undefined)?.[key],
        defaults,
      );
      expect(value, `${name} is ${path.join(".")}`).toBeDefined();
    }
  });

  it("Prometheus scrapes the server by its name, and Grafana asks Prometheus by its name", () => {
    const prometheus = parse(readFileSync(`${top}config/prometheus.yml`, "utf8"));
    expect(prometheus.scrape_configs[0].static_configs[0].targets).toEqual(["server:9464"]);
    for (const file of prometheus.rule_files) {
      expect(existsSync(`${top}config/${file}`)).toBe(true);
      expect(compose.services["prometheus"]?.volumes).toContainEqual(
        expect.stringMatching(`/etc/prometheus/${file}:ro$`),
      );
    }
    const { datasources } = parse(
      readFileSync(`${top}grafana/provisioning/datasources/prometheus.yml`, "utf8"),
    );
    expect(datasources[0].url).toBe("http://prometheus:9090");
    for (const file of readdirSync(`${top}grafana/dashboards`)) {
      const dashboard = readFileSync(`${top}grafana/dashboards/${file}`, "utf8");
      const uids = new Set(
        [...dashboard.matchAll(/"type": "prometheus",\s*"uid": "([^"]+)"/gu)].map(([, uid]) => uid),
      );
      expect([...uids], file).toEqual([datasources[0].uid]);
    }
  });

  it("Grafana finds the dashboard where it is mounted", () => {
    const { providers } = parse(readFileSync(`${top}grafana/provisioning/dashboards/tapecast.yml`, "utf8"));
    expect(compose.services["grafana"]?.volumes).toContain(
      `./grafana/dashboards:${providers[0].options.path}:ro`,
    );
  });
});

describe("Dockerfile", () => {
  it("copies only what is there, and .dockerignore lets it through", () => {
    const allowed = readFileSync(`${top}.dockerignore`, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    const copies = [...dockerfile.matchAll(/^COPY (?!--from)(.+)$/gmu)].flatMap(([, args = ""]) =>
      args.split(" ").slice(0, -1),
    );
    expect(copies.length).toBeGreaterThan(5);
    for (const source of copies) {
      expect(existsSync(top + source), source).toBe(true);
      expect(
        allowed.some((path) => source === path || source.startsWith(`${path}/`)),
        source,
      ).toBe(true);
    }
  });

  it("runs without root, in several stages, the file that package.json names", () => {
    const { bin } = JSON.parse(readFileSync(`${top}package.json`, "utf8"));
    expect(dockerfile.match(/^FROM /gmu)?.length).toBeGreaterThan(1);
    expect(dockerfile).toMatch(/^USER node$/mu);
    expect(dockerfile).toContain(`ENTRYPOINT ["node", "${bin.tapecast}"]`);
    const config = /^CMD \["serve", "--config", "([^"]+)"\]$/mu.exec(dockerfile)?.[1] ?? "";
    expect(statSync(top + config).isFile()).toBe(true);
  });
});

/** `PUBLISH_KEYS` to `publishKeys`. */
function camelCase(upperSnake: string): string {
  return upperSnake.toLowerCase().replaceAll(/_([a-z])/gu, (_, letter: string) => letter.toUpperCase());
}
