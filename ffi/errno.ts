/**
 * Errors of system calls.
 * @module
 */

/** Error numbers by name: `asm-generic/errno-base.h` and `errno.h`, the same on x86-64 and arm64. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  ENOTBLK: 15,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENOMSG: 42,
  EXFULL: 54,
  ENODATA: 61,
  ENONET: 64,
  ENOLINK: 67,
  EPROTO: 71,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EILSEQ: 84,
  ERESTART: 85,
  EUSERS: 87,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  EPROTOTYPE: 91,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  ESOCKTNOSUPPORT: 94,
  EOPNOTSUPP: 95,
  EPFNOSUPPORT: 96,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENETRESET: 102,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ESHUTDOWN: 108,
  ETOOMANYREFS: 109,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  ESTALE: 116,
  EUCLEAN: 117,
  EREMOTEIO: 121,
  EDQUOT: 122,
  ECANCELED: 125,
  /** Not meant for user space (`include/linux/errno.h`), and yet netlink replies carry it. */
  ENOTSUPP: 524,
} as const;

/**
 * The name of an error number: `"EPERM"` for 1, `"errno 999"` for one that has none here.
 *
 * Error numbers of the kernel are positive here, as in C; a netlink reply carries them negated.
 */
export function errnoName(errno: number): string {
  names ??= new Map(
    // Of two names for a number the first one counts.
    Object.entries(Errno).reverse().map(([name, value]) => [value, name]),
  );
  return names.get(errno) ?? `errno ${errno}`;
}

/** Made for the first error: most processes meet none. */
let names: ReadonlyMap<number, string> | undefined;

/** A system call failed. */
export class SyscallError extends Error {
  /** `"SyscallError"`. */
  override readonly name = "SyscallError";
  /** The call that failed: `"open"`. */
  readonly syscall: string;
  /** The error number: 2. */
  readonly errno: number;
  /** Its name: `"ENOENT"`. */
  readonly code: string;
  /** The path the call was about, if it was about one. */
  readonly path?: string;

  /** Makes the error of `syscall` failing with `errno`. */
  constructor(syscall: string, errno: number, path?: string) {
    const code = errnoName(errno);
    super(
      path === undefined
        ? `${syscall}: ${code}`
        : `${syscall} ${JSON.stringify(path)}: ${code}`,
    );
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
    if (path !== undefined) this.path = path;
  }
}

/** Whether `error` is a {@linkcode SyscallError} with one of these error numbers. */
export function isSyscallError(
  error: unknown,
  ...errnos: readonly number[]
): error is SyscallError {
  return error instanceof SyscallError && errnos.includes(error.errno);
}

/**
 * Returns the result of a system call, or throws what it failed with.
 *
 * `errno` has to be read in the expression right after the call: an allocation, a callback or a call of another
 * function in between can let the runtime overwrite it. As an argument it is just in time:
 * `check("bind", c.bind(fd, address, length), c.errno[0])`.
 *
 * @throws {SyscallError} if `result` is negative
 */
export function check(
  syscall: string,
  result: number,
  errno: number,
  path?: string,
): number {
  if (result < 0) throw new SyscallError(syscall, errno, path);
  return result;
}
