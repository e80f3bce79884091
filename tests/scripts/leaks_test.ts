/** The leak guard sees what a test leaves behind. */
import { assertEquals } from "@std/assert";
import { added, ifPresent, processState } from "../../scripts/leaks.ts";

Deno.test("added() counts names that occur twice", () => {
  assertEquals(added(["lo", "eth0"], ["lo", "lo", "veth1"]), ["lo", "veth1"]);
  assertEquals(added(["lo", "eth0"], ["eth0"]), []);
});

Deno.test("processState() shows open files, processes and temporary files, and only while they are there", async () => {
  const before = processState();
  const path = await Deno.makeTempFile();
  const file = await Deno.open(path);
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const kinds = added(before, processState())
    .map((name) => name.replace(path, "PATH").replace(/\d+/, "N")).sort();
  child.kill();
  await child.status;
  file.close();
  await Deno.remove(path);
  assertEquals(
    kinds.filter((name) => !name.includes("pidfd")),
    ["descriptor N (PATH)", `file PATH`, "process N (sleep)"],
  );
  assertEquals(added(before, processState()), []);
});

Deno.test("ifPresent() is undefined for what was there when it was opened, and not when it was read", async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  using file = Deno.openSync(`/proc/${child.pid}/stat`);
  child.kill();
  await child.status;
  assertEquals(ifPresent(() => file.readSync(new Uint8Array(1))), undefined);
});
