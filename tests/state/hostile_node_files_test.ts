/**
 * A node's own record, lock and directory, replaced by something else: refused by name, at once, and followed nowhere.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { isSandboxError, removeNode } from "../../mod.ts";
import {
  type NodeRecord,
  nodeRecord,
} from "../../src/sandbox/records/records.ts";
import { decodeRecord, encodeRecord } from "../../src/state/record.ts";
import type { RecordKind } from "../../src/state/record.ts";
import { BareNode, POD_CIDRS, rejects } from "../node/bare.ts";
import { command } from "../support/command.ts";
import { settled } from "../support/patience.ts";

type Damage = (path: string, bare: BareNode) => void;

const sh = (line: string): Damage => (path, { namespace }) => {
  command(namespace, `rm -r ${path}; ${line.replaceAll("PATH", path)}`);
};

/** A record of a node that says something else. */
const lie = (change: (record: NodeRecord) => unknown): Damage => (path) => {
  const record = decodeRecord(nodeRecord, Deno.readFileSync(path), path);
  const kind = nodeRecord as RecordKind<unknown>;
  Deno.writeFileSync(path, encodeRecord(kind, change(record)));
};

const CASES: readonly (readonly [string, string, Damage, RegExp])[] = [
  ["lock", "a FIFO", sh("mkfifo PATH"), /is a fifo/],
  ["lock", "a link", sh("ln -s /etc/passwd PATH"), /symbolic link/],
  ["lock", "a directory", sh("mkdir PATH"), /directory/i],
  ["sandboxes", "a link", sh("ln -s /etc PATH"), /symbolic link/],
  ["sandboxes", "a FIFO", sh("mkfifo PATH"), /is not a directory/],
  ["sandboxes", "a file", sh("touch PATH"), /is not a directory/],
  ["node.cbor", "a FIFO", sh("mkfifo PATH"), /is a fifo/],
  ["node.cbor", "a link", sh("ln -s /etc/passwd PATH"), /symbolic link/],
  ["node.cbor", "a directory", sh("mkdir PATH"), /is a directory/],
  ["node.cbor", "a device", sh("mknod PATH c 1 5"), /is a character device/],
  ["node.cbor", "writable", sh("touch PATH; chmod 666 PATH"), /other users/],
  ["node.cbor", "empty", sh("touch PATH; chmod 600 PATH"), /truncated/],
  [
    "node.cbor",
    "another node's",
    lie((r) => ({ ...r, name: "other" })),
    /is that of node other/,
  ],
  [
    "node.cbor",
    "of two CIDRs of one kind",
    lie((r) => ({ ...r, podCidrs: ["10.0.0.0/24", "10.1.0.0/24"] })),
    /podCidrs: /,
  ],
  [
    "node.cbor",
    "of a CIDR without room",
    lie((r) => ({ ...r, podCidrs: ["10.0.0.0/32"] })),
    /podCidrs: /,
  ],
];

for (const [file, what, damage, reason] of CASES) {
  Deno.test(`openNode() refuses a ${file} that is ${what}, by its name and at once`, async () => {
    await using bare = new BareNode();
    await (await bare.open())[Symbol.asyncDispose]();
    const path = `${bare.stateDir}/bare/${file}`;
    damage(path, bare);
    const passwords = Deno.readTextFileSync("/etc/passwd");
    const error = await bare.open({ podCidrs: POD_CIDRS }).catch((e) => e);
    assert(
      isSandboxError(error, "RecordInvalid") ||
        isSandboxError(error, "StateUnusable"),
      `${error}`,
    );
    assertEquals(error.context.path, path);
    assertMatch(error.context.reason, reason);
    assertEquals(Deno.readTextFileSync("/etc/passwd"), passwords);
    // A damaged record is no reason that the node cannot be taken down; a lock that is none is.
    if (file === "node.cbor") {
      const options = { ...bare.reference, force: true };
      const { removed } = await removeNode(options);
      assert(removed.includes(`damaged record ${path}`), `${removed}`);
    } else command(bare.namespace, `rm -r ${path}`);
  });
}

for (const name of ["removed", "warm"]) {
  for (const what of ["a link", "a file"]) {
    Deno.test(`${name} that is ${what} is followed nowhere, in nobody's way but garbage collection's, and goes with the node`, async () => {
      await using bare = new BareNode();
      const before = bare.state();
      await using node = await bare.open({ podCidrs: POD_CIDRS });
      const path = `${bare.stateDir}/bare/${name}`;
      const mine = Deno.makeTempDirSync();
      try {
        const photos = [`${mine}/photos/1.jpg`, `${mine}/photos/2020/2.jpg`];
        Deno.mkdirSync(`${mine}/photos/2020`, { recursive: true });
        for (const photo of photos) Deno.writeTextFileSync(photo, "mine");
        if (what === "a link") Deno.symlinkSync(mine, path);
        else Deno.writeTextFileSync(path, "");
        const error = await rejects(
          "StateUnusable",
          () => node.collectGarbage(),
        );
        assertEquals(error.context.path, path);
        {
          await using other = await bare.open({ warm: 1 });
          for (const name of ["one", "two"]) {
            await other.createSandbox({ name });
            assert(await other.removeSandbox(name));
          }
          assertEquals(await other.removeSandbox("nobody"), false);
          assertEquals(await other.check(), []);
        }
        await removeNode(bare.reference);
        for (const photo of photos) {
          assertEquals(Deno.readTextFileSync(photo), "mine");
        }
      } finally {
        Deno.removeSync(mine, { recursive: true });
      }
      const after = await settled(() => bare.state(), before);
      assertEquals(after, before);
    });
  }
}
