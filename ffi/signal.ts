/**
 * What the process does with signals.
 * @module
 */
import { check } from "./errno.ts";
import { libc } from "./libc.ts";

/**
 * Whether the process ignores a signal (sigaction(2)).
 *
 * @param signal its number (signal(7))
 * @throws {SyscallError}
 */
export function isIgnored(signal: number): boolean {
  const c = libc();
  check("sigaction", c.sigaction(signal, null, ACTION), c.errno[0]);
  return ACTION[0] === SIG_IGN;
}

/**
 * Has the process ignore a signal, and the programs that it starts from now on (sigaction(2)).
 *
 * @param signal its number (signal(7))
 * @throws {SyscallError}
 */
export function ignore(signal: number): void {
  const c = libc();
  ACTION.fill(0n)[0] = SIG_IGN;
  check("sigaction", c.sigaction(signal, ACTION, null), c.errno[0]);
}

// bits/signum-generic.h
const SIG_IGN = 1n;
/** struct sigaction of glibc: the handler, then 1024 bits of signals, flags and a function of the library's own. */
const ACTION = new BigUint64Array(1 + 16 + 1 + 1);
