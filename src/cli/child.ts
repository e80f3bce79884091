/**
 * A child that stands for this process: signals go to it, and its end is ours.
 *
 * @module
 */
import type { Sandbox } from "../../mod.ts";
import { printFailure } from "./output.ts";
import { onSignals, type Signal, SIGNAL_NUMBERS } from "./signals.ts";

/** The conventional exit codes of shells and `env` for a command that cannot be run (POSIX, 2.8.2). */
const CANNOT_EXECUTE = 126;
const NOT_FOUND = 127;

const FORWARDED: readonly Signal[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
];

/** Holds the signals that would end this process, from its construction until it is disposed of. */
export class SignalForwarder implements Disposable {
  #child: Deno.ChildProcess | undefined;
  #pending: Signal | undefined;
  readonly #listening = onSignals(FORWARDED, (signal) => this.#receive(signal));

  /** The exit code of a process ended by a signal that came before there was a child to take it. */
  get exitCode(): number | undefined {
    return this.#pending && 128 + SIGNAL_NUMBERS[this.#pending];
  }

  /** From now on signals go to `child`. */
  forwardTo(child: Deno.ChildProcess): void {
    this.#child = child;
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }

  #receive(signal: Signal): void {
    if (this.#child === undefined) {
      this.#pending ??= signal;
      return;
    }
    // The keys of a terminal signal its whole foreground process group: the child has it already.
    if (
      (signal === "SIGINT" || signal === "SIGQUIT") && Deno.stdin.isTerminal()
    ) return;
    try {
      this.#child.kill(signal);
    } catch (error) {
      // It has ended in the meantime; Deno says so with a TypeError, the kernel with ESRCH.
      const ended = error instanceof TypeError ||
        error instanceof Deno.errors.NotFound;
      if (!ended) throw error;
    }
  }
}

/**
 * Runs a program in a sandbox with this process's standard streams, and says why when it cannot be started.
 *
 * @returns its exit code, 128 + n when signal n ended it, or this process before; 126 or 127 when it could not be started
 */
export async function runChild(
  signals: SignalForwarder,
  sandbox: Sandbox,
  [command = "", ...args]: readonly string[],
): Promise<number> {
  if (signals.exitCode !== undefined) return signals.exitCode;
  let child: Deno.ChildProcess;
  try {
    child = sandbox.spawn(command, {
      args,
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    });
  } catch (error) {
    const name = JSON.stringify(command);
    if (error instanceof Deno.errors.NotFound) {
      printFailure(
        `${name}: command not found: write its full path, or check PATH`,
      );
      return NOT_FOUND;
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      printFailure(
        `${name}: permission denied: check that it is an executable file`,
      );
      return CANNOT_EXECUTE;
    }
    throw error;
  }
  signals.forwardTo(child);
  // status.code is 128 + n already when signal n ended the child.
  return (await child.status).code;
}
