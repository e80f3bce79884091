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
  // ssize_t pread(int fd, void *buffer, size_t size, off_t offset);
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
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
  // int unlinkat(int directory, const char *path, int flags);
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
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
  // int clock_gettime(clockid_t clock, struct timespec *time);
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  // uid_t geteuid(void);
  geteuid: { parameters: [], result: "u32" },
  // pid_t getpgrp(void);
  getpgrp: { parameters: [], result: "i32" },
  // int kill(pid_t process, int signal);
  kill: { parameters: ["i32", "i32"], result: "i32" },
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
  // long syscall(long number, ...); what glibc has no function for in all its versions
  syscall: {
    parameters: ["usize", "usize", "usize", "buffer", "buffer", "usize"],
    result: "i32",
  },
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
  // int sigaction(int signal, const struct sigaction *action, struct sigaction *previous);
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  // int faccessat(int directory, const char *path, int mode, int flags);
  faccessat: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  // noreturn void _exit(int status);
  _exit: { parameters: ["i32"], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** `errno` of this thread: element 0 is the live variable, not a copy. */
export interface ErrnoCell {
  /** The error number of the last call that failed. */
  readonly 0: number;
}

type Functions = Deno.DynamicLibrary<typeof FUNCTIONS>["symbols"];

/** The functions, and `errno`. */
export type Libc =
  & Omit<Functions, "__errno_location">
  & { readonly errno: ErrnoCell };

type FunctionName = Exclude<keyof Functions, "__errno_location">;

/**
 * The functions that are opened.
 *
 * The runtime compiles code for each function it opens, which takes 0.2 ms. A command calls 25 functions a few times and
 * ends: so a function is called by its address first, and opened when it is used much.
 */
const opened: { -readonly [N in FunctionName]: Functions[N] | undefined } = {
  fcntl: undefined,
  open: undefined,
  openat: undefined,
  close: undefined,
  read: undefined,
  pread: undefined,
  write: undefined,
  flock: undefined,
  fchmod: undefined,
  rename: undefined,
  renameat2: undefined,
  unlink: undefined,
  unlinkat: undefined,
  mkdir: undefined,
  rmdir: undefined,
  readlink: undefined,
  getdents64: undefined,
  statx: undefined,
  ioctl: undefined,
  clock_gettime: undefined,
  geteuid: undefined,
  getpgrp: undefined,
  kill: undefined,
  unshare: undefined,
  setns: undefined,
  mount: undefined,
  umount2: undefined,
  syscall: undefined,
  socket: undefined,
  bind: undefined,
  connect: undefined,
  setsockopt: undefined,
  getsockname: undefined,
  send: undefined,
  recv: undefined,
  poll: undefined,
  pollOnPool: undefined,
  sendOnPool: undefined,
  fcntlOnPool: undefined,
  recvmsg: undefined,
  eventfd: undefined,
  confstr: undefined,
  statvfs: undefined,
  sigaction: undefined,
  faccessat: undefined,
  _exit: undefined,
};

/**
 * Each function has a place in the code where nothing else is called, and V8 compiles such a call without the runtime's way
 * between. Where something else was called before, by an address say, it would never do that: 0.2 µs more a call, of which a
 * pod has eighty.
 */
const TABLE: Omit<Libc, "errno"> = {
  fcntl: (a, b, c) => opened.fcntl?.(a, b, c) ?? first("fcntl")(a, b, c),
  open: (a, b, c) => opened.open?.(a, b, c) ?? first("open")(a, b, c),
  openat: (a, b, c, d) =>
    opened.openat?.(a, b, c, d) ?? first("openat")(a, b, c, d),
  close: (a) => opened.close?.(a) ?? first("close")(a),
  read: (a, b, c) => opened.read?.(a, b, c) ?? first("read")(a, b, c),
  pread: (a, b, c, d) =>
    opened.pread?.(a, b, c, d) ?? first("pread")(a, b, c, d),
  write: (a, b, c) => opened.write?.(a, b, c) ?? first("write")(a, b, c),
  flock: (a, b) => opened.flock?.(a, b) ?? first("flock")(a, b),
  fchmod: (a, b) => opened.fchmod?.(a, b) ?? first("fchmod")(a, b),
  renameat2: (a, b, c, d, e) =>
    opened.renameat2?.(a, b, c, d, e) ?? first("renameat2")(a, b, c, d, e),
  rename: (a, b) => opened.rename?.(a, b) ?? first("rename")(a, b),
  unlink: (a) => opened.unlink?.(a) ?? first("unlink")(a),
  unlinkat: (a, b, c) =>
    opened.unlinkat?.(a, b, c) ?? first("unlinkat")(a, b, c),
  mkdir: (a, b) => opened.mkdir?.(a, b) ?? first("mkdir")(a, b),
  rmdir: (a) => opened.rmdir?.(a) ?? first("rmdir")(a),
  readlink: (a, b, c) =>
    opened.readlink?.(a, b, c) ?? first("readlink")(a, b, c),
  getdents64: (a, b, c) =>
    opened.getdents64?.(a, b, c) ?? first("getdents64")(a, b, c),
  statx: (a, b, c, d, e) =>
    opened.statx?.(a, b, c, d, e) ?? first("statx")(a, b, c, d, e),
  ioctl: (a, b, c) => opened.ioctl?.(a, b, c) ?? first("ioctl")(a, b, c),
  clock_gettime: (a, b) =>
    opened.clock_gettime?.(a, b) ?? first("clock_gettime")(a, b),
  geteuid: () => opened.geteuid?.() ?? first("geteuid")(),
  getpgrp: () => opened.getpgrp?.() ?? first("getpgrp")(),
  kill: (a, b) => opened.kill?.(a, b) ?? first("kill")(a, b),
  unshare: (a) => opened.unshare?.(a) ?? first("unshare")(a),
  setns: (a, b) => opened.setns?.(a, b) ?? first("setns")(a, b),
  mount: (a, b, c, d, e) =>
    opened.mount?.(a, b, c, d, e) ?? first("mount")(a, b, c, d, e),
  umount2: (a, b) => opened.umount2?.(a, b) ?? first("umount2")(a, b),
  syscall: (a, b, c, d, e, f) =>
    opened.syscall?.(a, b, c, d, e, f) ?? first("syscall")(a, b, c, d, e, f),
  socket: (a, b, c) => opened.socket?.(a, b, c) ?? first("socket")(a, b, c),
  bind: (a, b, c) => opened.bind?.(a, b, c) ?? first("bind")(a, b, c),
  connect: (a, b, c) => opened.connect?.(a, b, c) ?? first("connect")(a, b, c),
  setsockopt: (a, b, c, d, e) =>
    opened.setsockopt?.(a, b, c, d, e) ?? first("setsockopt")(a, b, c, d, e),
  getsockname: (a, b, c) =>
    opened.getsockname?.(a, b, c) ?? first("getsockname")(a, b, c),
  send: (a, b, c, d) => opened.send?.(a, b, c, d) ?? first("send")(a, b, c, d),
  recv: (a, b, c, d) => opened.recv?.(a, b, c, d) ?? first("recv")(a, b, c, d),
  poll: (a, b, c) => opened.poll?.(a, b, c) ?? first("poll")(a, b, c),
  pollOnPool: (a, b, c) =>
    opened.pollOnPool?.(a, b, c) ?? first("pollOnPool")(a, b, c),
  sendOnPool: (a, b, c, d) =>
    opened.sendOnPool?.(a, b, c, d) ?? first("sendOnPool")(a, b, c, d),
  fcntlOnPool: (a, b, c) =>
    opened.fcntlOnPool?.(a, b, c) ?? first("fcntlOnPool")(a, b, c),
  recvmsg: (a, b, c) => opened.recvmsg?.(a, b, c) ?? first("recvmsg")(a, b, c),
  eventfd: (a, b) => opened.eventfd?.(a, b) ?? first("eventfd")(a, b),
  confstr: (a, b, c) => opened.confstr?.(a, b, c) ?? first("confstr")(a, b, c),
  statvfs: (a, b) => opened.statvfs?.(a, b) ?? first("statvfs")(a, b),
  sigaction: (a, b, c) =>
    opened.sigaction?.(a, b, c) ?? first("sigaction")(a, b, c),
  faccessat: (a, b, c, d) =>
    opened.faccessat?.(a, b, c, d) ?? first("faccessat")(a, b, c, d),
  _exit: (a) => opened._exit?.(a) ?? first("_exit")(a),
};

/** Any of the functions; each is called with what its declaration says. */
type AnyFunction = (...args: readonly never[]) => unknown;

/** How often a function is called by its address. */
export const OPENED_AFTER_USES = 100;

/** Functions that are called by their address yet, and how often each was. */
const found = new Map<
  FunctionName,
  { readonly call: AnyFunction; uses: number }
>();

/** A function that is not opened yet. */
function first<N extends FunctionName>(name: N): Functions[N] {
  let known = found.get(name);
  if (known === undefined) {
    const call = atAddress(name);
    if (call !== undefined) {
      known = { call: call as unknown as AnyFunction, uses: 0 };
      found.set(name, known);
    }
  }
  if (known !== undefined && known.uses++ < OPENED_AFTER_USES) {
    return known.call as unknown as Functions[N];
  }
  return opened[name] = openFunction(name) as unknown as Functions[N];
}

/** Opens all of them. */
export function openFunctions(): void {
  for (const name of Object.keys(opened) as FunctionName[]) {
    Object.assign(opened, { [name]: opened[name] ?? openFunction(name) });
  }
}

/** Names of the functions that are opened. */
export function openedFunctions(): string[] {
  return Object.entries(opened).flatMap(([name, value]) =>
    value === undefined ? [] : [name]
  );
}

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

/** Where the functions are, by name; null for one that there is not. */
type Addresses = Readonly<
  Record<keyof Functions, Deno.PointerValue | undefined>
>;

function findAddresses(): Addresses {
  // A variable of type "pointer" is the address of what has the name, which here are functions. Nothing is compiled for it.
  const address = { type: "pointer", optional: true } as const;
  const names = Object.keys(FUNCTIONS);
  const { symbols } = opening(() =>
    Deno.dlopen(LIBC, Object.fromEntries(names.map((name) => [name, address])))
  );
  return symbols as Addresses;
}

/** A function to be called by its address; undefined if it has to be opened. */
function atAddress<N extends keyof Functions>(
  name: N,
): Functions[N] | undefined {
  const declaration = FUNCTIONS[name];
  const address = addresses?.[name];
  // Nothing is compiled either for what runs on another thread.
  if (
    "nonblocking" in declaration || address === null || address === undefined
  ) return undefined;
  const pointer = new Deno.UnsafeFnPointer(
    address as Deno.PointerObject<typeof declaration>,
    declaration,
  ) as unknown as { call: AnyFunction };
  return ((...args) =>
    pointer.call(...args)) as AnyFunction as unknown as Functions[N];
}

// Of this isolate, which is also of this thread: `errno` belongs to the thread. Never closed, since trampolines in use cannot be.
let addresses: Addresses | undefined;
let library: Libc | undefined;

/**
 * The C library, opened on first use.
 *
 * @throws {UnsupportedPlatformError} on a platform that podnet does not support
 */
export function libc(): Libc {
  return library ??= openLibc();
}

function openLibc(): Libc {
  assertSupportedPlatform();
  addresses = findAddresses();
  const location = atAddress("__errno_location")?.() ?? null;
  if (location === null) {
    throw new UnsupportedPlatformError("the C library has no errno");
  }
  const errno = new Int32Array(
    Deno.UnsafePointerView.getArrayBuffer(location, 4),
  ) as unknown as ErrnoCell;
  // A call that is sure to fail proves that errno is read from the right place, and warms the path up.
  const result = TABLE.fcntl(-1, F_GETFD, 0);
  const failure = errno[0];
  if (result !== -1 || failure !== Errno.EBADF) {
    throw new UnsupportedPlatformError(
      "the C library does not report errno where it says it does",
    );
  }
  return Object.assign(TABLE, { errno });
}

const F_GETFD = 1;
