/**
 * The records that a process has written itself.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { OwnRecords } from "../../src/sandbox/records/own_records.ts";

Deno.test("OwnRecords.find() does not look at the file of a record that is not its own", () => {
  const directory = Deno.makeTempDirSync({ prefix: "podnet-own-" });
  try {
    // To look at what is behind it fails.
    Deno.symlinkSync("loop", `${directory}/loop`);
    const path = `${directory}/loop/record.cbor`;
    assertEquals(new OwnRecords().find("a", path), undefined);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
