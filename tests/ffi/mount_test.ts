import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { statAt } from "../../ffi/file_at.ts";
import {
  makeTempDirectory,
  mkdir,
  O_RDONLY,
  open,
  readTextFile,
  rmdir,
} from "../../ffi/file.ts";
import {
  bindMount,
  makeShared,
  mountNowhere,
  unmount,
} from "../../ffi/mount.ts";

/** The line of the uppermost mount at `path` in this thread's mount namespace. */
function mountAt(path: string): string | undefined {
  return readTextFile("/proc/thread-self/mountinfo").split("\n")
    .findLast((line) => line.split(" ")[4] === path);
}

Deno.test("bindMount() makes a directory appear elsewhere, with its submounts, until unmount()", () => {
  const root = makeTempDirectory("/tmp/podnet-mount-");
  for (const name of ["from", "to", "from/sub", "other"]) {
    mkdir(`${root}/${name}`);
  }
  bindMount(`${root}/other`, `${root}/from/sub`);
  bindMount(`${root}/from`, `${root}/to`);
  assert(mountAt(`${root}/to`) !== undefined);
  assert(mountAt(`${root}/to/sub`) !== undefined);
  const busy = assertThrows(() => unmount(`${root}/to`));
  assert(isSyscallError(busy, Errno.EBUSY));
  assertEquals(busy.path, `${root}/to`);
  unmount(`${root}/to`, { detach: true });
  unmount(`${root}/from/sub`);
  assertEquals(mountAt(`${root}/to`), undefined);
  assert(
    isSyscallError(assertThrows(() => unmount(`${root}/to`)), Errno.EINVAL),
  );
  for (const name of ["other", "from/sub", "to", "from", ""]) {
    rmdir(`${root}/${name}`);
  }
});

Deno.test("unmount() with detach works while a file of the mount is open", () => {
  const root = makeTempDirectory("/tmp/podnet-mount-");
  bindMount(root, root);
  using _user = open(root, O_RDONLY);
  assert(isSyscallError(assertThrows(() => unmount(root)), Errno.EBUSY));
  unmount(root, { detach: true });
  assertEquals(mountAt(root), undefined);
  rmdir(root);
});

Deno.test("makeShared() makes a mount point shared", () => {
  const root = makeTempDirectory("/tmp/podnet-mount-");
  assert(isSyscallError(assertThrows(() => makeShared(root)), Errno.EINVAL));
  bindMount(root, root);
  assert(!mountAt(root)?.includes(" shared:"));
  makeShared(root);
  assert(mountAt(root)?.includes(" shared:"));
  unmount(root);
  rmdir(root);
});

Deno.test("mountNowhere() gives a file system that no path leads to", () => {
  const mounts = () => readTextFile("/proc/thread-self/mountinfo");
  const before = mounts();
  using root = mountNowhere("sysfs");
  assertEquals(statAt(root, "class/net")?.kind, "directory");
  assertEquals(statAt(root, "class/none"), undefined);
  assertEquals(mounts(), before);
  const error = assertThrows(() => mountNowhere("nofs"));
  assert(isSyscallError(error, Errno.ENODEV), `${error}`);
  assertEquals(error.syscall, "fsopen");
});
