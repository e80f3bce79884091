/**
 * Waiting for what is to happen. How long that takes is a matter of the machine, and no test is about it: the limit is for
 * what never happens, and costs nothing otherwise.
 *
 * @module
 */

/** More than anything in a test takes, on any machine; the runner waits longer for a test to say something. */
export const PATIENCE_MS = 60_000;
/** Of tests of a file in which something has never happened already: a run with many failures is to end, too. */
const SHORT_PATIENCE_MS = 5000;

const STEP_MS = 5;

let isLost = false;

/** Begins to wait. The result waits a moment more, or says that there is no time left. */
function patience(): () => Promise<boolean> {
  const limitMs = isLost ? SHORT_PATIENCE_MS : PATIENCE_MS;
  const start = performance.now();
  return async () => {
    if (performance.now() - start > limitMs) {
      isLost = true;
      return false;
    }
    await new Promise((wake) => setTimeout(wake, STEP_MS));
    return true;
  };
}

/** Tries until it does not throw; what it threw last is thrown when that never comes. */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
): Promise<T> {
  const isToWait = patience();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!await isToWait()) throw error;
    }
  }
}

/**
 * Waits until it is so.
 *
 * @param complaint when that never comes
 */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  complaint: string = `it never came to be that ${isSo}`,
): Promise<void> {
  const isToWait = patience();
  while (!await isSo()) if (!await isToWait()) throw new Error(complaint);
}

/** What `read` gives once it is what is wanted, or else in the end: to be asserted, which shows the difference. */
export async function settled<T extends string | readonly string[]>(
  read: () => T,
  wanted: T,
): Promise<T> {
  const isToWait = patience();
  for (;;) {
    const now = read();
    if (String(now) === String(wanted) || !await isToWait()) return now;
  }
}
