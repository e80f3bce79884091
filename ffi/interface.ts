/**
 * Network interfaces, asked for without rtnetlink.
 * @module
 */
import { check, Errno } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

/**
 * Whether the network namespace of a socket has an interface of this index (netdevice(7), SIOCGIFNAME): 1 µs, and unlike a
 * question to rtnetlink it never waits for rtnl. A name is not asked for: the kernel looks for a module of one that it
 * does not know (dev_load, net/core/dev_ioctl.c).
 *
 * @throws {SyscallError}
 */
export function hasInterface(socket: OwnedFd, index: number): boolean {
  VIEW.setInt32(SIZE_OF_NAME, index, true);
  const c = libc();
  const result = c.ioctl(socket.fd, SIOCGIFNAME, REQUEST);
  const errno = c.errno[0];
  if (result < 0 && errno === Errno.ENODEV) return false;
  check("ioctl", result, errno);
  return true;
}

// linux/sockios.h, linux/if.h
const SIOCGIFNAME = 0x8910n;
const SIZE_OF_NAME = 16;
/** A `struct ifreq`: the name, and a union of 24 bytes at most. */
const REQUEST = new Uint8Array(SIZE_OF_NAME + 24);
const VIEW = new DataView(REQUEST.buffer);
