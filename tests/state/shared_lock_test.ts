/**
 * A lock whose files are kept open, and what others do to these.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { acquireLock } from "../../src/state/lock.ts";
import { SharedLock } from "../../src/state/shared_lock.ts";
import { temporaryDirectory } from "../support/temporary_directory.ts";

/** Makes a directory with the file of a lock. */
function make(path: string): void {
  Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${path}/lock`, "");
}

/** Whether somebody shares the lock that is at the path now. */
async function isShared(path: string): Promise<boolean> {
  const options = { timeoutMs: 0 };
  try {
    using alone = await acquireLock(`${path}/lock`, "exclusive", options);
    return alone === undefined;
  } catch {
    return true;
  }
}

Deno.test("a lock that is kept open is given again and again, and shared by all who hold it", async () => {
  using temporary = temporaryDirectory();
  const path = `${temporary.path}/node`;
  make(path);
  using kept = SharedLock.open(path, "lock");
  for (let i = 0; i < 3; i++) {
    using first = kept.tryAcquire();
    assert(first !== undefined);
    {
      using second = kept.tryAcquire();
      assert(second !== undefined);
    }
    assert(await isShared(path));
  }
  assert(!await isShared(path));
});

Deno.test("a lock that was kept open is not given once its directory was taken away, however short ago it was given, and then that of the new one is", async () => {
  using temporary = temporaryDirectory();
  const path = `${temporary.path}/node`;
  make(path);
  using kept = SharedLock.open(path, "lock");
  for (let i = 0; i < 20; i++) {
    kept.tryAcquire()?.[Symbol.dispose]();
    Deno.removeSync(path, { recursive: true });
    assertEquals(kept.tryAcquire(), undefined);
    make(path);
    assertEquals(kept.tryAcquire(), undefined);
    using given = kept.tryAcquire();
    assert(given !== undefined);
    assert(await isShared(path));
  }
});

Deno.test("that another directory is at the path of a lock that is kept open is seen when it was not just looked", async () => {
  using temporary = temporaryDirectory();
  const path = `${temporary.path}/node`;
  make(path);
  using kept = SharedLock.open(path, "lock");
  kept.tryAcquire()?.[Symbol.dispose]();
  Deno.renameSync(path, `${temporary.path}/moved`);
  make(path);
  await new Promise((wake) => setTimeout(wake, 20));
  assertEquals(kept.tryAcquire(), undefined);
  using given = kept.tryAcquire();
  assert(given !== undefined);
  assert(await isShared(path));
});

Deno.test("a file beside a lock has the same version whether the lock is held or not, and another one when it was replaced", () => {
  using temporary = temporaryDirectory();
  const path = `${temporary.path}/node`;
  make(path);
  using kept = SharedLock.open(path, "lock");
  let last: string | undefined;
  for (const text of ["one", "two"]) {
    Deno.writeTextFileSync(`${path}/new`, text);
    Deno.renameSync(`${path}/new`, `${path}/settings`);
    const free = kept.versionOf("settings");
    assert(free !== undefined);
    using held = kept.tryAcquire();
    assert(held !== undefined);
    assertEquals(kept.versionOf("settings"), free);
    assertEquals(kept.versionOf("no settings"), undefined);
    assertNotEquals(free, last);
    last = free;
  }
});
