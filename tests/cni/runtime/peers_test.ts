/** R1–R3, R7: Debian's plugins, run by podnet, with real traffic. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { JsonObject } from "../../../mod.ts";
import { CniPluginError } from "../../../src/cni/runtime/mod.ts";
import { NetworkNamespace } from "../../../src/namespace/network_namespace.ts";
import { ask, FAMILIES, serve, TRANSPORTS } from "../../support/ask.ts";
import { command } from "../../support/command.ts";
import { until } from "../../support/patience.ts";
import { nodeAddress, outsideAddress, Pod } from "../../support/pods.ts";
import { Site } from "./site.ts";

/** A bridge with a subnet of each family. */
function bridge(site: Site) {
  return {
    type: "bridge",
    bridge: "cni-test",
    // The pod's default routes lead here, and podnet's own interface answers from its own addresses.
    isDefaultGateway: true,
    ipMasq: true,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.88.0.0/24" }], [{ subnet: "fd00:88::/64" }]],
      dataDir: `${site.directory}/host-local`,
    },
  };
}

const LIMITS = {
  ingressRate: 80_000_000,
  ingressBurst: 80_000_000,
  egressRate: 80_000_000,
  egressBurst: 80_000_000,
};

Deno.test("bridge, portmap, bandwidth and tuning give a pod a network of both families, with host ports", async () => {
  await using site = await Site.create();
  await using sandbox = await site.node.createSandbox({
    name: "web",
    defaultRoute: false,
  });
  using pod = NetworkNamespace.open(sandbox.netnsPath);
  const network = site.network([
    bridge(site),
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "bandwidth", capabilities: { bandwidth: true } },
    {
      type: "tuning",
      sysctl: { "net.ipv4.conf.IFNAME.arp_filter": "1" },
      mtu: 1300,
      dataDir: `${site.directory}/tuning`,
    },
  ]);
  const wanted = {
    ...network,
    runtimeConfig: {
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp" },
        { hostPort: 8080, containerPort: 80, protocol: "udp" },
      ],
      bandwidth: LIMITS,
    },
  };
  const attachment = await sandbox.attach(wanted);
  const { name, result } = attachment;
  assertEquals([name, attachment.network, attachment.state], [
    "net1",
    "net",
    "ready",
  ]);
  const addresses = result.ips.map(({ address }) => address.split("/")[0]);
  assertEquals(addresses.length, 2);
  const own = result.interfaces.find((one) => one.sandbox !== undefined);
  assertEquals([own?.name, own?.sandbox], ["net1", sandbox.netnsPath]);
  // A pod's own address and that of the network lead to the same place.
  for (const [at, family] of FAMILIES.entries()) {
    const address = addresses[at] ?? "";
    for (const transport of TRANSPORTS) {
      using server = serve("web", pod, { transport, address, port: 80 });
      const inside = ask(
        transport,
        site.host.namespace,
        { address, port: 80 },
        [
          server,
        ],
      );
      assert(typeof inside === "object", `${transport} ${family}: ${inside}`);
      const mapped = ask(
        transport,
        site.lab.outside.namespace,
        { address: nodeAddress(family), port: 8080 },
        [server],
      );
      assert(typeof mapped === "object", `${transport} ${family}: ${mapped}`);
      assertEquals(mapped.client, outsideAddress(family));
    }
  }
  assertStringIncludes(command(pod, "ip -o link show net1"), "mtu 1300");
  assertEquals(
    command(pod, "cat /proc/sys/net/ipv4/conf/net1/arp_filter"),
    "1\n",
  );
  const [, host = ""] = /^\d+: (veth\S+?)@/m.exec(site.sh("ip -o link")) ?? [];
  assertStringIncludes(site.sh(`tc qdisc show dev ${host}`), "tbf");
  // The same again is nothing new.
  assertEquals(await sandbox.attach(wanted), attachment);
  assertEquals(sandbox.attachments, [attachment]);
  assertEquals(await site.node.check(), []);

  await sandbox.detach("net1");
  assertEquals(sandbox.attachments, []);
  await sandbox.detach("net1");
  assertEquals(command(pod, "ip -o link show").includes("net1"), false);
  assertEquals(leftovers(site), []);
  await sandbox.remove();
});

/** What Debian's plugins have not taken away. */
function leftovers(site: Site): string[] {
  const reserved = site.sh(`ls ${site.directory}/host-local/*`).split("\n")
    .filter((name) => /^(10|fd)/.test(name));
  const rules = site.sh("iptables-save; ip6tables-save").split("\n")
    .filter((line) => /8080|CNI-[0-9a-f]{24}/.test(line));
  const links = site.sh("ip -o link").match(/ (veth|bwp)\w+/g) ?? [];
  return [...reserved, ...rules, ...links, ...site.cached()];
}

Deno.test("CHECK of Debian's plugins notices what somebody took away", async () => {
  await using site = await Site.create();
  await using sandbox = await site.node.createSandbox({
    name: "web",
    defaultRoute: false,
  });
  using pod = NetworkNamespace.open(sandbox.netnsPath);
  await sandbox.attach({
    ...site.network([
      // Once the interface is gone, it forgets its rules.
      { ...bridge(site), ipMasq: false },
      {
        type: "tuning",
        sysctl: { "net.ipv4.conf.lan.arp_filter": "1" },
        dataDir: `${site.directory}/tuning`,
      },
    ]),
    name: "lan",
  });
  await sandbox.checkAttachment("lan");
  const arpFilter = "/proc/sys/net/ipv4/conf/lan/arp_filter";
  command(pod, `echo 0 > ${arpFilter}`);
  const changed = await assertRejects(
    () => sandbox.checkAttachment("lan"),
    CniPluginError,
  );
  assertEquals([changed.plugin, changed.command], ["tuning", "CHECK"]);
  command(pod, `echo 1 > ${arpFilter}`);
  await sandbox.checkAttachment("lan");
  command(pod, "ip addr del 10.88.0.2/24 dev lan");
  const missing = await assertRejects(
    () => sandbox.checkAttachment("lan"),
    CniPluginError,
  );
  assertEquals([missing.plugin, missing.reason], ["bridge", "refused"]);
  // What is gone already is no trouble.
  command(pod, "ip link del lan");
  await sandbox.remove();
  assertEquals(leftovers(site), []);
});

Deno.test("CHECK fails for some of Debian's plugins although nothing is missing, as docs/cni-runtime.md says", async () => {
  await using site = await Site.create();
  await using sandbox = await site.pod("web");
  const lan = { ...bridge(site), isDefaultGateway: false, isGateway: true };
  const check = async (more: JsonObject, list: JsonObject = {}) => {
    const network = site.network([{ ...lan, ipMasq: false }, more], list);
    const { name } = await sandbox.attach(network);
    try {
      await sandbox.checkAttachment(name);
    } finally {
      await sandbox.detach(name);
    }
  };
  const moved = await assertRejects(
    () => check({ type: "sbr" }),
    CniPluginError,
  );
  assertStringIncludes(moved.message, "bridge of network net, CHECK: Failed");
  const bandwidth = { type: "bandwidth", capabilities: { bandwidth: true } };
  const panic = await assertRejects(() => check(bandwidth), CniPluginError);
  assertStringIncludes(panic.message, "panic");
  await check({ type: "sbr" }, { disableCheck: true });
});

Deno.test("host ports are for the node of a plugin's bridge, too", async () => {
  await using site = await Site.create();
  const ports = TRANSPORTS.map((protocol) => ({
    protocol,
    hostPort: 8080,
    containerPort: 80,
  }));
  await using pod = await Pod.create(site.host, { ports });
  await pod.sandbox.attach(site.network([
    { ...bridge(site), isGateway: true, isDefaultGateway: false },
  ]));
  await until(() =>
    !site.sh("ip -o address show dev cni-test").includes("tentative")
  );
  for (const family of FAMILIES) {
    const address = family === 4 ? "10.88.0.1" : "fd00:88::1";
    for (const transport of TRANSPORTS) {
      using server = pod.serve(transport, family, 80);
      const to = { address, port: 8080 };
      const outcome = ask(transport, site.host.namespace, to, [server]);
      assert(typeof outcome === "object", `${transport} ${family}: ${outcome}`);
    }
  }
  assertEquals(await site.node.check(), []);
});

Deno.test("two networks, and one of them twice, make an interface each", async () => {
  await using site = await Site.create();
  await using sandbox = await site.pod("web");
  using pod = NetworkNamespace.open(sandbox.netnsPath);
  // It names its chain for masquerading after network and container only.
  const lan = site.network([
    { ...bridge(site), isDefaultGateway: false, ipMasq: false },
  ]);
  const wan = site.network([{
    type: "ptp",
    ipam: {
      type: "host-local",
      subnet: "10.89.0.0/24",
      dataDir: `${site.directory}/host-local`,
    },
  }], { name: "wan" });
  const made = [
    await sandbox.attach(lan),
    await sandbox.attach({ ...lan, name: "again" }),
    await sandbox.attach(wan),
  ];
  assertEquals(made.map(({ name }) => name), ["net1", "again", "net2"]);
  assertEquals(
    made.map(({ result: { ips } }) => ips[0]?.address),
    ["10.88.0.2/24", "10.88.0.3/24", "10.89.0.2/24"],
  );
  assertEquals(sandbox.toJSON().attachments, made);
  await sandbox.detach("again");
  assertEquals(sandbox.attachments.map(({ name }) => name), ["net1", "net2"]);
  command(pod, "ip link show net1; ip link show net2");
  await sandbox.remove();
  assertEquals(leftovers(site), []);
});
