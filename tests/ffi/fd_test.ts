import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno, isSyscallError, SyscallError } from "../../ffi/errno.ts";
import { OwnedFd } from "../../ffi/fd.ts";
import { O_RDONLY, open, readTextFile } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";

const F_GETFD = 1;

function isOpen(fd: number): boolean {
  return libc().fcntl(fd, F_GETFD, 0) >= 0;
}

Deno.test("OwnedFd closes its number once, at the end of the block", () => {
  let number: number;
  {
    using fd = open("/dev/null", O_RDONLY);
    number = fd.fd;
    assert(isOpen(number));
  }
  assert(!isOpen(number));
});

Deno.test("OwnedFd does not close again what another file has got since", () => {
  const first = open("/dev/null", O_RDONLY);
  const number = first.fd;
  first[Symbol.dispose]();
  using second = open("/dev/zero", O_RDONLY);
  assertEquals(second.fd, number);
  first[Symbol.dispose]();
  assert(isOpen(number));
});

Deno.test("OwnedFd.fd throws when closed", () => {
  const fd = open("/dev/null", O_RDONLY);
  assert(!fd.closed);
  fd[Symbol.dispose]();
  assert(fd.closed);
  assertThrows(() => fd.fd, TypeError, "closed");
});

Deno.test("OwnedFd.release() leaves the number open for its new owner", () => {
  const fd = open("/dev/null", O_RDONLY);
  const number = fd.release();
  fd[Symbol.dispose]();
  assert(fd.closed);
  assert(isOpen(number));
  new OwnedFd(number)[Symbol.dispose]();
  assert(!isOpen(number));
});

Deno.test("OwnedFd reports that someone else closed its number", () => {
  const fd = open("/dev/null", O_RDONLY);
  libc().close(fd.fd);
  const error = assertThrows(() => fd[Symbol.dispose](), SyscallError);
  assert(isSyscallError(error, Errno.EBADF));
});

Deno.test("OwnedFd refuses what is no file descriptor", () => {
  assertThrows(() => new OwnedFd(-1), RangeError);
  assertThrows(() => new OwnedFd(1.5), RangeError);
});

Deno.test("open() makes descriptors that child processes do not inherit", () => {
  using fd = open("/dev/null", O_RDONLY);
  const info = readTextFile(`/proc/self/fdinfo/${fd.fd}`);
  const flags = Number.parseInt(/^flags:\s*(\d+)$/m.exec(info)?.[1] ?? "", 8);
  assertEquals(flags & 0o2000000, 0o2000000);
});
