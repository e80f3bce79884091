/** ctr, which starts the plugin itself, is killed while the plugin is at work. */
import { assertEquals } from "@std/assert";
import { Containerd } from "./containerd.ts";
import { Gate, putGatesAround } from "./gate.ts";
import { IMAGE } from "./image.ts";
import { eventually } from "../support/patience.ts";
import { BIN_DIR, PODNET } from "./network.ts";
import { assertNothingLeft, networkState } from "./state.ts";

const look = ["ip", "-o", "address", "show", "dev", "eth0"];
const once = ["run", "--rm", "--cni", IMAGE];

const DEATHS = [
  ["before-ADD", "go"],
  ["after-ADD", "turn back"],
  ["before-DEL", "turn back"],
  ["after-DEL", "go"],
] as const;

for (const [point, word] of DEATHS) {
  Deno.test(`ctr is killed at ${point}, ${word}, and garbage collection leaves nothing`, async () => {
    await using containerd = await Containerd.start(PODNET);
    const { machine } = containerd;
    const plugin = `${BIN_DIR}/${PODNET.plugin}`;
    await putGatesAround(machine, plugin, "$CNI_COMMAND");
    await containerd.ctr(...once, "first", ...look);
    const before = await networkState(machine);

    const gate = await Gate.close(machine, point);
    const shell = 'echo $$ >/run/ctr.pid; exec ctr "$@"';
    const outcome = machine.attempt(
      ...["sh", "-c", shell, "sh", ...once, "one", ...look],
    );
    await gate.reached();
    await machine.run("sh", "-c", "kill -KILL $(cat /run/ctr.pid)");
    await gate.open(word);
    await machine.run("rm", "/run/ctr.pid");
    await outcome;
    // What it would have taken away itself, had it lived.
    await machine.attempt("ctr", "task", "kill", "-s", "KILL", "one");
    await eventually(async () => {
      await machine.attempt("ctr", "task", "rm", "one");
      await machine.attempt("ctr", "container", "rm", "one");
      assertEquals(await containerd.ctr("container", "ls", "-q"), "");
    });
    // The plugin is at work for a moment after its runtime has died.
    await eventually(async () => {
      await PODNET.collectGarbage?.(machine, []);
      assertEquals(await machine.run("podnet", "ls", "-o", "json"), "[]");
    });
    await assertNothingLeft(machine, before);
    await containerd.ctr(...once, "one", ...look);
    await assertNothingLeft(machine, before);
  });
}
