/** P15, P17: podnet at every place of a chain, with Debian's plugins at the others. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { JsonObject } from "../../../src/cni/model/mod.ts";
import { Chain, PluginHost } from "./driver.ts";

/** A list of plugins, the runtime's arguments left to those with the capability. */
function list(
  plugins: readonly JsonObject[],
  cniVersion = "1.0.0",
): JsonObject {
  return { cniVersion, name: "chain", plugins };
}

/** podnet's configuration as one of a list. */
function podnet(machine: PluginHost, more: JsonObject = {}): JsonObject {
  const { name: _name, cniVersion: _version, ...rest } = machine.config(more);
  return rest;
}

Deno.test("P15: podnet first, tuning and bandwidth behind it", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const chain = new Chain(
    machine,
    list([
      podnet(machine, { capabilities: { portMappings: true } }),
      {
        type: "tuning",
        sysctl: { "net.ipv4.conf.eth0.arp_filter": "1" },
        mtu: 1300,
        dataDir: `${machine.directory}/tuning`,
      },
      { type: "bandwidth", capabilities: { bandwidth: true } },
      { type: "firewall", backend: "iptables" },
    ]),
    {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
      bandwidth: {
        ingressRate: 8_000_000,
        ingressBurst: 8_000_000,
        egressRate: 8_000_000,
        egressBurst: 8_000_000,
      },
    },
  );
  const attachment = { containerID: "c", netns };
  assertEquals(await chain.add(attachment), undefined);
  const [host, own] = chain.read.interfaces;
  assertEquals([own?.name, own?.sandbox], ["eth0", netns]);
  assertStringIncludes(
    await machine.sh(`tc qdisc show dev ${host?.name}`),
    "tbf",
  );
  assertStringIncludes(
    await machine.sh("ip -n c link show eth0"),
    "mtu 1300",
  );
  // What they made of the interface is theirs.
  const checked = await chain.check(attachment);
  assertEquals(checked, undefined);
  assertEquals(await chain.del(attachment), undefined);
  assertEquals(await chain.del(attachment), undefined);
  assertEquals(await machine.traces(), []);
});

Deno.test("P15: podnet last and in the middle passes on what others made, and adds its own", async () => {
  await using machine = await PluginHost.start();
  const bridge: JsonObject = {
    type: "bridge",
    bridge: "cni-test",
    isGateway: true,
    ipam: {
      type: "host-local",
      subnet: "10.88.0.0/24",
      dataDir: `${machine.directory}/host-local`,
    },
  };
  const tuning: JsonObject = {
    type: "tuning",
    sysctl: { "net.ipv4.conf.eth0.arp_filter": "1" },
    dataDir: `${machine.directory}/tuning`,
  };
  const netns = await machine.container("c");
  const attachment = { containerID: "c", netns, ifname: "eth0" };
  const cniVersion = "1.0.0";
  // A runtime that hands the result of one interface to the chain of the next one.
  const before = await machine.add({ ...attachment, ifname: "net1" }, {
    ...bridge,
    cniVersion,
    name: "chain",
  });
  for (const plugins of [[podnet(machine)], [podnet(machine), tuning]]) {
    const chain = new Chain(machine, list(plugins));
    assertEquals(await chain.add(attachment, before), undefined);
    const { interfaces, ips } = chain.read;
    assertEquals(
      interfaces.map(({ name }) => name.replace(/^(pn-|veth).*/, "$1")),
      ["cni-test", "veth", "net1", "pn-", "eth0"],
    );
    // Each address belongs to the interface that has it.
    assertEquals(ips.map((ip) => interfaces[ip.interface ?? 0]?.name), [
      "net1",
      "eth0",
      "eth0",
    ]);
    assert(chain.result !== undefined);
    const earlier = before["interfaces"] as readonly JsonObject[];
    const now = chain.result["interfaces"] as readonly JsonObject[];
    assertEquals(now.slice(0, earlier.length), earlier);
    assertEquals(await chain.check(attachment), undefined);
    assertEquals(await chain.del(attachment), undefined);
  }
  // The bridge's interface lives on.
  await machine.sh("ip -n c link show net1");
  await machine.ok("DEL", { ...attachment, ifname: "net1" }, {
    ...bridge,
    cniVersion,
    name: "chain",
    prevResult: before,
  });
  assertEquals(await machine.traces(), []);
});

Deno.test("P17: podnet behind a plugin that made the same interface is refused, and the chain deleted", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const chain = new Chain(
    machine,
    list([
      {
        type: "ptp",
        ipam: {
          type: "host-local",
          subnet: "10.88.0.0/24",
          dataDir: `${machine.directory}/host-local`,
        },
      },
      podnet(machine),
    ]),
  );
  const attachment = { containerID: "c", netns };
  const error = await chain.add(attachment);
  assertEquals(error?.["code"], 4);
  assertStringIncludes(String(error?.["msg"]), "eth0");
  assertEquals(await chain.del(attachment), undefined);
  assertEquals(await machine.sh("ip -n c -o link | wc -l"), "1\n");
});
