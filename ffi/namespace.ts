/**
 * Network namespaces of the calling thread, and whose a namespace is.
 *
 * These move one thread, the one that runs this isolate; other threads of the process stay where they are. Who calls
 * them has to bring the thread home before any other code runs.
 * @module
 */
import { cString, fromUtf8 } from "./buffer.ts";
import { check, Errno } from "./errno.ts";
import { OwnedFd } from "./fd.ts";
import { fstat } from "./file.ts";
import { libc } from "./libc.ts";

const CLONE_NEWNET = 0x40000000;
// _IO(0xb7, 1) and _IO(0xb7, 3), linux/nsfs.h
const NS_GET_USERNS = 0xb701n;
const NS_GET_NSTYPE = 0xb703n;
// linux/sockios.h
const SIOCGSKNS = 0x894cn;

/**
 * Moves the calling thread into a new network namespace (unshare(2)).
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function unshareNetwork(): void {
  const c = libc();
  check("unshare", c.unshare(CLONE_NEWNET), c.errno[0]);
}

/**
 * Moves the calling thread into the network namespace `fd` (setns(2)).
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN; EINVAL when it is no network namespace
 */
export function setNetworkNamespace(fd: OwnedFd): void {
  const c = libc();
  check("setns", c.setns(fd.fd, CLONE_NEWNET), c.errno[0]);
}

/**
 * Names an open network namespace, as {@linkcode threadNetworkNamespace} does: by its inode.
 *
 * @throws {SyscallError}
 */
export function namespaceId(fd: OwnedFd): string {
  return `net:[${fstat(fd).ino}]`;
}

/**
 * Opens the network namespace that a socket is in (since Linux 4.10).
 *
 * @throws {SyscallError} EPERM without CAP_NET_ADMIN there
 */
export function namespaceOfSocket(socket: OwnedFd): OwnedFd {
  const c = libc();
  return new OwnedFd(
    check("ioctl", c.ioctl(socket.fd, SIOCGSKNS, null), c.errno[0]),
  );
}

/**
 * Whether an open file is a network namespace (ioctl_nsfs(2)): `false` also for any other file.
 *
 * Ask this of regular files only: a device may take the request for another one.
 */
export function isNetworkNamespace(fd: OwnedFd): boolean {
  const c = libc();
  return c.ioctl(fd.fd, NS_GET_NSTYPE, null) === CLONE_NEWNET;
}

/**
 * Whether an open namespace, of any kind, belongs to this process's user namespace or to one below it (since Linux 4.9):
 * what the process may do to other namespaces it has no capability for.
 *
 * @throws {SyscallError}
 */
export function ownsNamespace(fd: OwnedFd): boolean {
  const c = libc();
  const owner = c.ioctl(fd.fd, NS_GET_USERNS, null);
  const errno = owner < 0 ? c.errno[0] : 0;
  if (errno === Errno.EPERM) return false;
  new OwnedFd(check("ioctl", owner, errno))[Symbol.dispose]();
  return true;
}

/**
 * The network namespace that the calling thread is in: `"net:[4026531840]"`.
 *
 * The number is that of the namespace's inode, unique among the namespaces that exist. Written for speed, since each
 * way into and out of a namespace ends with it: 1 µs.
 *
 * @throws {SyscallError} ENOENT if `/proc` is not mounted
 */
export function threadNetworkNamespace(): string {
  const c = libc();
  const length = check(
    "readlink",
    c.readlink(THREAD_NAMESPACE, SCRATCH, SIZE_OF_SCRATCH),
    c.errno[0],
    THREAD_NETWORK_NAMESPACE_PATH,
  );
  if (!isScratch(last, length)) last = fromUtf8(SCRATCH.subarray(0, length));
  return last;
}

/** The text that was read last, which mostly is the next one: to make one takes as long as the call. */
let last = "";

function isScratch(text: string, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) {
    if (SCRATCH[i] !== text.charCodeAt(i)) return false;
  }
  return true;
}

/** The network namespace of the calling thread, as a file. `/proc/self` would be that of the first thread. */
export const THREAD_NETWORK_NAMESPACE_PATH = "/proc/thread-self/ns/net";
const THREAD_NAMESPACE = cString(THREAD_NETWORK_NAMESPACE_PATH);
// "net:[4294967295]" has 17 bytes. Kept, since a new buffer for each call would double its cost; nothing stays in it.
const SCRATCH = new Uint8Array(32);
const SIZE_OF_SCRATCH = BigInt(SCRATCH.length);
