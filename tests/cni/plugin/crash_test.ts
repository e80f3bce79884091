/** Runs that end in the middle: P9–P11 and P14 of the protocol that runtimes and plugins keep. */
import { assertEquals } from "@std/assert";
import type { JsonObject } from "../../../src/cni/model/mod.ts";
import { PluginHost } from "./driver.ts";

/** Where a run is killed: as soon as a shell's test of the state directory is true. */
const MOMENTS: Readonly<Record<string, string>> = {
  "its directory is there": "[ -d $dir/sandboxes/cni-* ]",
  "its namespace is pinned": "[ -e $dir/sandboxes/cni-*/netns ]",
  "its link is there": "ls /sys/class/net | grep -q ^pn-",
  "it is written down": "[ -e $dir/sandboxes/cni-*/record.cbor ]",
};

/** Starts ADD, kills it at a moment, and says what was left of it; it may have been faster than the shell. */
async function killedAdd(
  machine: PluginHost,
  config: JsonObject,
  moment: string,
): Promise<void> {
  const plugin = `${machine.directory}/bin/podnet`;
  // ^C of a terminal, a deadline of the runtime: nothing of the process runs any more.
  const script = `dir=${machine.host.stateDir}/test
cat >/tmp/request
CNI_COMMAND=ADD CNI_CONTAINERID=c CNI_NETNS=/run/netns/c CNI_IFNAME=eth0 ${plugin} </tmp/request >/dev/null &
until ${moment} || ! kill -0 $! 2>/dev/null; do :; done
kill -KILL $! 2>/dev/null
wait $!
rm /tmp/request`;
  const { stderr } = await machine.host.runWith(JSON.stringify(config), [
    "sh",
    "-c",
    script,
  ]);
  assertEquals(stderr.replace(/^.*Killed\n/, ""), "");
}

Deno.test("P9–P11, P14: of an ADD that was killed DEL and GC leave nothing, and the next ADD is whole", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config({
    runtimeConfig: {
      portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }],
      bandwidth: { ingressRate: 8_000_000, egressRate: 8_000_000 },
    },
  });
  await machine.container("c");
  const attachment = { containerID: "c", netns: "/run/netns/c" };
  // What a node keeps once it has had a pod.
  await machine.add(attachment, config);
  await machine.ok("DEL", attachment, config);
  const look = () =>
    machine.sh(
      `ip -o link | cut -d' ' -f2; ip route; ip -6 route; ip neigh; ip -n c -o link | wc -l; ls ${machine.host.stateDir}/test/sandboxes`,
    );
  const before = await look();
  const valid = { ...config, "cni.dev/valid-attachments": [] };
  for (const [moment, test] of Object.entries(MOMENTS)) {
    const ends = [
      () => machine.ok("DEL", { containerID: "c", netns: "" }, config),
      () => machine.ok("GC", undefined, valid),
    ];
    for (const end of ends) {
      await killedAdd(machine, config, test);
      await end();
      assertEquals(await machine.traces(), [], moment);
      assertEquals(await look(), before, moment);
    }
  }
  await killedAdd(machine, config, "ls /sys/class/net | grep -q ^pn-");
  // Its runtime knows of nothing, and starts the container anew.
  await machine.sh("ip netns del c; ip netns add c");
  const prevResult = await machine.add(attachment, config);
  await machine.ok("CHECK", attachment, { ...config, prevResult });
  await machine.ok("DEL", attachment, config);
  assertEquals(await look(), before);
});

Deno.test("P9: an ADD whose answer nobody can hear leaves nothing behind", async () => {
  await using machine = await PluginHost.start();
  await machine.container("c");
  const plugin = `${machine.directory}/bin/podnet`;
  const { code, stderr } = await machine.host.runWith(
    JSON.stringify(machine.config()),
    [
      ...["env", "-i", "CNI_COMMAND=ADD", "CNI_CONTAINERID=c"],
      ...["CNI_NETNS=/run/netns/c", "CNI_IFNAME=eth0"],
      ...["/bin/sh", "-c", `exec ${plugin} >/dev/full`],
    ],
  );
  assertEquals(
    [code, stderr.split("\n").length, stderr.includes("cannot be written")],
    [1, 2, true],
  );
  assertEquals(await machine.traces(), []);
  assertEquals(await machine.sh("ip -n c -o link | wc -l"), "1\n");
});
