/**
 * Signals that a command answers.
 *
 * @module
 */
import { ignore, isIgnored } from "../../ffi/signal.ts";

/** Their numbers on Linux (signal(7)). */
export const SIGNAL_NUMBERS = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGTERM: 15,
} as const;

/** A signal that a command may answer. */
export type Signal = keyof typeof SIGNAL_NUMBERS;

/**
 * Listens until the result is disposed of. What whoever started this process has set to be ignored stays ignored, here and by
 * its children: nohup does so with SIGHUP, and a shell with SIGINT of what it runs in the background.
 *
 * @throws {SyscallError}
 */
export function onSignals(
  signals: readonly Signal[],
  listener: (signal: Signal) => void,
): Disposable {
  const ignored = Object.values(SIGNAL_NUMBERS).filter(isIgnored);
  const listeners = signals.map((signal) => ({
    signal,
    heard: () => listener(signal),
  }));
  for (const { signal, heard } of listeners) {
    Deno.addSignalListener(signal, heard);
  }
  // Last, since with the first listener of any signal Deno takes SIGHUP, SIGINT and SIGTERM as well.
  for (const number of ignored) ignore(number);
  return {
    [Symbol.dispose]() {
      for (const { signal, heard } of listeners) {
        Deno.removeSignalListener(signal, heard);
      }
    },
  };
}
