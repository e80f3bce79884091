import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { O_RDONLY, open } from "../../ffi/file.ts";
import { reread } from "../../ffi/reread.ts";

Deno.test("reread() reads what a file says now, from its beginning, as far as there is room", () => {
  const path = Deno.makeTempFileSync();
  try {
    using file = open(path, O_RDONLY);
    const buffer = new Uint8Array(4);
    assertEquals(reread(file, buffer), 0);
    for (const [text, seen] of [["ab", "ab"], ["cdefgh", "cdef"]] as const) {
      Deno.writeTextFileSync(path, text);
      for (let i = 0; i < 2; i++) {
        const length = reread(file, buffer);
        const read = buffer.subarray(0, length);
        assertEquals(new TextDecoder().decode(read), seen);
      }
    }
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("reread() tells why it cannot read", () => {
  using directory = open("/", O_RDONLY);
  const error = assertThrows(
    () => reread(directory, new Uint8Array(1)),
    SyscallError,
  );
  assertEquals([error.syscall, error.code], ["pread", "EISDIR"]);
});
