/** Debian's Chromium, driven by playwright-core. */
import { accessSync, constants, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";

const executablePath = "/usr/bin/chromium";

/** Starts a browser that asks nobody on the internet for anything. @throws Error that says what to install. */
export async function launchChromium(): Promise<Browser> {
  try {
    accessSync(executablePath, constants.X_OK);
  } catch {
    throw new Error(`${executablePath} is missing: apt-get install -y chromium`);
  }
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Saves what a page shows as TEST_SCREENSHOTS/NAME.png, for people to look at. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env["TEST_SCREENSHOTS"] ?? join(tmpdir(), "tapecast-screenshots");
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/**
 * Collects what a page complains of: errors in the console, exceptions, violations of its security policy (which
 * Chromium logs as errors too), requests that failed.
 */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      found.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => found.push(`exception: ${error.message}`));
  page.on("response", (response) => {
    if (response.status() >= 400) found.push(`${response.status()} ${response.url()}`);
  });
  return found;
}

/** Opens an address in a browser context of its own (its own storage), on a wide screen unless told otherwise. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    locale: "en-US",
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(url);
  return page;
}

/** What the masthead says of the connection: `connecting`, `open`, `waiting`, `stopped`. */
export async function linkState(page: Page): Promise<string | null> {
  return page.locator(".link-state").getAttribute("data-state");
}
