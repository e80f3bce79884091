import { assert, assertEquals, assertThrows } from "@std/assert";
import { Errno, isSyscallError } from "../../ffi/errno.ts";
import { lstat, readDirectory, readTextFile } from "../../ffi/file.ts";
import { bindMount, makeShared, unmount } from "../../ffi/mount.ts";
import { isSandboxError } from "../../src/errors.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import {
  mountPropagation,
  shareMounts,
  unshareMounts,
} from "../../src/namespace/pin.ts";
import { leavesNothing, runFixture, temporaryDirectory } from "./helpers.ts";

/** How many mounts there are at `path` in the mount namespace of a process. */
function mountsAt(path: string, process = "thread-self"): number {
  return readTextFile(`/proc/${process}/mountinfo`).split("\n")
    .filter((line) => line.split(" ")[4] === path).length;
}

Deno.test("NetworkNamespace.pin() keeps the namespace when nothing else does", () =>
  leavesNothing(() => {
    using directory = temporaryDirectory();
    const path = `${directory.path}/pin`;
    let id: string;
    {
      using pod = NetworkNamespace.create();
      pod.pin(path);
      id = pod.id;
    }
    {
      using again = NetworkNamespace.open(path);
      assertEquals(again.id, id);
      again.run(() => {});
    }
    NetworkNamespace.unpin(path);
    assertEquals(mountsAt(path), 0);
    assertEquals(readDirectory(directory.path), []);
  }));

Deno.test("NetworkNamespace.pin() refuses a path where something is, and leaves that alone", () =>
  leavesNothing(() => {
    using directory = temporaryDirectory();
    using pod = NetworkNamespace.create();
    using other = NetworkNamespace.create();
    const path = `${directory.path}/pin`;
    pod.pin(path);
    assert(
      isSyscallError(assertThrows(() => other.pin(path)), Errno.EEXIST),
    );
    {
      using pinned = NetworkNamespace.open(path);
      assertEquals(pinned.id, pod.id);
    }
    NetworkNamespace.unpin(path);
    Deno.symlinkSync("elsewhere", path);
    assert(
      isSyscallError(assertThrows(() => pod.pin(path)), Errno.EEXIST),
    );
    assertEquals(readDirectory(directory.path), [
      { name: "pin", kind: "symlink" },
    ]);
  }));

Deno.test("NetworkNamespace.pin() leaves no file when the directory is not there or the object is disposed", () =>
  leavesNothing(() => {
    using directory = temporaryDirectory();
    const pod = NetworkNamespace.create();
    const error = assertThrows(() => pod.pin(`${directory.path}/no/pin`));
    assert(isSyscallError(error, Errno.ENOENT));
    pod[Symbol.dispose]();
    assertThrows(() => pod.pin(`${directory.path}/pin`), TypeError);
    assertEquals(readDirectory(directory.path), []);
  }));

Deno.test("NetworkNamespace.unpin() does nothing when there is no pin", () =>
  leavesNothing(() => {
    using directory = temporaryDirectory();
    NetworkNamespace.unpin(`${directory.path}/pin`);
    NetworkNamespace.unpin(`${directory.path}/no/pin`);
  }));

Deno.test("NetworkNamespace.unpin() finishes what a crash left: a file without a mount, or several mounts", () =>
  leavesNothing(() => {
    using directory = temporaryDirectory();
    using pod = NetworkNamespace.create();
    const path = `${directory.path}/pin`;
    Deno.writeTextFileSync(path, "");
    NetworkNamespace.unpin(path);
    pod.pin(path);
    bindMount(`/proc/self/fd/${pod.fd}`, path);
    bindMount(`/proc/self/fd/${pod.fd}`, path);
    assertEquals(mountsAt(path), 3);
    NetworkNamespace.unpin(path);
    assertEquals(mountsAt(path), 0);
    assertEquals(readDirectory(directory.path), []);
  }));

Deno.test("NetworkNamespace.unpin() works while the namespace is in use", () =>
  leavesNothing(async () => {
    using directory = temporaryDirectory();
    using pod = NetworkNamespace.create();
    const path = `${directory.path}/pin`;
    pod.pin(path);
    using user = Deno.openSync(path);
    const child = pod.run(() =>
      new Deno.Command("sleep", { args: ["100"] }).spawn()
    );
    NetworkNamespace.unpin(path);
    assertEquals(readDirectory(directory.path), []);
    assert(user.statSync().isFile);
    child.kill("SIGKILL");
    await child.status;
  }));

Deno.test("NetworkNamespace.unpin() refuses to remove what is no pin", () =>
  leavesNothing(() => {
    using directory = temporaryDirectory();
    const { path } = directory;
    Deno.mkdirSync(`${path}/directory`);
    bindMount(`${path}/directory`, `${path}/directory`);
    Deno.writeTextFileSync(`${path}/file`, "text");
    Deno.symlinkSync("file", `${path}/symlink`);
    Deno.writeTextFileSync(`${path}/mounted`, "");
    bindMount(`${path}/file`, `${path}/mounted`);
    for (const name of ["directory", "file", "symlink", "mounted"]) {
      const error = assertThrows(() =>
        NetworkNamespace.unpin(`${path}/${name}`)
      );
      assert(isSandboxError(error, "InvalidNamespace"), `${error}`);
      lstat(`${path}/${name}`);
    }
    assertEquals(mountsAt(`${path}/directory`), 1);
    assertEquals(mountsAt(`${path}/mounted`), 1);
    unmount(`${path}/directory`);
    unmount(`${path}/mounted`);
  }));

Deno.test("NetworkNamespace.pin() and unpin() of several processes at one path leave nothing", async () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/pin`;
  const outcomes = await Promise.all(
    Array.from({ length: 4 }, () => runFixture("unpin.ts", path)),
  );
  for (const outcome of outcomes) {
    assertEquals(outcome, { code: 0, stdout: "", stderr: "" });
  }
  // A process may have mounted on the file after another removed it; nothing is reachable then.
  NetworkNamespace.unpin(path);
  assertEquals(readDirectory(directory.path), []);
  assertEquals(mountsAt(path), 0);
});

Deno.test("shareMounts() makes a directory a shared mount point once, until unshareMounts()", () =>
  leavesNothing(() => {
    using directory = temporaryDirectory();
    const { path } = directory;
    shareMounts(path);
    shareMounts(path);
    assertEquals(mountsAt(path), 1);
    using pod = NetworkNamespace.create();
    pod.pin(`${path}/pin`);
    unshareMounts(path);
    unshareMounts(path);
    assertEquals([mountsAt(path), mountsAt(`${path}/pin`)], [0, 0]);
    unshareMounts(`${path}/missing`);
    const error = assertThrows(() => shareMounts(`${path}/missing`));
    assert(isSyscallError(error, Errno.ENOENT));
  }));

Deno.test("mountPropagation() tells a shared mount from a private one and from none, and leaves it so", () => {
  using directory = temporaryDirectory();
  // The kernel writes it with an escape.
  const path = `${directory.path}/a b`;
  Deno.mkdirSync(path);
  const link = `${directory.path}/link`;
  Deno.symlinkSync(path, link);
  const found = () => [mountPropagation(path), mountPropagation(link)];
  assertEquals(found(), [undefined, undefined]);
  shareMounts(path);
  try {
    assertEquals(found(), ["shared", "shared"]);
    makePrivate(path);
    assertEquals(found(), ["private", "private"]);
    assertEquals(found(), ["private", "private"]);
    shareMounts(path);
    assertEquals(found(), ["shared", "shared"]);
  } finally {
    unshareMounts(path);
  }
});

function makePrivate(path: string): void {
  const { success } = new Deno.Command("mount", {
    args: ["--make-private", path],
  }).outputSync();
  assert(success);
}

Deno.test("unpin() gives up with EBUSY when something is mounted again and again", () => {
  using directory = temporaryDirectory();
  const path = `${directory.path}/pin`;
  using pod = NetworkNamespace.create();
  pod.pin(path);
  // As many as somebody mounts who does not end.
  for (let i = 0; i < 80; i++) bindMount(`/proc/self/fd/${pod.fd}`, path);
  const error = assertThrows(() => NetworkNamespace.unpin(path));
  assert(isSyscallError(error, Errno.EBUSY), String(error));
  NetworkNamespace.unpin(path);
  assertEquals(mountsAt(path), 0);
  assertEquals(readDirectory(directory.path), []);
});

for (const propagation of ["private", "shared"] as const) {
  Deno.test(`shareMounts() takes pins over that were made while the directory was unmounted, below a ${propagation} mount`, () =>
    leavesNothing(() => {
      using directory = temporaryDirectory();
      const outer = directory.path;
      bindMount(outer, outer);
      if (propagation === "shared") makeShared(outer);
      using _outer = {
        [Symbol.dispose]: () => unmount(outer, { detach: true }),
      };
      const path = `${outer}/node`;
      Deno.mkdirSync(path);
      shareMounts(path);
      // Somebody takes it away, as `umount -l` does.
      unmount(path, { detach: true });
      using pod = NetworkNamespace.create();
      pod.pin(`${path}/pin`);
      shareMounts(path);
      assertEquals(mountsAt(path), 1);
      {
        using pinned = NetworkNamespace.open(`${path}/pin`);
        assertEquals(pinned.id, pod.id);
      }
      NetworkNamespace.unpin(`${path}/pin`);
      assertEquals(readDirectory(path), []);
      unshareMounts(path);
      assertEquals([mountsAt(path), mountsAt(`${path}/pin`)], [0, 0]);
    }));
}

Deno.test("shareMounts() makes unpin() reach mount namespaces that were made meanwhile", async () => {
  using directory = temporaryDirectory();
  const { path } = directory;
  shareMounts(path);
  using pod = NetworkNamespace.create();
  pod.pin(`${path}/pin`);
  // As a container runtime does, which makes what it copies a slave of the original.
  const container = new Deno.Command("unshare", {
    args: [
      "--mount",
      "--propagation",
      "slave",
      "sh",
      "-c",
      "echo; exec sleep 100",
    ],
    stdout: "piped",
  }).spawn();
  try {
    const reader = container.stdout.getReader();
    await reader.read();
    await reader.cancel();
    assertEquals(mountsAt(`${path}/pin`, String(container.pid)), 1);
    NetworkNamespace.unpin(`${path}/pin`);
    assertEquals(mountsAt(`${path}/pin`, String(container.pid)), 0);
  } finally {
    container.kill("SIGKILL");
    await container.status;
    unmount(path);
  }
});
