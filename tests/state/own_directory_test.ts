/**
 * Directories that each belong to one process.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { eachAbandoned, OwnDirectory } from "../../src/state/own_directory.ts";

Deno.test("eachAbandoned() does not look at what its living owner takes away meanwhile", () => {
  const parent = Deno.makeTempDirSync({ prefix: "podnet-own-" });
  try {
    const owned = [OwnDirectory.make(parent), OwnDirectory.make(parent)];
    const looked: string[] = [];
    eachAbandoned(parent, (path) => looked.push(path));
    assertEquals(looked, []);
    eachAbandoned(parent, (path) => {
      looked.push(path);
      for (const one of owned) one[Symbol.dispose]();
    }, true);
    assertEquals(looked.length, 1);
  } finally {
    Deno.removeSync(parent, { recursive: true });
  }
});

Deno.test("OwnDirectory.isThere tells whether it is still the one at its path", () => {
  const parent = Deno.makeTempDirSync({ prefix: "podnet-own-" });
  try {
    using own = OwnDirectory.make(parent);
    assertEquals(own.isThere, true);
    Deno.removeSync(own.path);
    assertEquals(own.isThere, false);
    Deno.mkdirSync(own.path);
    assertEquals(own.isThere, false);
  } finally {
    Deno.removeSync(parent, { recursive: true });
  }
});
