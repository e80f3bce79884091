/**
 * Waiting that can be ended.
 *
 * @module
 */

/** Waits for so long, or until one of the signals aborts; never throws. */
export async function pause(
  ms: number,
  ...signals: readonly (AbortSignal | undefined)[]
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const wake = () => resolve();
  for (const signal of signals) {
    signal?.addEventListener("abort", wake);
    if (signal?.aborted) wake();
  }
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    for (const signal of signals) signal?.removeEventListener("abort", wake);
  }
}

/** How long to wait before trying for the `failures`-th time again: a little longer each time, and not in step with others. */
export function backoffMs(failures: number, maxMs: number): number {
  return Math.min(maxMs, 100 * 2 ** Math.min(failures, 20)) *
    (0.5 + Math.random() / 2);
}
