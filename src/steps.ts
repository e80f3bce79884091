/**
 * Work of many small steps, which a program can do at once or let others run between.
 *
 * @module
 */

/** Work that can rest wherever it yields. */
export type Steps<T> = Generator<void, T, void>;

/** So that with timers and what else waits no turn of the event loop takes 50 ms. */
const TURN_MS = 10;

/** Does all of it now. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/**
 * Does it a few milliseconds at a time, with others in between, and after it when it was long.
 *
 * @param resumed called before it goes on, to see that it still can; what it throws, `steps` sees
 */
export async function inTurns<T>(
  steps: Steps<T>,
  resumed: () => void = () => {},
): Promise<T> {
  const rest = () => new Promise((resume) => setTimeout(resume, 0));
  let isLong = false;
  for (let until = performance.now() + TURN_MS;;) {
    const { done, value } = steps.next();
    if (done === true) {
      if (isLong) await rest();
      return value;
    }
    if (performance.now() < until) continue;
    isLong = true;
    await rest();
    try {
      resumed();
    } catch (error) {
      steps.throw(error);
      throw error;
    }
    until = performance.now() + TURN_MS;
  }
}
