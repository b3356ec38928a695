/** Waiting for something that another process does. */

const untilMsDefault = 20_000;

/** Waits until `condition` holds; after `withinMs` the test fails with what was awaited. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs: number = untilMsDefault,
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${withinMs} ms for ${what}`);
    await delay(20);
  }
}

/** Waits. Only where time itself is what is tested, or to let other processes go on. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** `promise`, or an error that says what did not come. */
export async function within<Result>(what: string, ms: number, promise: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
