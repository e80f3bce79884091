/**
 * Records that become longer: what has changed follows what was there.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { isSandboxError } from "../../src/errors.ts";
import type { SandboxRecord } from "../../src/sandbox/records/records.ts";
import { SandboxRecords } from "../../src/sandbox/records/sandbox_records.ts";
import { createLab } from "../../src/testing/mod.ts";
import { temporaryDirectory } from "../namespace/helpers.ts";

let ready: SandboxRecord;

Deno.test.beforeAll(async () => {
  await using lab = await createLab();
  const { id, netnsPath } = await lab.node.createSandbox({ name: "web" });
  const directory = netnsPath.slice(0, netnsPath.lastIndexOf("/"));
  const record = new SandboxRecords(() => directory).read(id);
  assert(record?.state === "ready");
  ready = record;
});

function withPorts(count: number): SandboxRecord {
  const ports = Array.from({ length: count }, (_, i) => ({
    protocol: "tcp" as const,
    hostPort: 8000 + i,
    containerPort: 80,
  }));
  return { ...ready, ports };
}

/** What a process finds that has written none of it. */
function found(directory: string): SandboxRecord | undefined {
  return new SandboxRecords(() => directory).read(ready.id);
}

Deno.test("whoever reads a record finds what was written last, however it got there", () => {
  using directory = temporaryDirectory();
  const file = `${directory.path}/record.cbor`;
  const records = [1, 2].map(() => new SandboxRecords(() => directory.path));
  const inodes = new Set<number | null>();
  let longest = 0;
  for (let i = 0; i < 400; i++) {
    // The other one comes between now and then, and knows nothing of what has been added.
    const writer = records[i % 7 === 6 ? 1 : 0];
    const { bandwidth: _none, ...plain } = withPorts(i % 5);
    const record: SandboxRecord = i % 3 === 0
      ? { ...plain, bandwidth: { ingress: 1000 + i } }
      : plain;
    writer?.write(record);
    assertEquals(found(directory.path), record);
    assertEquals(records[0]?.read(ready.id), record);
    const { ino, size } = Deno.statSync(file);
    inodes.add(ino);
    longest = Math.max(longest, size);
  }
  // Some are added, some are written anew, and none becomes long.
  assert(inodes.size > 50 && inodes.size < 350, `${inodes.size} files`);
  assert(longest < 8192, `${longest} bytes`);
});

Deno.test("of a change that is cut off at any byte nothing counts, and the next one is written whole", () => {
  using directory = temporaryDirectory();
  const file = `${directory.path}/record.cbor`;
  const records = new SandboxRecords(() => directory.path);
  records.write(withPorts(1));
  const before = Deno.statSync(file).size;
  records.write(withPorts(2));
  const whole = Deno.readFileSync(file);
  assert(whole.length > before + 10, "nothing was added");
  for (let size = before; size <= whole.length; size++) {
    Deno.writeFileSync(file, whole.subarray(0, size));
    const count = size === whole.length ? 2 : 1;
    assertEquals(found(directory.path), withPorts(count));
    // Also for the one who wrote it.
    assertEquals(records.read(ready.id), withPorts(count));
    if (size % 16 !== 0) continue;
    records.write(withPorts(3));
    assertEquals(found(directory.path), withPorts(3));
    records.write(withPorts(1));
    records.write(withPorts(2));
  }
});

Deno.test("what follows a record and is no change makes it a damaged one", () => {
  using directory = temporaryDirectory();
  const file = `${directory.path}/record.cbor`;
  const records = new SandboxRecords(() => directory.path);
  records.write(ready);
  const good = Deno.readFileSync(file);
  // A number, a list, a text, a tag, a key that JavaScript objects have, a port that is none.
  for (
    const tail of [
      [0x00],
      [0x80],
      [0x61, 0x61],
      [0xc0, 0x00],
      [0xa1, 0x69, ...new TextEncoder().encode("__proto__"), 0xa0],
      [0xa1, 0x65, ...new TextEncoder().encode("ports"), 0x81, 0x00],
    ]
  ) {
    Deno.writeFileSync(file, new Uint8Array([...good, ...tail]));
    const error = assertThrows(() => found(directory.path));
    assert(isSandboxError(error, "RecordInvalid"), `${error}`);
  }
  // One that names another sandbox.
  Deno.writeFileSync(
    file,
    new Uint8Array([...good, 0xa1, 0x62, 0x69, 0x64, 0x61, 0x78]),
  );
  const error = assertThrows(() => found(directory.path));
  assert(isSandboxError(error, "RecordInvalid"), `${error}`);
});

Deno.test("a record that was replaced by a copy of itself is not added to", () => {
  using directory = temporaryDirectory();
  const file = `${directory.path}/record.cbor`;
  const records = new SandboxRecords(() => directory.path);
  records.write(withPorts(1));
  Deno.copyFileSync(file, `${file}.copy`);
  Deno.renameSync(`${file}.copy`, file);
  const { ino } = Deno.statSync(file);
  records.write(withPorts(2));
  assertEquals(found(directory.path), withPorts(2));
  assert(Deno.statSync(file).ino !== ino, "it was added to");
});
