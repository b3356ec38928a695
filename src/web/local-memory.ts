/** Small things that a page remembers in localStorage. Where storage is forbidden, nothing is remembered. */

const prefix = "tapecast.";

/** @returns null when nothing was remembered under `name`. */
export function recall(name: string): string | null {
  try {
    return localStorage.getItem(prefix + name);
  } catch {
    return null; // Storage is blocked by the browser's settings.
  }
}

/** Keeps `value` under `name` for this browser and address. */
export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(prefix + name, value);
  } catch {
    // Blocked or full: the page works without.
  }
}
