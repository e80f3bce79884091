/** P16: runs of the plugin side by side, also for one container, as containerd attaches a container to its networks. */
import { assertEquals } from "@std/assert";
import { parseResult } from "../../../src/cni/model/mod.ts";
import { PluginHost } from "./driver.ts";

const AT_ONCE = 8;

Deno.test("P16: containers are added and deleted side by side, the first of them on a fresh node", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config();
  const attachments = [];
  for (let at = 0; at < AT_ONCE; at++) {
    const netns = await machine.container(`c${at}`);
    attachments.push({ containerID: `c${at}`, netns });
  }
  const results = await Promise.all(
    attachments.map((one) => machine.add(one, config)),
  );
  const addresses = results.map((one) => parseResult(one).ips[0]?.address);
  assertEquals(new Set(addresses).size, AT_ONCE);
  // Each of them twice, as when a runtime was restarted in the middle.
  await Promise.all(
    [...attachments, ...attachments].map((one) =>
      machine.ok("DEL", one, config)
    ),
  );
  assertEquals(await machine.traces(), []);
});

Deno.test("P16: GC, CHECK and STATUS beside ADD and DEL of others disturb nothing", async () => {
  await using machine = await PluginHost.start();
  const [config, other] = [machine.config(), machine.config({ name: "other" })];
  const kept = { containerID: "kept", netns: await machine.container("kept") };
  const prevResult = await machine.add(kept, config);
  const moving = { containerID: "move", netns: await machine.container("m") };
  for (let round = 0; round < 3; round++) {
    await Promise.all([
      machine.add(moving, other),
      machine.ok("CHECK", kept, { ...config, prevResult }),
      machine.ok("STATUS", undefined, config),
      machine.ok("GC", undefined, {
        ...config,
        "cni.dev/valid-attachments": [{ containerID: "kept", ifname: "eth0" }],
      }),
    ]);
    await Promise.all([
      machine.ok("DEL", moving, other),
      machine.ok("CHECK", kept, { ...config, prevResult }),
    ]);
  }
});
