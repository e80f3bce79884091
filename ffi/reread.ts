/**
 * Reading a file that is open again and again, such as a switch of the kernel's.
 * @module
 */
import { check, Errno } from "./errno.ts";
import type { OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

/**
 * Reads from the beginning of a file, whatever was read of it before (pread(2)).
 *
 * @returns how many bytes there are, as far as the buffer holds them
 * @throws {SyscallError}
 */
export function reread(fd: OwnedFd, buffer: Uint8Array<ArrayBuffer>): number {
  const number = fd.fd;
  const size = BigInt(buffer.length);
  const c = libc();
  for (;;) {
    const result = c.pread(number, buffer, size, 0n);
    const errno = result < 0 ? c.errno[0] : 0;
    if (errno !== Errno.EINTR) return check("pread", result, errno);
  }
}
