/**
 * How calls of the C library can fail in real life, and how to make them fail so.
 *
 * @module
 */
import { Errno, SyscallError } from "../../ffi/errno.ts";
import { CodecError } from "../../src/netlink/codec_error.ts";
import {
  HEADER_SIZE,
  NETLINK_NETFILTER,
  NLMSG_ERROR,
} from "../../src/netlink/message.ts";
import {
  IncompleteReplyError,
  NetlinkError,
} from "../../src/netlink/netlink_error.ts";
import { messagesOf, type SentMessage } from "./calls.ts";
import {
  type Call,
  EVENT,
  failWith,
  type Interceptor,
  pathOf,
} from "./intercept.ts";

type ErrnoName = keyof typeof Errno;

/** One way in which one call fails. */
export interface Fault {
  /** Such as `ENOSPC`, `message 2: ENOMEM` or `answer lost`. */
  readonly label: string;
  /** Stands in for the call. */
  readonly inject: Interceptor;
  /** Sees the calls after it. */
  readonly afterwards?: Interceptor;
  /** Whether an error is this failure. Missing: the operation has to succeed all the same. */
  readonly isCause?: (error: unknown) => boolean;
}

/**
 * What each call can fail with, by its man page and, for namespaces and mounts, by the kernel's code. Left out is what
 * says that something is absent or there already (ENOENT, EEXIST, ENOTEMPTY, EINVAL of umount), which is an answer and no
 * failure; what only a wrong argument gives (EBADF, EFAULT, ENAMETOOLONG); and calls that cannot fail on what podnet gives
 * them (geteuid, clock_gettime, ioctl NS_GET_NSTYPE on a namespace, write to an event).
 */
const FAILURES: Readonly<Record<string, readonly ErrnoName[]>> = {
  open: ["EMFILE", "ENFILE", "ENOMEM", "EACCES", "EIO"],
  openat: ["EMFILE", "ENFILE", "ENOMEM", "EACCES", "EIO"],
  read: ["EIO", "ENOMEM"],
  pread: ["EIO", "ENOMEM"],
  write: ["ENOSPC", "EIO", "EDQUOT", "ENOMEM"],
  flock: ["ENOLCK"],
  fchmod: ["EIO", "EROFS", "EPERM"],
  rename: ["ENOSPC", "EIO", "EROFS", "EDQUOT", "ENOMEM"],
  renameat2: ["ENOSPC", "EIO", "EROFS", "EDQUOT", "ENOMEM", "EINVAL"],
  unlink: ["EIO", "EROFS", "EPERM", "ENOMEM"],
  unlinkat: ["EIO", "EROFS", "EPERM", "ENOMEM"],
  mkdir: ["ENOSPC", "EROFS", "EDQUOT", "ENOMEM", "EMLINK", "EACCES"],
  rmdir: ["EBUSY", "EIO", "EROFS"],
  readlink: ["EACCES", "EIO", "ENOMEM"],
  getdents64: ["EIO", "ENOMEM"],
  statx: ["EACCES", "EIO", "ENOMEM"],
  unshare: ["ENOMEM", "ENOSPC", "EPERM"],
  setns: ["ENOMEM", "EPERM"],
  mount: ["ENOMEM", "ENOSPC", "EPERM"],
  umount2: ["ENOMEM", "EPERM"],
  syscall: ["EMFILE", "ENFILE", "ENOMEM", "EPERM"],
  socket: ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"],
  connect: ["ENOMEM"],
  setsockopt: ["ENOMEM"],
  send: ["ENOBUFS", "ENOMEM"],
};

/** With these a file is made or made anew. */
const CREATION_FAILURES: readonly ErrnoName[] = ["ENOSPC", "EROFS", "EDQUOT"];
const O_CREAT = 0o100;

/**
 * Failures that are no more than a delay: the call is to be made again. A signal interrupts only calls that may wait
 * (signal(7)); the others finish, on local file systems, before the signal is looked at.
 */
const DELAYS: Readonly<Record<string, readonly ErrnoName[]>> = {
  open: ["EINTR"],
  openat: ["EINTR"],
  read: ["EINTR"],
  pread: ["EINTR"],
  write: ["EINTR"],
  flock: ["EINTR", "EAGAIN"],
  send: ["EINTR", "EMSGSIZE"],
  recv: ["EINTR"],
  poll: ["EINTR"],
  unlink: ["EBUSY"],
};

/** What the kernel refuses a single message with, besides conflicts, which are answers. */
const REFUSALS: readonly ErrnoName[] = ["ENOMEM", "ENOBUFS", "EPERM"];
/** Of an nf_tables batch; ERESTART says that somebody else was faster. */
const BATCH_REFUSALS: readonly ErrnoName[] = [
  "ENOMEM",
  "ENFILE",
  "EBUSY",
  "ERESTART",
];

/** All ways in which the call can fail. */
export function faultsOf(call: Call): Fault[] {
  if (call.name === "write" && call.subject === EVENT) return [];
  const creating = call.name === "open" &&
    (Number(call.args[1]) & O_CREAT) !== 0;
  return [
    ...[
      ...FAILURES[call.name] ?? [],
      ...creating ? CREATION_FAILURES : [],
    ].map(failure),
    ...(DELAYS[call.name] ?? []).filter((name) =>
      // A pin is the only file that may be busy.
      name !== "EBUSY" || pathOf(call.args[0]).endsWith("/netns")
    ).map(delay),
    ...call.name === "write" && !call.subject.startsWith("/proc/")
      ? [SHORT_WRITE]
      : [],
    // Only a file that was written has anything left to do when it is closed.
    ...call.name === "close" && /(\.tmp|record\.cbor)$/.test(call.subject)
      ? [FAILED_CLOSE, INTERRUPTED_CLOSE]
      : [],
    ...call.name === "send" ? messageFaults(call) : [],
    ...call.name === "recv" && call.subject.startsWith("netlink")
      ? [ANSWER_LOST, ANSWER_CUT]
      : [],
  ];
}

function failure(name: ErrnoName): Fault {
  const errno = Errno[name];
  return {
    label: name,
    inject: () => failWith(errno),
    isCause: (error) => error instanceof SyscallError && error.errno === errno,
  };
}

function delay(name: ErrnoName): Fault {
  return { label: name, inject: () => failWith(Errno[name]) };
}

const SHORT_WRITE: Fault = {
  label: "half of it written",
  inject: ({ args: [fd, data] }, carryOut) => {
    if (!(data instanceof Uint8Array)) return carryOut();
    const half = data.slice(0, Math.ceil(data.length / 2));
    return carryOut([fd, half, BigInt(half.length)]);
  },
};

/** Linux has closed the descriptor whatever it returns. */
function afterClosing(name: ErrnoName): Interceptor {
  return (_, carryOut) => {
    carryOut();
    return failWith(Errno[name]);
  };
}

const FAILED_CLOSE: Fault = { ...failure("EIO"), inject: afterClosing("EIO") };
const INTERRUPTED_CLOSE: Fault = {
  label: "EINTR",
  inject: afterClosing("EINTR"),
};

const isUnknown = (error: unknown) =>
  error instanceof IncompleteReplyError || error instanceof CodecError;

/** The kernel has done what it was asked, and had no room for the answer. */
const ANSWER_LOST: Fault = {
  label: "answer lost",
  inject: (_, carryOut) =>
    carryOut() < 0 ? failWith(Errno.EAGAIN) : failWith(Errno.ENOBUFS),
  isCause: isUnknown,
};

/** No kernel does this, and yet nothing may come of it but an error. */
const ANSWER_CUT: Fault = {
  label: "answer cut off",
  inject: (_, carryOut) => {
    const length = carryOut();
    return length < 0 ? failWith(Errno.EAGAIN) : Math.min(length, 8);
  },
  isCause: isUnknown,
};

/** One message of the datagram fails; the kernel carries the others out or not, as it does. */
function messageFaults(call: Call): Fault[] {
  const batch = call.subject === `netlink ${NETLINK_NETFILTER}`;
  return messagesOf(call).flatMap((message, at) =>
    // Those that begin and end a batch have no outcome of their own.
    message.type < HEADER_SIZE + 2 && batch ? [] : (
      batch && !message.reads ? BATCH_REFUSALS : REFUSALS
    ).map((name) => refusal(call, message, at, name))
  );
}

/** No protocol has a message of this type. */
const NO_TYPE = 0xff;

function refusal(
  call: Call,
  { offset, sequence }: SentMessage,
  at: number,
  name: ErrnoName,
): Fault {
  const errno = Errno[name];
  let isClosed = false;
  return {
    label: `message ${at}: ${name}`,
    inject: ({ args: [fd, datagram, ...rest] }, carryOut) => {
      if (!(datagram instanceof Uint8Array)) return carryOut();
      const changed = datagram.slice();
      // The lower half: an nf_tables batch is refused whole when a message is of another subsystem.
      changed[offset + 4] = NO_TYPE;
      return carryOut([fd, changed, ...rest]);
    },
    afterwards: ({ name, args: [fd, buffer] }, carryOut) => {
      const length = carryOut();
      const isSame = fd === call.args[0] && !isClosed;
      // Another socket that has the number then counts its messages anew.
      if (name === "close" && isSame) isClosed = true;
      if (name === "recv" && isSame && length > 0) {
        replaceErrno(buffer as Uint8Array, length, sequence, errno);
      }
      return length;
    },
    isCause: (error) => error instanceof NetlinkError && error.errno === errno,
  };
}

/** Makes the kernel's refusal of one message that of another reason. */
function replaceErrno(
  buffer: Uint8Array,
  received: number,
  sequence: number,
  errno: number,
): void {
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  const end = Math.min(received, buffer.length);
  for (let at = 0; at + HEADER_SIZE + 4 <= end;) {
    const isRefusal = view.getUint16(at + 4, true) === NLMSG_ERROR &&
      view.getUint32(at + 8, true) === sequence &&
      view.getInt32(at + HEADER_SIZE, true) !== 0;
    if (isRefusal) view.setInt32(at + HEADER_SIZE, -errno, true);
    at += (view.getUint32(at, true) + 3) & ~3;
  }
}
