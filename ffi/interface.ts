/**
 * Network interfaces, asked for without rtnetlink.
 * @module
 */
import { utf8 } from "./buffer.ts";
import { check, Errno } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

/**
 * Whether the network namespace of a socket has an interface of this name (netdevice(7), SIOCGIFINDEX): 1 µs, and unlike a
 * question to rtnetlink it never waits for rtnl.
 *
 * @throws {SyscallError}
 */
export function hasInterface(socket: OwnedFd, name: string): boolean {
  const bytes = utf8(name);
  if (bytes.length >= SIZE_OF_NAME) return false;
  REQUEST.fill(0);
  REQUEST.set(bytes);
  const c = libc();
  const result = c.ioctl(socket.fd, SIOCGIFINDEX, REQUEST);
  const errno = c.errno[0];
  if (result < 0 && errno === Errno.ENODEV) return false;
  check("ioctl", result, errno);
  return true;
}

// linux/sockios.h, linux/if.h
const SIOCGIFINDEX = 0x8933n;
const SIZE_OF_NAME = 16;
/** A `struct ifreq`: the name, and a union of 24 bytes at most. */
const REQUEST = new Uint8Array(SIZE_OF_NAME + 24);
