/** Errors of the system in words for whoever typed the command or wrote the configuration. */

/** Why a connection failed or ended: the reason underneath of what node:net throws. */
export function networkProblem(error: unknown): string {
  // node:net tries each address of a name and throws all that it got.
  if (error instanceof AggregateError && error.errors.length > 0) return networkProblem(error.errors[0]);
  const code = codeOf(error);
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ENOTFOUND") return "no such host";
  if (code === "ECONNRESET") return "the connection was cut";
  return otherwise(error, code);
}

/** Why a file could not be read. */
export function readProblem(error: unknown): string {
  const code = codeOf(error);
  if (code === "ENOENT") return "no such file";
  if (code === "EACCES") return "may not be read (permission denied)";
  if (code === "EISDIR") return "is a directory, not a file";
  return `cannot be read (${code === "" ? String(error) : code})`;
}

/** Why nothing can listen at an address. @param key of the configuration, the last word of which names its kind. */
export function listenProblem(error: unknown, key: string): string {
  const code = codeOf(error);
  const isPort = key.endsWith(".port");
  if (code === "EADDRINUSE")
    return isPort ? `is already in use; --set ${key}=… takes another port` : "is already in use";
  if (code === "EADDRNOTAVAIL") return "is no address of this machine";
  if (code === "ENOTFOUND") return "cannot be opened: no such host";
  if (code === "EACCES" && isPort)
    return "may not be opened (permission denied); ports from 1024 on need no rights";
  return `cannot be opened (${otherwise(error, code)})`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function otherwise(error: unknown, code: string): string {
  if (!(error instanceof Error)) return String(error);
  return error.message === "" ? code : error.message;
}
