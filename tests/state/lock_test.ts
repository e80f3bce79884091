/**
 * Locks between processes.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { isSandboxError } from "../../src/errors.ts";
import { acquireFairLock, acquireLock } from "../../src/state/lock.ts";
import { spawnFixture } from "../node/bare.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { temporaryDirectory } from "../support/temporary_directory.ts";

/** Another process that has a lock. */
async function holder(
  path: string,
  mode: "shared" | "exclusive",
): Promise<
  AsyncDisposable & { readonly pid: number; kill(signal?: Deno.Signal): void }
> {
  const url = new URL("./fixtures/hold_lock.ts", import.meta.url);
  const child = spawnFixture(url, [path, mode]);
  const output = child.stdout.getReader();
  const { value } = await output.read();
  assertEquals(new TextDecoder().decode(value), "held\n");
  return {
    pid: child.pid,
    kill: (signal = "SIGKILL") => child.kill(signal),
    async [Symbol.asyncDispose]() {
      await child.status;
      await output.cancel();
      await child.stderr.cancel();
    },
  };
}

function waitMs(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}

Deno.test("acquireLock() waits for another process, lets the event loop run, and gets the lock when that is killed", async () => {
  using directory = temporaryDirectory();
  const { path } = directory;
  await using other = await holder(path, "exclusive");
  let held = false;
  const waiting = acquireLock(path, "shared").then((lock) => {
    held = true;
    return lock;
  });
  // Were the event loop to stand still, the holder would never be killed.
  for (let i = 0; i < 10; i++) {
    await waitMs(5);
    assertEquals(held, false);
  }
  other.kill();
  using lock = await waiting;
  assert(lock !== undefined);
});

Deno.test("acquireLock() shares with those who share, and keeps out who wants it alone", async () => {
  using directory = temporaryDirectory();
  const { path } = directory;
  await using other = await holder(path, "shared");
  {
    using mine = await acquireLock(path, "shared");
    assert(mine !== undefined);
  }
  let held = false;
  const waiting = acquireLock(path, "exclusive").then((lock) => {
    held = true;
    return lock;
  });
  await waitMs(50);
  assertEquals(held, false);
  other.kill();
  using lock = await waiting;
  assert(lock !== undefined);
});

Deno.test("acquireLock() excludes within one process too, one after the other", async () => {
  using directory = temporaryDirectory();
  const { path } = directory;
  let inside = 0;
  let most = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    using lock = await acquireLock(path, "exclusive");
    assert(lock !== undefined);
    most = Math.max(most, ++inside);
    await waitMs(1);
    inside--;
  }));
  assertEquals(most, 1);
});

Deno.test("acquireLock() is undefined where there is nothing, also when it went while waiting", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/sandbox`;
  assertEquals(await acquireLock(path, "exclusive"), undefined);
  Deno.mkdirSync(path);
  let waiting: ReturnType<typeof acquireLock>;
  {
    using lock = await acquireLock(path, "exclusive");
    assert(lock !== undefined);
    waiting = acquireLock(path, "exclusive");
    await waitMs(2);
    Deno.removeSync(path);
  }
  assertEquals(await waiting, undefined);
});

Deno.test("acquireLock() holds what bears the name now, not what bore it", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/sandbox`;
  Deno.mkdirSync(path);
  let waiting: ReturnType<typeof acquireLock>;
  {
    using lock = await acquireLock(path, "exclusive");
    assert(lock !== undefined);
    waiting = acquireLock(path, "exclusive");
    await waitMs(2);
    // A directory of the same name, but another one.
    Deno.mkdirSync(`${directory.path}/next`);
    Deno.removeSync(path);
    Deno.renameSync(`${directory.path}/next`, path);
  }
  using held = await waiting;
  assert(held !== undefined);
  let second = false;
  const other = acquireLock(path, "exclusive").then((lock) => {
    second = true;
    return lock;
  });
  await waitMs(20);
  assertEquals(second, false);
  held[Symbol.dispose]();
  using _last = await other;
});

Deno.test("acquireLock() does not follow a symbolic link, nor hang on a FIFO", async () => {
  using directory = temporaryDirectory();
  const link = `${directory.path}/link`;
  Deno.symlinkSync("/etc/passwd", link);
  try {
    await acquireLock(link, "exclusive");
    assert(false, "followed the link");
  } catch (error) {
    assert(isSandboxError(error, "StateUnusable"), String(error));
    assertEquals(error.context.path, link);
  }
  const fifo = `${directory.path}/fifo`;
  new Deno.Command("mkfifo", { args: [fifo] }).outputSync();
  using lock = await acquireLock(fifo, "exclusive");
  assert(lock !== undefined);
});

Deno.test("acquireLock() gives up on a holder that is stopped, names it, and lets the event loop run meanwhile", async () => {
  using directory = temporaryDirectory();
  const { path } = directory;
  await using other = await holder(path, "exclusive");
  other.kill("SIGSTOP");
  let turns = 0;
  const counting = setInterval(() => turns++, 1);
  const error = await assertRejects(() =>
    acquireLock(path, "shared", { timeoutMs: 100 })
  );
  clearInterval(counting);
  other.kill("SIGKILL");
  assert(isSandboxError(error, "Timeout"), String(error));
  assert(turns > 0, "the event loop stood still");
  assertEquals(
    error.context.holder,
    `process ${other.pid} (deno), which is stopped`,
  );
  assert(error.message.includes(`process ${other.pid}`), error.message);
});

Deno.test("acquireFairLock() alone comes to its turn while others share the lock all the time", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/lock`;
  Deno.writeTextFileSync(path, "");
  let isDone = false;
  let shared = 0;
  // So many that somebody has it at any moment.
  const sharing = Array.from({ length: 16 }, async () => {
    while (!isDone) {
      using _lock = await acquireFairLock(path, directory.path, "shared");
      await waitMs(10);
      shared++;
    }
  });
  await waitMs(20);
  const options = { timeoutMs: PATIENCE_MS };
  {
    using alone = await acquireFairLock(
      path,
      directory.path,
      "exclusive",
      options,
    );
    assert(alone !== undefined);
    isDone = true;
  }
  await Promise.all(sharing);
  assert(shared > 0);
});

Deno.test("acquireFairLock() shared does not wait for ever for one who wants the lock alone and is stopped", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/lock`;
  Deno.writeTextFileSync(path, "");
  // As it is while somebody waits to be alone.
  await using other = await holder(directory.path, "exclusive");
  other.kill("SIGSTOP");
  using lock = await acquireFairLock(path, directory.path, "shared");
  assert(lock !== undefined);
  other.kill("SIGKILL");
});
