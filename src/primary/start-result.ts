/** How the start of one worker, or of all, came out. */
export type StartResult =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly message: string; readonly exitCode: number };

/** Resolves with the first failure, or when all are there with all their addresses, each once. */
export function firstFailureOrAll(starts: readonly Promise<StartResult>[]): Promise<StartResult> {
  return new Promise((resolve) => {
    const addresses = new Set<string>();
    let readyCount = 0;
    for (const start of starts) {
      void start.then((result) => {
        if (!result.ok) {
          resolve(result);
          return;
        }
        for (const address of result.addresses) addresses.add(address);
        readyCount++;
        if (readyCount === starts.length) resolve({ ok: true, addresses: [...addresses] });
      });
    }
  });
}

/** The TCP port among listening addresses such as `https://[::]:8443`, or null when there is none. */
export function portOf(addresses: readonly string[]): number | null {
  const tcp = addresses.find((address) => address.startsWith("http"));
  if (tcp === undefined || !URL.canParse(tcp)) return null;
  const { port, protocol } = new URL(tcp);
  if (port === "") return protocol === "https:" ? 443 : 80;
  return Number(port);
}
