/**
 * The C library of this process: every function that podnet calls.
 *
 * - Results of type `ssize_t` are declared `i32`, because a bigint result would be an allocation between the call and
 *   the reading of `errno`. The kernel never transfers more than 0x7ffff000 bytes at once (`MAX_RW_COUNT`).
 * - Arguments of type `size_t` are declared `usize` and given as bigints: a `u32` argument leaves the upper half of the
 *   register undefined, and the kernel reads all of it.
 * - A `buffer` argument stays valid for the duration of the call, whatever the garbage collector does.
 * - No function that changes the namespace of its thread may ever be declared `nonblocking`: it would run on, and
 *   pollute, a thread of the runtime's pool.
 * @module
 */
import { Errno } from "./errno.ts";
import {
  assertSupportedPlatform,
  UnsupportedPlatformError,
} from "./platform.ts";

/** Every function that podnet calls. */
export const FUNCTIONS = {
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
  // int fcntl(int fd, int op, int arg);
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int open(const char *path, int flags, mode_t mode);
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  // int openat(int directory, const char *path, int flags, mode_t mode);
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32"], result: "i32" },
  // ssize_t read(int fd, void *buffer, size_t size);
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // ssize_t write(int fd, const void *buffer, size_t size);
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // int flock(int fd, int operation);
  flock: { parameters: ["i32", "i32"], result: "i32" },
  // int fchmod(int fd, mode_t mode);
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  // int rename(const char *from, const char *to);
  rename: { parameters: ["buffer", "buffer"], result: "i32" },
  // int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags);
  renameat2: {
    parameters: ["i32", "buffer", "i32", "buffer", "u32"],
    result: "i32",
  },
  // int unlink(const char *path);
  unlink: { parameters: ["buffer"], result: "i32" },
  // int mkdir(const char *path, mode_t mode);
  mkdir: { parameters: ["buffer", "u32"], result: "i32" },
  // int rmdir(const char *path);
  rmdir: { parameters: ["buffer"], result: "i32" },
  // ssize_t readlink(const char *path, char *buffer, size_t size);
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "i32" },
  // ssize_t getdents64(int fd, void *buffer, size_t size);
  getdents64: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  // int statx(int directory, const char *path, int flags, unsigned mask, struct statx *status);
  statx: {
    parameters: ["i32", "buffer", "i32", "u32", "buffer"],
    result: "i32",
  },
  // int ioctl(int fd, unsigned long request, void *argument);
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  // uid_t geteuid(void);
  geteuid: { parameters: [], result: "u32" },
  // int unshare(int flags);
  unshare: { parameters: ["i32"], result: "i32" },
  // int setns(int fd, int type);
  setns: { parameters: ["i32", "i32"], result: "i32" },
  // int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
  mount: {
    parameters: ["buffer", "buffer", "buffer", "usize", "buffer"],
    result: "i32",
  },
  // int umount2(const char *target, int flags);
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *address, socklen_t length);
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *address, socklen_t length);
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t length);
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  // int getsockname(int fd, struct sockaddr *address, socklen_t *length);
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // ssize_t send(int fd, const void *buffer, size_t size, int flags);
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // ssize_t recv(int fd, void *buffer, size_t size, int flags);
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t count, int timeout_ms);
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t count, int timeout_ms); on a thread of the runtime's pool
  pollOnPool: {
    name: "poll",
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // ssize_t send(int fd, const void *buffer, size_t size, int flags); on a thread of the runtime's pool
  sendOnPool: {
    name: "send",
    parameters: ["i32", "buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // int fcntl(int fd, int op, int arg); on a thread of the runtime's pool
  fcntlOnPool: {
    name: "fcntl",
    parameters: ["i32", "i32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  // ssize_t recvmsg(int fd, struct msghdr *message, int flags);
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  // int eventfd(unsigned int value, int flags);
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  // size_t confstr(int name, char *buffer, size_t size);
  confstr: { parameters: ["i32", "buffer", "usize"], result: "usize" },
  // int statvfs(const char *path, struct statvfs *status);
  statvfs: { parameters: ["buffer", "buffer"], result: "i32" },
  // noreturn void _exit(int status);
  _exit: { parameters: ["i32"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `errno` of this thread: element 0 is the live variable, not a copy. */
export interface ErrnoCell {
  /** The error number of the last call that failed. */
  readonly 0: number;
}

/** The functions, and `errno`. */
export type Libc =
  & Deno.DynamicLibrary<typeof FUNCTIONS>["symbols"]
  & { readonly errno: ErrnoCell };

// One table for each isolate, which is also one for each thread: `errno` belongs to the thread. Never closed, since
// trampolines in use cannot be.
let opened: Libc | undefined;

/**
 * The C library, opened on first use.
 *
 * @throws {UnsupportedPlatformError} on a platform that podnet does not support
 */
export function libc(): Libc {
  return opened ??= openLibc();
}

type FunctionName = keyof typeof FUNCTIONS;

const FUNCTION_NAMES = Object.keys(FUNCTIONS) as FunctionName[];

/** Any of the functions; each is called with what its declaration says. */
type AnyFunction = (...args: readonly never[]) => unknown;

/**
 * The runtime compiles code for each function it opens, 0.2 ms for each, which makes a call some 2 µs faster. A command
 * calls 25 functions a few times and ends: so a function is called by its address first, and opened when it is used much.
 */
export const OPENED_AFTER_USES = 100;

// The name the process itself is linked against, so that this is the library already loaded: its errno is ours.
const LIBC = "libc.so.6";

function openFunction(name: FunctionName): AnyFunction {
  return opening(() =>
    Deno.dlopen(LIBC, { [name]: FUNCTIONS[name] }).symbols[name] as AnyFunction
  );
}

function opening<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new UnsupportedPlatformError("podnet needs glibc 2.30 or later", {
      cause: error,
    });
  }
}

/** How functions are called before they are opened, by name; undefined for those that have to be opened. */
type Lookup = (name: FunctionName) => AnyFunction | undefined;

function openLookup(): Lookup {
  // A variable of type "pointer" is the address of what has the name, which here are functions. Nothing is compiled for it.
  const address = { type: "pointer", optional: true } as const;
  const { symbols } = opening(() =>
    Deno.dlopen(
      LIBC,
      Object.fromEntries(FUNCTION_NAMES.map((name) => [name, address])),
    )
  );
  return (name) => {
    const declaration = FUNCTIONS[name];
    // Nothing is compiled either for what runs on another thread.
    if ("nonblocking" in declaration) return undefined;
    const found = symbols[name];
    if (found === null || found === undefined) return undefined;
    const pointer = new Deno.UnsafeFnPointer(
      found as Deno.PointerObject<typeof declaration>,
      declaration,
    ) as unknown as { call: AnyFunction };
    return (...args) => pointer.call(...args);
  };
}

function openLibc(): Libc {
  assertSupportedPlatform();
  const table = {};
  const lookup = openLookup();
  for (const name of FUNCTION_NAMES) {
    let uses = 0;
    let found: AnyFunction | undefined;
    const settle = (value: AnyFunction) => {
      Object.defineProperty(table, name, { value, writable: true });
      return value;
    };
    Object.defineProperty(table, name, {
      get() {
        if (uses++ < OPENED_AFTER_USES) found ??= lookup(name);
        else found = undefined;
        return found ?? settle(openFunction(name));
      },
      set: settle,
      enumerable: true,
      configurable: true,
    });
  }
  const functions = table as Omit<Libc, "errno">;
  const location = functions.__errno_location();
  if (location === null) {
    throw new UnsupportedPlatformError("the C library has no errno");
  }
  const errno = new Int32Array(
    Deno.UnsafePointerView.getArrayBuffer(location, 4),
  ) as unknown as ErrnoCell;
  // A call that is sure to fail proves that errno is read from the right place, and warms the path up.
  const result = functions.fcntl(-1, F_GETFD, 0);
  const failure = errno[0];
  if (result !== -1 || failure !== Errno.EBADF) {
    throw new UnsupportedPlatformError(
      "the C library does not report errno where it says it does",
    );
  }
  return Object.assign(functions, { errno });
}

const F_GETFD = 1;
