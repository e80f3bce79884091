/**
 * Stands between podnet and the C library of this process: sees each call, and can keep it from being carried out, make
 * it fail, or end the process in front of it.
 *
 * Nothing in podnet knows of it. The functions of `libc()` are replaced in their table, so whatever sequence of calls an
 * operation makes, all of them come by.
 *
 * @module
 */
import { fromCString } from "../../ffi/buffer.ts";
import { FUNCTIONS, libc } from "../../ffi/libc.ts";

/** A call of the C library that is about to happen. */
export interface Call {
  /** Name of the function: `rename`. */
  readonly name: string;
  readonly args: readonly unknown[];
  /** What its first argument is, if that is a descriptor: a path, or `netlink 0` for a socket of that protocol. */
  readonly subject: string;
}

/** Carries the call out, with other arguments if any are given, and returns its result. */
export type CarryOut = (args?: readonly unknown[]) => number;

/** Decides what becomes of a call, and returns its result. */
export type Interceptor = (call: Call, carryOut: CarryOut) => number;

const NETLINK = 16;

/** The subject of a call with a descriptor of eventfd(2). */
export const EVENT = "event";

const subjects = new Map<unknown, string>();
let interceptor: Interceptor | undefined;
let errno = 0;

/** The result of a call that fails so: for interceptors to return. */
export function failWith(number: number): number {
  errno = number;
  return -1;
}

/** Shows every call of `run` to the interceptor. */
export async function intercepting<T>(
  decide: Interceptor,
  run: () => Promise<T>,
): Promise<T> {
  interceptor = decide;
  try {
    return await run();
  } finally {
    interceptor = undefined;
  }
}

/** A path argument, as it was given. */
export function pathOf(argument: unknown): string {
  return argument instanceof Uint8Array ? fromCString(argument) : "";
}

function install(): void {
  const library = libc();
  const table = library as unknown as Record<
    string,
    (...args: readonly unknown[]) => number
  >;
  const pool = library as unknown as Record<
    string,
    (...args: readonly unknown[]) => Promise<number>
  >;
  const cell = library.errno as unknown as Int32Array;
  for (const [name, description] of Object.entries(FUNCTIONS)) {
    const real = table[name];
    if (real === undefined || name === "__errno_location") continue;
    if (name === "sendOnPool") {
      // To look for connections. On this thread, so that its errno is this one's; the caller goes on later all the same.
      pool[name] = (...args) =>
        Promise.resolve().then(() => table.send?.(...args) ?? -1);
    }
    // Of many removals at once, and then only, some is done on another thread.
    if ("nonblocking" in description) continue;
    table[name] = (...args) => {
      const carryOut: CarryOut = (other = args) => {
        const result = real(...other);
        errno = cell[0] ?? 0;
        return result;
      };
      const subject = subjects.get(args[0]) ?? "";
      const result = interceptor === undefined
        ? carryOut()
        : interceptor({ name, args, subject }, carryOut);
      if (result < 0) cell[0] = errno;
      else if (name === "open") subjects.set(result, pathOf(args[0]));
      else if (name === "openat") {
        subjects.set(result, `${subject}/${pathOf(args[1])}`);
      } else if (name === "socket" && args[0] === NETLINK) {
        subjects.set(result, `netlink ${args[2]}`);
      } else if (name === "eventfd") subjects.set(result, EVENT);
      if (name === "close") subjects.delete(args[0]);
      return result;
    };
  }
}

install();
