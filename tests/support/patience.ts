/**
 * Waiting for what is to happen. How long that takes is a matter of the machine, and no test is about it: the limit is for
 * what never happens, and costs nothing otherwise.
 *
 * @module
 */

/** More than anything in a test takes, on any machine; the runner waits longer for a test to say something. */
export const PATIENCE_MS = 60_000;

const STEP_MS = 5;

/** Tries until it does not throw; what it threw last is thrown when that never comes. */
export async function eventually<T>(
  attempt: () => T | Promise<T>,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((wake) => setTimeout(wake, STEP_MS));
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
  const deadline = performance.now() + PATIENCE_MS;
  while (!await isSo()) {
    if (performance.now() > deadline) throw new Error(complaint);
    await new Promise((wake) => setTimeout(wake, STEP_MS));
  }
}

/** What `read` gives once it is what is wanted, or else in the end: to be asserted, which shows the difference. */
export async function settled<T extends string | readonly string[]>(
  read: () => T,
  wanted: T,
): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const now = read();
    if (String(now) === String(wanted) || performance.now() > deadline) {
      return now;
    }
    await new Promise((wake) => setTimeout(wake, STEP_MS));
  }
}
