/**
 * Records that cannot be read: told by name, and nobody else's trouble.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { isSandboxError } from "../../src/errors.ts";
import {
  type SandboxRecord,
  sandboxRecord,
} from "../../src/sandbox/records/records.ts";
import {
  decodeRecord,
  encodeRecord,
  type RecordKind,
} from "../../src/state/record.ts";
import { readRecord } from "../../src/state/store.ts";
import { createLab, type Lab } from "../../src/testing/mod.ts";
import { rejects } from "../node/bare.ts";

let lab: Lab;
/** A good record and its bytes. */
let good: SandboxRecord;
let bytes: Uint8Array<ArrayBuffer>;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  const sandbox = await lab.node.createSandbox({
    name: "good",
    labels: { tier: "web" },
    ports: [{ hostPort: 9000, containerPort: 80 }],
    containers: [{ name: "app", ports: [80] }],
  });
  const path = sandbox.netnsPath.replace(/netns$/, "record.cbor");
  bytes = Deno.readFileSync(path);
  good = decodeRecord(sandboxRecord, bytes, path);
});

Deno.test.afterAll(() => lab[Symbol.asyncDispose]());

function written(kind: Partial<RecordKind<unknown>>, body?: unknown) {
  return (path: string) =>
    Deno.writeFileSync(
      path,
      encodeRecord(
        { ...sandboxRecord, ...kind } as RecordKind<unknown>,
        body ?? good,
      ),
    );
}

/** How a record is damaged, and the reason that is given. */
const damages: Readonly<Record<string, [(path: string) => void, RegExp]>> = {
  "empty": [(path) => Deno.writeTextFileSync(path, ""), /truncated/],
  "truncated": [
    (path) => Deno.writeFileSync(path, bytes.subarray(0, bytes.length / 2)),
    /truncated/,
  ],
  "text": [(path) => Deno.writeTextFileSync(path, "{}"), /./],
  "of a newer version": [
    written({ version: 2 }),
    /^has version 2, this podnet reads version 1$/,
  ],
  "of another kind": [
    written({ kind: "node" }),
    /^is not a podnet sandbox record$/,
  ],
  "without a field": [
    written({}, { id: "x", state: "ready" }),
    /^\w+: /,
  ],
  "a symbolic link": [
    (path) => Deno.symlinkSync("/etc/passwd", path),
    /^is a symbolic link$/,
  ],
  "a FIFO": [
    (path) => {
      const { success } = new Deno.Command("mkfifo", { args: [path] })
        .outputSync();
      assert(success);
    },
    /^is a fifo$/,
  ],
  "a directory": [(path) => Deno.mkdirSync(path), /^is a directory$/],
  "another user's": [
    (path) => {
      Deno.writeFileSync(path, bytes);
      Deno.chownSync(path, 65534, 65534);
    },
    /^belongs to user 65534$/,
  ],
  "too large": [
    (path) => {
      Deno.writeTextFileSync(path, "");
      Deno.truncateSync(path, 2 ** 20 + 1);
    },
    /^has 1048577 bytes$/,
  ],
};

for (const [what, [damage, reason]] of Object.entries(damages)) {
  Deno.test(`a record that is ${what} is RecordInvalid and named; other sandboxes go on`, async () => {
    const { node } = lab;
    const sandbox = await node.createSandbox({ name: "victim" });
    const path = sandbox.netnsPath.replace(/netns$/, "record.cbor");
    Deno.removeSync(path);
    damage(path);

    for (
      const call of [
        () => node.openSandbox(sandbox.id),
        () => node.createSandbox({ name: "victim" }),
        () => node.removeSandbox(sandbox.id),
      ]
    ) {
      const error = await rejects("RecordInvalid", call);
      assertEquals(error.context.path, path);
      assertMatch(error.context.reason, reason);
    }
    const listed = await node.listSandboxes();
    assertEquals(
      listed.map(({ id, state }) => [id, state]).sort(),
      [[good.id, "ready"], [sandbox.id, "damaged"]].sort(),
    );
    const [finding, ...others] = await node.check();
    assertEquals(others, []);
    assertEquals(finding?.sandbox, sandbox.id);
    assertMatch(finding?.problem ?? "", reason);

    // Others are found, by name too, and made and removed.
    assertEquals((await node.openSandbox("good")).id, good.id);
    const other = await node.createSandbox({ name: "other" });
    await other.remove();

    if (Deno.lstatSync(path).isDirectory) Deno.removeSync(path);
    assertEquals(await node.removeSandbox(sandbox.id, { force: true }), true);
    assertEquals(await node.check(), []);
  });
}

Deno.test("readRecord() is undefined where there is no file, and no directory either", () => {
  for (const path of ["/nonexistent", "/nonexistent/record.cbor"]) {
    assertEquals(readRecord(sandboxRecord, path), undefined);
  }
});

Deno.test("decodeRecord() gives back what encodeRecord() was given", () => {
  assertEquals(
    decodeRecord(sandboxRecord, encodeRecord(sandboxRecord, good), "path"),
    good,
  );
});

Deno.test("decodeRecord() of any damaged bytes is RecordInvalid or a record, never anything else", () => {
  const attempt = (damaged: Uint8Array) => {
    try {
      decodeRecord(sandboxRecord, damaged, "/the/path");
    } catch (error) {
      assert(isSandboxError(error, "RecordInvalid"), String(error));
      assertEquals(error.context.path, "/the/path");
    }
  };
  for (let length = 0; length < bytes.length; length++) {
    const error = assertThrows(() =>
      decodeRecord(sandboxRecord, bytes.subarray(0, length), "/the/path")
    );
    assert(isSandboxError(error, "RecordInvalid"), `${length}: ${error}`);
  }
  fc.assert(
    fc.property(
      fc.nat({ max: bytes.length - 1 }),
      fc.nat({ max: 255 }),
      (at, value) => {
        const damaged = bytes.slice();
        damaged[at] = value;
        attempt(damaged);
      },
    ),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), attempt),
    { numRuns: 300 },
  );
});
