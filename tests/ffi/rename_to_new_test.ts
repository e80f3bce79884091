import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { renameToNew } from "../../ffi/rename_to_new.ts";

Deno.test("renameToNew() renames to a name that nothing has, and to no other", () => {
  const directory = Deno.makeTempDirSync();
  const at = (name: string) => `${directory}/${name}`;
  try {
    for (const name of ["one", "two"]) Deno.mkdirSync(at(name));
    renameToNew(at("one"), at("three"));
    // rename(2) would replace it, since it is empty.
    const error = assertThrows(
      () => renameToNew(at("three"), at("two")),
      SyscallError,
    );
    assertEquals([error.code, error.path], ["EEXIST", at("three")]);
    assertThrows(
      () => renameToNew(at("one"), at("four")),
      SyscallError,
      "ENOENT",
    );
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
    assertEquals(names.sort(), ["three", "two"]);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
