/**
 * A hook's time: its runtime kills it when it is over, so it gives up in time to say why.
 *
 * @module
 */

/** Something has taken longer than it may. */
export class DeadlineError extends Error {
  /** `"DeadlineError"`. */
  override readonly name = "DeadlineError";
}

/**
 * Waits for work, as long as it may take. What is left of it then is what a death in that moment leaves, and the program has
 * to end: podnet waits for locks of other processes, and has made nothing while it does.
 *
 * @throws {DeadlineError}
 */
export async function within<T>(
  seconds: number,
  work: () => Promise<T>,
): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      reject(
        new DeadlineError(
          `not done after ${seconds} s: another process holds what is needed, or the machine is overloaded; see podnet doctor`,
        ),
      ),
    seconds * 1000,
  );
  try {
    return await Promise.race([work(), promise]);
  } finally {
    clearTimeout(timer);
  }
}
