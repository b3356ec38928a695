/** Where this page's server listens for WebSocket: the page's own host, with TLS when the page came by TLS. */
export function endpoint(page: { readonly protocol: string; readonly host: string }, path: string): string {
  return `${page.protocol === "https:" ? "wss" : "ws"}://${page.host}${path}`;
}
