/** P13: STATUS says whether ADD would work. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { JsonObject } from "../../../src/cni/model/mod.ts";
import { PluginHost } from "./driver.ts";

Deno.test("P13: STATUS tells of an empty pool, and of a configuration that cannot work", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config({ podCidrs: ["10.77.0.0/30"] });
  await machine.ok("STATUS", undefined, config);
  const attachment = { containerID: "c", netns: await machine.container("c") };
  await machine.add(attachment, config);
  const { msg } = await machine.fails(50, "STATUS", undefined, config);
  assertStringIncludes(msg, "10.77.0.0/30");
  await machine.ok("DEL", attachment, config);
  await machine.ok("STATUS", undefined, config);
  await machine.fails(50, "STATUS", undefined, { ...config, ipMasq: false });
  // Where nothing can be noted, nothing can be added.
  const stateDir = `${machine.host.stateDir}/small`;
  await machine.host.ok("node", "down");
  await machine.sh(
    `mkdir ${stateDir}; mount -t tmpfs -o size=64k,mode=0700 tmpfs ${stateDir}`,
  );
  const small = { ...config, stateDir };
  await machine.ok("STATUS", undefined, small);
  await machine.sh(`dd if=/dev/zero of=${stateDir}/all 2>/dev/null || true`);
  const noRoom = await machine.fails(50, "STATUS", undefined, small);
  assertStringIncludes(noRoom.msg, "is full");
  await machine.sh(`rm ${stateDir}/all; mount -o remount,ro ${stateDir}`);
  const readOnly = await machine.fails(50, "STATUS", undefined, small);
  assertStringIncludes(readOnly.msg, "is read-only");
  await machine.sh(`mount -o remount,rw ${stateDir}`);
  await machine.ok("STATUS", undefined, small);
  // As root of a container without privileges.
  const { code, stdout } = await machine.host.runWith(JSON.stringify(config), [
    ...["env", "-i", "CNI_COMMAND=STATUS", "/usr/bin/setpriv"],
    ...["--bounding-set=-all", `${machine.directory}/bin/podnet`],
  ]);
  assertEquals([code, JSON.parse(stdout).code], [1, 50]);
  assertStringIncludes(JSON.parse(stdout).msg, "CAP_NET_ADMIN");
});

Deno.test("P13: STATUS refuses what ADD refuses of every container, and tells where it stands", async () => {
  await using machine = await PluginHost.start();
  const attachment = { containerID: "c", netns: await machine.container("c") };
  const ranges = (subnet: string) => ({
    type: "host-local",
    ranges: [[{ subnet }]],
  });
  const wrong: readonly (readonly [JsonObject, string])[] = [
    [{ bridge: "br7", vlan: 5 }, "vlan"],
    [{ bridge: "lo" }, "bridge"],
    [{ bridge: "br0", ipam: ranges("10.300.0.0/24") }, "ipam.ranges[0][0]"],
    [
      { bridge: "br0", isGateway: true, ipam: ranges("10.77.0.0/24") },
      "ipam.ranges[0][0].gateway",
    ],
    [
      {
        bridge: "br0",
        ipam: {
          ...ranges("10.88.0.0/24"),
          routes: [{ dst: "10.50.0.0/16", gw: "10.99.0.1" }],
        },
      },
      "ipam.routes[0].gw",
    ],
    [{ master: "nosuch0" }, "master"],
    [{ device: "nosuch0" }, "device"],
    [{ sysctl: { "kernel.hostname": "x" } }, "sysctl"],
    [{ routes: [{ dst: "10.50.0.0/16", gw: "10.99.0.1" }] }, "routes[0].gw"],
    [{ routes: [{ dst: "fd00::/16" }] }, "routes[0].dst"],
    [{ ingressRate: 100 }, "ingressRate"],
    [{ dns: { nameservers: "x" } }, "dns.nameservers"],
  ];
  for (const [more, place] of wrong) {
    const config = machine.config({ podCidrs: ["10.77.0.0/24"], ...more });
    const refused = await machine.fails(7, "ADD", attachment, config);
    assertStringIncludes(`${refused.msg} ${refused.details}`, place);
    const told = await machine.fails(50, "STATUS", undefined, config);
    assertEquals(told, refused);
  }
});

Deno.test("P13: STATUS leaves open what only a container's own wishes decide", async () => {
  await using machine = await PluginHost.start();
  await machine.sh(
    `ip link add up0 type veth peer name up1
     ip addr add 192.168.7.1/24 dev up1
     ip link set up0 up; ip link set up1 up`,
  );
  const netns = await machine.container("c");
  // The runtime gives the addresses, on whose networks the next hops are.
  const config = machine.config({
    master: "up0",
    isDefaultGateway: true,
    ipam: {
      type: "static",
      routes: [
        { dst: "0.0.0.0/0", gw: "192.168.7.1" },
        { dst: "fd50::/16", gw: "fd07::1" },
      ],
    },
  });
  await machine.ok("STATUS", undefined, config);
  const attachment = { containerID: "c", netns };
  await machine.add(attachment, {
    ...config,
    runtimeConfig: { ips: ["192.168.7.9/24", "fd07::9/64"] },
  });
  await machine.ok("DEL", attachment, config);
  for (
    const more of [
      { bridge: "br0", ipam: { subnet: "10.88.0.0/24" }, isGateway: true },
      { device: "up1" },
      { sysctl: { "net.ipv4.conf.IFNAME.forwarding": "1" } },
    ]
  ) await machine.ok("STATUS", undefined, machine.config(more));
  // Nothing was made.
  assertEquals(await machine.traces(), []);
  assertEquals(await machine.sh("ip -o link show type bridge"), "");
});
