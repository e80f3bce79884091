/**
 * State directories that podnet does not trust or cannot use.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { BareNode, POD_CIDRS, rejects } from "../node/bare.ts";
import { command } from "../support/command.ts";

/** How a path below a fresh directory becomes unusable, and what is said of it. `undo` lets it be removed again. */
const unusable: readonly {
  readonly what: string;
  readonly path?: string;
  readonly reason: RegExp;
  readonly make: (bare: BareNode, path: string) => void;
  readonly undo?: (bare: BareNode, path: string) => void;
}[] = [
  {
    what: "a file",
    reason: /^is not a directory$/,
    make: (_, path) => Deno.writeTextFileSync(path, ""),
  },
  {
    what: "below a file",
    path: "file/state",
    reason: /^has a file where a directory is needed$/,
    make: ({ stateDir }) => Deno.writeTextFileSync(`${stateDir}/file`, ""),
  },
  {
    what: "a symbolic link to a good directory",
    reason: /^is a symbolic link/,
    make: ({ stateDir }, path) => {
      Deno.mkdirSync(`${stateDir}/target`, { mode: 0o700 });
      Deno.symlinkSync(`${stateDir}/target`, path);
    },
  },
  {
    what: "a link to itself",
    path: "loop/state",
    reason: /^is a symbolic link, or leads through a loop of them$/,
    make: ({ stateDir }) => Deno.symlinkSync("loop", `${stateDir}/loop`),
  },
  {
    what: "on a read-only file system",
    path: "mnt/state",
    reason: /^is on a read-only file system: remount/,
    make: ({ namespace, stateDir }) => {
      Deno.mkdirSync(`${stateDir}/mnt`);
      command(namespace, `mount -t tmpfs -o ro tmpfs ${stateDir}/mnt`);
    },
    undo: ({ namespace, stateDir }) => {
      command(namespace, `umount ${stateDir}/mnt`);
    },
  },
  {
    what: "on a full file system",
    path: "mnt/state",
    reason: /^is on a file system without room/,
    make: ({ namespace, stateDir }) => {
      Deno.mkdirSync(`${stateDir}/mnt`);
      command(namespace, `mount -t tmpfs -o nr_inodes=2 tmpfs ${stateDir}/mnt`);
    },
    undo: ({ namespace, stateDir }) => {
      command(namespace, `umount ${stateDir}/mnt`);
    },
  },
  {
    what: "another user's",
    reason: /^belongs to user 65534, not to user 0$/,
    make: (_, path) => {
      Deno.mkdirSync(path, { mode: 0o700 });
      Deno.chownSync(path, 65534, 65534);
    },
  },
  {
    what: "writable by its group",
    reason: /^can be written by other users, chmod it to 0700$/,
    make: (_, path) => {
      Deno.mkdirSync(path);
      Deno.chmodSync(path, 0o770);
    },
  },
  {
    what: "writable by everybody",
    reason: /^can be written by other users, chmod it to 0700$/,
    make: (_, path) => {
      Deno.mkdirSync(path);
      Deno.chmodSync(path, 0o707);
    },
  },
  {
    what: "of a name that is too long",
    path: "x".repeat(300),
    reason: /ENAMETOOLONG/,
    make: () => {},
  },
  {
    what: "of a path that is too long",
    path: "deep/".repeat(900),
    reason: /ENAMETOOLONG/,
    make: () => {},
  },
];

for (const { what, path = "state", reason, make, undo } of unusable) {
  Deno.test(`a state directory that is ${what} is StateUnusable, and nothing is left`, async () => {
    await using bare = new BareNode();
    const stateDir = `${bare.stateDir}/${path.replace(/\/$/, "")}`;
    make(bare, stateDir);
    try {
      const before = bare.state();
      const error = await rejects(
        "StateUnusable",
        () => bare.open({ stateDir, podCidrs: POD_CIDRS }),
      );
      assertEquals(error.context.path.startsWith(stateDir), true);
      assertMatch(error.context.reason, reason);
      assertEquals(bare.state(), before);
    } finally {
      undo?.(bare, stateDir);
    }
  });
}

Deno.test("a node directory that is a symbolic link is StateUnusable, though the state directory is good", async () => {
  await using bare = new BareNode();
  await using other = new BareNode();
  Deno.symlinkSync(other.stateDir, `${bare.stateDir}/bare`);
  const error = await rejects("StateUnusable", () => bare.open());
  assertEquals(error.context.path, `${bare.stateDir}/bare`);
  assertEquals([...Deno.readDirSync(other.stateDir)], []);
  Deno.removeSync(`${bare.stateDir}/bare`);
});

Deno.test("directories are made for this user alone and files too, whatever the umask", async () => {
  const umask = Deno.umask(0);
  try {
    await using bare = new BareNode();
    const stateDir = `${bare.stateDir}/a/b`;
    await using node = await bare.open({ stateDir, podCidrs: POD_CIDRS });
    const { id } = await node.createSandbox({ name: "web" });
    const mode = (path: string) =>
      ((Deno.lstatSync(`${stateDir}${path}`).mode ?? 0) & 0o777).toString(8);
    const sandbox = `/bare/sandboxes/${id}`;
    for (
      const [path, expected] of [
        ["", "700"],
        ["/bare", "700"],
        ["/bare/node.cbor", "600"],
        ["/bare/lock", "600"],
        ["/bare/sandboxes", "700"],
        [sandbox, "700"],
        [`${sandbox}/record.cbor`, "600"],
        // Containers read these.
        [`${sandbox}/resolv.conf`, "644"],
        [`${sandbox}/hosts`, "644"],
      ] as const
    ) assertEquals(mode(path), expected, path);
    await node.remove({ force: true });
  } finally {
    Deno.umask(umask);
  }
});
