import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { fileSystemSpace } from "../../ffi/file_system.ts";

Deno.test("fileSystemSpace() has no files where the file system does not count them", () => {
  assertEquals(fileSystemSpace("/proc").files, 0);
});

Deno.test("fileSystemSpace() tells room and what cannot be written", () => {
  const { stdout } = new Deno.Command("unshare", {
    args: [
      "-m",
      "sh",
      "-ec",
      `
      mount -t tmpfs -o size=64k,nr_inodes=10,ro tmpfs /mnt
      exec "$0" eval --no-lock --quiet '
        import { fileSystemSpace } from "${new URL(
        "../../ffi/file_system.ts",
        import.meta.url,
      )}";
        console.log(JSON.stringify(fileSystemSpace("/mnt")));'`,
      Deno.execPath(),
    ],
    cwd: new URL("../../", import.meta.url),
  }).outputSync();
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
    bytes: 65536,
    availableBytes: 65536,
    files: 10,
    freeFiles: 9,
    readOnly: true,
  });
});

Deno.test("fileSystemSpace() throws SyscallError when there is no such path", () => {
  const error = assertThrows(() => fileSystemSpace("/nowhere"), SyscallError);
  assertEquals([error.syscall, error.code], ["statvfs", "ENOENT"]);
});
