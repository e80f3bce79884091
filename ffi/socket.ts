/**
 * Sockets: what netlink needs of them.
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
