import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  check,
  Errno,
  errnoName,
  isSyscallError,
  SyscallError,
} from "../../ffi/errno.ts";
import { open } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";

Deno.test("errnoName() names numbers, and says the number of those it does not know", () => {
  assertEquals(errnoName(1), "EPERM");
  assertEquals(errnoName(Errno.EADDRINUSE), "EADDRINUSE");
  assertEquals(errnoName(9999), "errno 9999");
});

Deno.test("Errno has each number once", () => {
  const numbers = Object.values(Errno);
  assertEquals(new Set(numbers).size, numbers.length);
});

Deno.test("check() returns what is not negative, and throws the rest with all it knows", () => {
  assertEquals(check("read", 0, Errno.EIO), 0);
  assertEquals(check("read", 7, Errno.EIO), 7);
  const error = assertThrows(
    () => check("open", -1, Errno.ENOENT, "/nowhere"),
    SyscallError,
  );
  assertEquals(
    { ...error, message: error.message },
    {
      name: "SyscallError",
      message: 'open "/nowhere": ENOENT',
      syscall: "open",
      errno: 2,
      code: "ENOENT",
      path: "/nowhere",
    },
  );
});

Deno.test("isSyscallError() tells errors apart by number", () => {
  const error: unknown = new SyscallError("setns", Errno.EPERM);
  assert(isSyscallError(error, Errno.EINVAL, Errno.EPERM));
  assert(!isSyscallError(error, Errno.EINVAL));
  assert(!isSyscallError(new TypeError("EPERM"), Errno.EPERM));
});

Deno.test("check() reports the right errno when different calls fail by turns, cold and optimised", () => {
  const wrong: string[] = [];
  const c = libc();
  for (let i = 0; i < 20_000; i++) {
    for (
      const [path, code] of [["/nowhere", "ENOENT"], [
        "/dev/null/x",
        "ENOTDIR",
      ]] as const
    ) {
      try {
        open(path, 0);
      } catch (error) {
        if (!(error instanceof SyscallError) || error.code !== code) {
          wrong.push(`${error}`);
        }
      }
    }
    try {
      check("close", c.close(-1), c.errno[0]);
    } catch (error) {
      if (!isSyscallError(error, Errno.EBADF)) wrong.push(`${error}`);
    }
  }
  assertEquals(wrong, []);
});
