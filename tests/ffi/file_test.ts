import type { FileStatus } from "../../ffi/file_status.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import {
  fstat,
  lstat,
  lstatOrNone,
  makeTempDirectory,
  mkdir,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_WRONLY,
  open,
  readDirectory,
  readFile,
  readLink,
  readTextFile,
  rename,
  rmdir,
  stat,
  unlink,
  unlinkIfPresent,
  writeAll,
  writeFile,
} from "../../ffi/file.ts";
import { tryLock } from "../../ffi/file_lock.ts";

/** A directory that is empty, and gone at the end of the block. */
function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = makeTempDirectory("/tmp/podnet-file-");
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

function create(path: string, text: string): void {
  using fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  writeAll(fd, new TextEncoder().encode(text));
}

function assertErrno(errno: number, fn: () => unknown): void {
  const error = assertThrows(fn);
  assert(isSyscallError(error, errno), `${error}`);
}

Deno.test("open() names the path that it cannot open", () => {
  const error = assertThrows(() => open("/no/where", O_RDONLY));
  assert(isSyscallError(error, Errno.ENOENT));
  assertEquals(error.path, "/no/where");
});

Deno.test("open() knows this architecture's flags", () => {
  using directory = temporaryDirectory();
  create(`${directory.path}/file`, "");
  Deno.symlinkSync("file", `${directory.path}/link`);
  assertErrno(Errno.ENOTDIR, () => open(`${directory.path}/file`, O_DIRECTORY));
  assertErrno(Errno.ELOOP, () => open(`${directory.path}/link`, O_NOFOLLOW));
  assertErrno(Errno.EEXIST, () => create(`${directory.path}/file`, ""));
});

Deno.test("readFile() returns files of any length, and those of /proc, which have none", () => {
  using directory = temporaryDirectory();
  for (const length of [0, 1, 4095, 4096, 4097, 100_000]) {
    const path = `${directory.path}/${length}`;
    create(path, "x".repeat(length));
    assertEquals(readFile(path).length, length);
  }
  assertEquals(
    readTextFile("/proc/self/comm"),
    Deno.readTextFileSync("/proc/self/comm"),
  );
});

Deno.test("readFile() refuses a file longer than maxBytes and accepts one as long", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/file`;
  create(path, "12345");
  assertEquals(readTextFile(path, { maxBytes: 5 }), "12345");
  assertErrno(Errno.EFBIG, () => readTextFile(path, { maxBytes: 4 }));
  assertErrno(Errno.EFBIG, () => readFile("/dev/zero", { maxBytes: 10_000 }));
});

Deno.test("writeFile() does not create files, and does not cut them", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/file`;
  assertErrno(Errno.ENOENT, () => writeFile(path, "x"));
  create(path, "abcdef");
  writeFile(path, "XY");
  assertEquals(readTextFile(path), "XYcdef");
});

Deno.test("writeAll() writes all of what a pipe takes in pieces", async () => {
  const path = `${makeTempDirectory("/tmp/podnet-fifo-")}`;
  new Deno.Command("mkfifo", { args: [`${path}/fifo`] }).outputSync();
  const reader = new Deno.Command("wc", {
    args: ["-c", `${path}/fifo`],
    stdout: "piped",
  }).spawn();
  {
    using fd = open(`${path}/fifo`, O_WRONLY);
    writeAll(fd, new Uint8Array(1_000_000));
  }
  const { stdout } = await reader.output();
  Deno.removeSync(path, { recursive: true });
  assertEquals(Number.parseInt(new TextDecoder().decode(stdout)), 1_000_000);
});

Deno.test("writeAll() hands an empty write to the kernel", () => {
  using directory = temporaryDirectory();
  create(`${directory.path}/file`, "");
  using readOnly = open(`${directory.path}/file`, O_RDONLY);
  assertErrno(Errno.EBADF, () => writeAll(readOnly, new Uint8Array(0)));
});

Deno.test("rename() replaces, unlink() and rmdir() remove", () => {
  using directory = temporaryDirectory();
  const { path } = directory;
  create(`${path}/new`, "new");
  create(`${path}/old`, "old");
  rename(`${path}/new`, `${path}/old`);
  assertEquals(readTextFile(`${path}/old`), "new");
  assertErrno(Errno.ENOENT, () => unlink(`${path}/new`));
  mkdir(`${path}/sub`);
  assertErrno(Errno.EEXIST, () => mkdir(`${path}/sub`));
  create(`${path}/sub/file`, "");
  assertErrno(Errno.ENOTEMPTY, () => rmdir(`${path}/sub`));
  unlink(`${path}/sub/file`);
  rmdir(`${path}/sub`);
  assertEquals(readDirectory(path), [{ name: "old", kind: "file" }]);
});

Deno.test("readDirectory() returns thousands of entries with their kinds", () => {
  using directory = temporaryDirectory();
  const { path } = directory;
  const names = Array.from(
    { length: 3000 },
    (_, i) => `entry-with-a-longer-name-${i}`,
  );
  for (const name of names) create(`${path}/${name}`, "");
  mkdir(`${path}/directory`);
  Deno.symlinkSync("nowhere", `${path}/symlink`);
  const entries = readDirectory(path);
  assertEquals(
    entries.filter((entry) => entry.kind === "file").map((entry) => entry.name)
      .sort(),
    names.sort(),
  );
  assertEquals(
    entries.filter((entry) => entry.kind !== "file").toSorted((a, b) =>
      a.name < b.name ? -1 : 1
    ),
    [{ name: "directory", kind: "directory" }, {
      name: "symlink",
      kind: "symlink",
    }],
  );
});

Deno.test("readLink() returns targets of any length", () => {
  using directory = temporaryDirectory();
  for (const length of [1, 255, 256, 257, 2000]) {
    const target = "t".repeat(length);
    Deno.symlinkSync(target, `${directory.path}/${length}`);
    assertEquals(readLink(`${directory.path}/${length}`), target);
  }
  assertErrno(Errno.EINVAL, () => readLink("/tmp"));
});

/** In nanoseconds, as stat(1) tells it: the runtime rounds. */
function changedAt(path: string): bigint {
  const { stdout } = new Deno.Command("stat", { args: ["-c", "%.9Z", path] })
    .outputSync();
  return BigInt(new TextDecoder().decode(stdout).trim().replace(".", ""));
}

Deno.test("stat(), lstat() and fstat() agree with the runtime", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/file`;
  create(path, "12345");
  try {
    Deno.chownSync(path, 12, 34);
  } catch (error) {
    // In a user namespace there may be no such users; the owner is seen all the same.
    if (!(error instanceof TypeError)) throw error;
  }
  Deno.chmodSync(path, 0o2640);
  Deno.linkSync(path, `${path}2`);
  Deno.symlinkSync("file", `${directory.path}/link`);
  const expected = {
    kind: "file",
    mode: 0o2640,
    uid: Deno.statSync(path).uid ?? -1,
    gid: Deno.statSync(path).gid ?? -1,
    nlink: 2,
    size: 5,
    ino: Deno.statSync(path).ino ?? -1,
    dev: lstat(directory.path).dev,
    changed: changedAt(path),
  } as const;
  const plain = (
    { kind, mode, uid, gid, nlink, size, ino, dev, changed }: FileStatus,
  ) => ({ kind, mode, uid, gid, nlink, size, ino, dev, changed });
  assertEquals(plain(stat(`${directory.path}/link`)), expected);
  assertEquals(plain(lstat(path)), expected);
  using fd = open(path, O_RDONLY);
  assertEquals(plain(fstat(fd)), expected);
  assertEquals(lstat(`${directory.path}/link`).kind, "symlink");
  assertEquals(stat("/dev/null").kind, "character");
  assertEquals(stat("/proc").dev === stat("/tmp").dev, false);
});

Deno.test("a status tells one state of a file from the others", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/file`;
  create(path, "12345");
  const first = lstat(path).version;
  assertEquals(lstat(path).version, first);
  const seen = new Set([first]);
  const existing = () => lstatOrNone(path) === undefined ? `${path}3` : path;
  for (
    const change of [
      () => Deno.writeTextFileSync(path, "6", { append: true }),
      () => Deno.chmodSync(path, 0o600),
      () => Deno.linkSync(path, `${path}2`),
      () => Deno.renameSync(path, `${path}3`),
      () => Deno.copyFileSync(`${path}3`, path),
    ]
  ) {
    // Change times may be as coarse as a clock tick.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    change();
    seen.add(lstat(existing()).version);
  }
  assertEquals(seen.size, 6);
});

Deno.test("lstatOrNone() and unlinkIfPresent() tell what is not there from what cannot be had", () => {
  using directory = temporaryDirectory();
  const file = `${directory.path}/file`;
  create(file, "");
  assertEquals(lstatOrNone(file), lstat(file));
  assertEquals(lstatOrNone(`${file}/below`), undefined);
  assertEquals(unlinkIfPresent(file), true);
  assertEquals(unlinkIfPresent(file), false);
  assertEquals(lstatOrNone(file), undefined);
  const long = `${directory.path}/${"x".repeat(300)}`;
  assertErrno(Errno.ENAMETOOLONG, () => lstatOrNone(long));
  assertErrno(Errno.ENAMETOOLONG, () => unlinkIfPresent(long));
  assertErrno(Errno.EISDIR, () => unlinkIfPresent(directory.path));
});

Deno.test("tryLock() keeps others out until they are closed", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/lock`;
  const first = open(path, O_RDONLY | O_CREAT, 0o600);
  using second = open(path, O_RDONLY);
  assert(tryLock(first, "exclusive"));
  assert(!tryLock(second, "exclusive"));
  assert(!tryLock(second, "shared"));
  first[Symbol.dispose]();
  assert(tryLock(second, "shared"));
  using third = open(path, O_RDONLY);
  assert(tryLock(third, "shared"));
  assert(!tryLock(third, "exclusive"));
});

Deno.test("makeTempDirectory() makes a new directory that only its owner can enter", () => {
  const first = makeTempDirectory("/tmp/podnet-temp-");
  const second = makeTempDirectory("/tmp/podnet-temp-");
  assert(first !== second && first.startsWith("/tmp/podnet-temp-"));
  assertEquals(stat(first).mode, 0o700);
  rmdir(first);
  rmdir(second);
  assertErrno(Errno.ENOENT, () => makeTempDirectory("/no/where/x-"));
});

Deno.test("files leave no descriptor open, also when they fail", () => {
  using directory = temporaryDirectory();
  const count = () => readDirectory("/proc/self/fd").length;
  const before = count();
  for (let i = 0; i < 10; i++) {
    create(`${directory.path}/${i}`, "abc");
    readTextFile(`${directory.path}/${i}`);
    assertThrows(() => readTextFile(`${directory.path}/${i}`, { maxBytes: 1 }));
    assertThrows(() => readFile(directory.path));
    assertThrows(() => readDirectory(`${directory.path}/${i}`));
  }
  assertEquals(count(), before);
});
