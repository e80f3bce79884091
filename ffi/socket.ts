/**
 * Sockets: what netlink needs of them, and waiting for them.
 * @module
 */
import { check, Errno } from "./errno.ts";
import { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

/** Address families (`bits/socket.h`). */
export const AF_UNIX = 1;
/** IPv4. */
export const AF_INET = 2;
/** Bridges, and the forwarding tables of links that work as one. */
export const AF_BRIDGE = 7;
/** IPv6. */
export const AF_INET6 = 10;
/** Netlink. */
export const AF_NETLINK = 16;

/** Socket types. */
export const SOCK_STREAM = 1;
/** Datagrams. */
export const SOCK_DGRAM = 2;
/** Raw access to the protocol; the type of netlink sockets. */
export const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;

/** Level of the options of any socket (`asm-generic/socket.h`). */
export const SOL_SOCKET = 1;
/** Size of the send buffer in bytes; the kernel doubles it and caps it at net.core.wmem_max. */
export const SO_SNDBUF = 7;
/** Size of the receive buffer in bytes; the kernel doubles it and caps it at net.core.rmem_max. */
export const SO_RCVBUF = 8;
/** As SO_SNDBUF, without the cap; needs CAP_NET_ADMIN. */
export const SO_SNDBUFFORCE = 32;
/** As SO_RCVBUF, without the cap; needs CAP_NET_ADMIN. */
export const SO_RCVBUFFORCE = 33;

/** Return the length of the whole datagram, even if the buffer is shorter. */
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/**
 * Opens a socket in the network namespace that the thread is in, where it stays (socket(2)).
 *
 * @throws {SyscallError}
 */
export function socket(
  domain: number,
  type: number,
  protocol: number,
): OwnedFd {
  const c = libc();
  return new OwnedFd(
    check(
      "socket",
      c.socket(domain, type | SOCK_CLOEXEC, protocol),
      c.errno[0],
    ),
  );
}

/**
 * Gives a socket its own address, a `struct sockaddr_*` (bind(2)).
 *
 * @throws {SyscallError}
 */
export function bind(fd: OwnedFd, address: Uint8Array<ArrayBuffer>): void {
  const c = libc();
  check("bind", c.bind(fd.fd, address, address.length), c.errno[0]);
}

/**
 * Gives a socket the address it talks to, a `struct sockaddr_*` (connect(2)).
 *
 * @throws {SyscallError}
 */
export function connect(fd: OwnedFd, address: Uint8Array<ArrayBuffer>): void {
  const c = libc();
  check("connect", c.connect(fd.fd, address, address.length), c.errno[0]);
}

/**
 * Sets an option of a socket, a C `int` or bytes (setsockopt(2)).
 *
 * @throws {SyscallError}
 */
export function setSocketOption(
  fd: OwnedFd,
  level: number,
  name: number,
  value: number | Uint8Array<ArrayBuffer>,
): void {
  let bytes = INT_BYTES;
  if (typeof value === "number") INT[0] = value;
  else bytes = value;
  const c = libc();
  check(
    "setsockopt",
    c.setsockopt(fd.fd, level, name, bytes, bytes.length),
    c.errno[0],
  );
}

const INT = new Int32Array(1);
const INT_BYTES = new Uint8Array(INT.buffer);

/**
 * The address a socket is bound to, a `struct sockaddr_*` (getsockname(2)).
 *
 * @throws {SyscallError}
 */
export function getSocketName(fd: OwnedFd): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(SIZE_OF_SOCKADDR_STORAGE);
  const length = new Uint32Array([address.length]);
  const c = libc();
  check("getsockname", c.getsockname(fd.fd, address, length), c.errno[0]);
  return address.subarray(0, length[0]);
}

const SIZE_OF_SOCKADDR_STORAGE = 128;

/**
 * Sends bytes on a connected or netlink socket (send(2)). Retries when a signal interrupts.
 *
 * @returns how many bytes were sent: all of them on a datagram socket
 * @throws {SyscallError} also EAGAIN, when the socket is non-blocking
 */
export function send(fd: OwnedFd, bytes: Uint8Array<ArrayBuffer>): number {
  const number = fd.fd;
  const size = BigInt(bytes.length);
  const c = libc();
  for (;;) {
    const result = c.send(number, bytes, size, MSG_NOSIGNAL);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) return check("send", result, errno);
  }
}

/**
 * As {@linkcode send}, on a thread of the runtime's pool, so that the event loop goes on. Neither the descriptor nor the bytes
 * may be touched meanwhile.
 *
 * @returns whether it was sent, not why not: the error number stays on the pool's thread
 */
export async function sendAsync(
  fd: OwnedFd,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const size = BigInt(bytes.length);
  return await libc().sendOnPool(fd.fd, bytes, size, MSG_NOSIGNAL) >= 0;
}

/**
 * Receives what is there, without waiting (recv(2) with MSG_DONTWAIT and MSG_TRUNC). Retries when a signal interrupts.
 *
 * @returns the length of the datagram in bytes: if that is more than the buffer holds, the rest is lost;
 * `undefined` when nothing is there
 * @throws {SyscallError}
 */
export function receive(
  fd: OwnedFd,
  buffer: Uint8Array<ArrayBuffer>,
): number | undefined {
  const number = fd.fd;
  const size = BigInt(buffer.length);
  const c = libc();
  for (;;) {
    const result = c.recv(
      number,
      buffer,
      size,
      MSG_DONTWAIT | MSG_TRUNC,
    );
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno === Errno.EAGAIN) return undefined;
    if (errno !== Errno.EINTR) return check("recv", result, errno);
  }
}

/**
 * Waits until one of the descriptors is readable or in error, and blocks the thread meanwhile (poll(2)).
 *
 * @param timeoutMs -1 waits without limit
 * @returns for each descriptor whether reading it would not wait; all `false` after the timeout
 * @throws {SyscallError}
 */
export function poll(fds: readonly OwnedFd[], timeoutMs: number): boolean[] {
  const entries = pollEntries(fds);
  const count = BigInt(fds.length);
  const deadline = performance.now() + timeoutMs;
  const c = libc();
  for (let wait = timeoutMs;;) {
    const result = c.poll(entries, count, wait);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) {
      check("poll", result, errno);
      return readiness(entries);
    }
    if (timeoutMs >= 0) {
      wait = Math.max(0, Math.ceil(deadline - performance.now()));
    }
  }
}

/**
 * As {@linkcode poll}, on a thread of the runtime's pool (there are 32), so that the event loop goes on.
 *
 * The wait cannot be cancelled: put an {@linkcode eventFd} among the descriptors, and signal it. A descriptor must stay
 * open until the wait is over.
 *
 * @returns for each descriptor whether reading it would not wait; all `false` after the timeout, and also when a
 * signal interrupts or the call fails, since the error number stays on the pool's thread: read, and poll again
 */
export async function pollAsync(
  fds: readonly OwnedFd[],
  timeoutMs: number,
): Promise<boolean[]> {
  const entries = pollEntries(fds);
  const count = BigInt(fds.length);
  const result = await libc().pollOnPool(entries, count, timeoutMs);
  return result < 0 ? fds.map(() => false) : readiness(entries);
}

// struct pollfd { int fd; short events; short revents; }
const SIZE_OF_POLLFD = 8;
const POLLIN = 1;

function pollEntries(fds: readonly OwnedFd[]): Uint8Array<ArrayBuffer> {
  const entries = new Uint8Array(fds.length * SIZE_OF_POLLFD);
  const view = new DataView(entries.buffer);
  fds.forEach((fd, i) => {
    view.setInt32(i * SIZE_OF_POLLFD, fd.fd, true);
    view.setInt16(i * SIZE_OF_POLLFD + 4, POLLIN, true);
  });
  return entries;
}

function readiness(entries: Uint8Array<ArrayBuffer>): boolean[] {
  const view = new DataView(entries.buffer);
  const ready: boolean[] = [];
  for (let at = 0; at < entries.length; at += SIZE_OF_POLLFD) {
    ready.push(view.getInt16(at + 6, true) !== 0);
  }
  return ready;
}

/**
 * A descriptor that becomes readable when {@linkcode signalEventFd} is called: a way to end a wait (eventfd(2)).
 *
 * @throws {SyscallError}
 */
export function eventFd(): OwnedFd {
  const c = libc();
  return new OwnedFd(
    check(
      "eventfd",
      libc().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
      c.errno[0],
    ),
  );
}

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

/**
 * Makes an {@linkcode eventFd} readable.
 *
 * @throws {SyscallError}
 */
export function signalEventFd(fd: OwnedFd): void {
  const one = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);
  const c = libc();
  for (;;) {
    const result = c.write(fd.fd, one, 8n);
    const errno = result < 0 ? c.errno[0] : 0;
    // EAGAIN: the counter is full, so it is readable already.
    if (errno === Errno.EAGAIN) return;
    if (errno !== Errno.EINTR) {
      check("write", result, errno);
      return;
    }
  }
}
