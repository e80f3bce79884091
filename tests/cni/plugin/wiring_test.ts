/** Containers on bridges, macvlans and devices, by the keys that the reference plugins have for them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  CNI_VERSIONS,
  type JsonObject,
  parseResult,
} from "../../../src/cni/model/mod.ts";
import { Chain, PluginHost } from "./driver.ts";

/** As somebody has it who used bridge and host-local. */
const BRIDGE: JsonObject = {
  bridge: "cni0",
  isGateway: true,
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  portIsolation: false,
  macspoofchk: true,
  mtu: 1400,
  ipam: {
    type: "host-local",
    ranges: [
      [{ subnet: "10.88.0.0/16", rangeStart: "10.88.0.20" }],
      [{ subnet: "fd88::/64", gateway: "fd88::fe" }],
    ],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "10.99.0.0/16" }],
  },
};

/** What is on the machine of podnet's, bridges and ports too. */
async function traces(machine: PluginHost): Promise<string[]> {
  const links = await machine.sh("ip -o link");
  return [
    ...await machine.traces(),
    ...links.match(/pp-[0-9a-f]{12}|cni0/g) ?? [],
  ];
}

/** Whether the container reaches the address, at the first try: somebody there says that nobody listens. */
async function reaches(
  machine: PluginHost,
  container: string,
  address: string,
): Promise<boolean> {
  const to = address.includes(":") ? `[${address}]` : address;
  const { stderr } = await machine.host.run(
    ...["ip", "netns", "exec", container],
    ...["socat", "-u", `TCP:${to}:9,connect-timeout=60`, "-"],
  );
  return stderr.includes("refused");
}

Deno.test("a container is on a bridge as bridge and host-local would have it", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config(BRIDGE);
  const attachments = await Promise.all(["one", "two"].map(async (name) => ({
    containerID: name,
    netns: await machine.container(name),
  })));
  const results = [];
  for (const attachment of attachments) {
    results.push(parseResult(await machine.add(attachment, config)));
  }
  const [first, second] = results;
  assert(first !== undefined && second !== undefined);
  const [bridge, port, own] = first.interfaces;
  assertEquals([bridge?.name, own?.name, own?.mtu], ["cni0", "eth0", 1400]);
  assertStringIncludes(
    await machine.sh(`ip -d link show ${port?.name}`),
    "hairpin on",
  );
  const [ipv4, ipv6] = first.ips;
  assertStringIncludes(ipv4?.address ?? "", "10.88.");
  assertEquals([ipv4?.gateway, ipv4?.interface], ["10.88.0.1", 2]);
  assertStringIncludes(ipv6?.address ?? "", "fd88::");
  assertEquals(ipv6?.gateway, "fd88::fe");
  assertEquals(
    first.routes.map(({ dst, gw }) => `${dst} ${gw}`),
    ["0.0.0.0/0 10.88.0.1", "::/0 fd88::fe", "10.99.0.0/16 10.88.0.1"],
  );
  // The result is what is there, and what is there works from the first packet on.
  const link = JSON.parse(await machine.sh("ip -n one -j addr show eth0"))[0];
  assertEquals([link.address, link.mtu], [own?.mac, 1400]);
  for (
    const address of [
      ...second.ips.map(({ address }) => address.replace(/\/.*/, "")),
      "10.88.0.1",
      "fd88::fe",
    ]
  ) {
    assertEquals(await reaches(machine, "one", address), true, address);
  }
  const gateways = await machine.sh("ip -o addr show cni0");
  assertStringIncludes(gateways, "10.88.0.1/16");
  assertStringIncludes(gateways, "fd88::fe/64");
  for (const [i, attachment] of attachments.entries()) {
    const prevResult = await machine.add({
      ...attachment,
      ifname: "eth1",
    }, { ...config, isDefaultGateway: false, ipam: {}, name: "other" });
    await machine.ok("CHECK", { ...attachment, ifname: "eth1" }, {
      ...config,
      name: "other",
      ipam: {},
      prevResult,
    });
    const told = results[i];
    assert(told !== undefined);
    await machine.ok("CHECK", attachment, {
      ...config,
      prevResult: JSON.parse(JSON.stringify({ cniVersion: "1.1.0", ...told })),
    });
  }
  // One that loses something is told of.
  await machine.sh(`ip link set ${port?.name} nomaster`);
  const { details } = await machine.fails(104, "CHECK", attachments[0], {
    ...config,
    prevResult: JSON.parse(JSON.stringify({ cniVersion: "1.1.0", ...first })),
  });
  assertStringIncludes(details, "is no port of bridge cni0");
  for (const attachment of attachments) {
    await machine.ok("DEL", { ...attachment, ifname: "eth1" }, {
      ...config,
      name: "other",
    });
    await machine.ok("DEL", attachment, config);
    await machine.ok("DEL", attachment, config);
  }
  assertEquals(await traces(machine), []);
  assertEquals(await machine.sh("ip -n one -o link | wc -l"), "1\n");
});

Deno.test("every version of the result tells a bridge", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  for (const cniVersion of CNI_VERSIONS) {
    const attachment = { containerID: `c-${cniVersion}`, netns };
    const config = machine.config({ ...BRIDGE, cniVersion });
    const document = await machine.add(attachment, config);
    const read = parseResult(document);
    assertEquals(
      read.ips.map(({ gateway }) => gateway),
      ["10.88.0.1", "fd88::fe"],
      cniVersion,
    );
    if (!/^0\.[12]\./.test(cniVersion)) {
      assertEquals(read.interfaces.length, 3, cniVersion);
    }
    await machine.ok("DEL", attachment, config);
  }
});

Deno.test("addresses of a bridge are chosen side by side, asked for, and run out", async () => {
  await using machine = await PluginHost.start();
  const ipam = {
    type: "host-local",
    subnet: "10.88.0.0/29",
    rangeStart: "10.88.0.2",
    rangeEnd: "10.88.0.5",
  };
  const config = machine.config({ bridge: "cni0", isGateway: true, ipam });
  const names = ["a", "b", "c"];
  const attachments = await Promise.all(
    names.map(async (containerID) => ({
      containerID,
      netns: await machine.container(containerID),
    })),
  );
  const added = await Promise.all(
    attachments.map((one) => machine.add(one, config)),
  );
  const addresses = added.flatMap((result) =>
    parseResult(result).ips.map(({ address }) => address)
  );
  assertEquals(new Set(addresses).size, 3);
  const free = [2, 3, 4, 5].map((n) => `10.88.0.${n}/29`)
    .find((address) => !addresses.includes(address)) ?? "";
  const netns = await machine.container("d");
  const late = { containerID: "d", netns };
  const asked = (ip: string): JsonObject => ({
    ...config,
    runtimeConfig: { ips: [ip] },
  });
  const taken = addresses[0] ?? "";
  const { msg } = await machine.fails(101, "ADD", late, asked(taken));
  assertStringIncludes(msg, "sandbox default/a");
  const result = await machine.add(late, asked(free.replace(/\/.*/, "")));
  assertEquals(parseResult(result).ips.map(({ address }) => address), [free]);
  const more = { containerID: "e", netns: await machine.container("e") };
  await machine.fails(11, "ADD", more, config);
  await machine.ok("GC", undefined, {
    ...config,
    "cni.dev/valid-attachments": [],
  });
  assertEquals(await traces(machine), []);
});

Deno.test("portmap and bandwidth work behind a bridge of podnet's", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const { name: _name, cniVersion: _version, ...podnet } = machine.config({
    ...BRIDGE,
    ipam: { subnet: "10.88.0.0/16" },
  });
  const chain = new Chain(machine, {
    cniVersion: "1.0.0",
    name: "chain",
    plugins: [
      podnet,
      { type: "portmap", capabilities: { portMappings: true } },
      { type: "bandwidth", capabilities: { bandwidth: true } },
    ],
  }, {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
    bandwidth: {
      ingressRate: 80_000_000,
      ingressBurst: 8_000_000,
      egressRate: 80_000_000,
      egressBurst: 8_000_000,
    },
  });
  const attachment = { containerID: "c", netns };
  assertEquals(await chain.add(attachment), undefined);
  {
    await using _greeter = await machine.greeter("c");
    assertEquals(await machine.greeting("10.88.0.1:8080"), "hello\n");
  }
  assertEquals(await chain.del(attachment), undefined);
  assertEquals(await traces(machine), []);
});

Deno.test("a container gets a macvlan and a device as further interfaces, and the device comes back", async () => {
  await using machine = await PluginHost.start();
  await machine.sh(
    `ip link add up0 type veth peer name up1
     ip link add spare0 mtu 1450 address 02:00:00:00:0d:01 type veth peer name spare1
     ip addr add 192.168.7.1/24 dev up1
     ip addr add 192.168.8.1/24 dev spare1
     for link in up0 up1 spare1; do ip link set $link up; done`,
  );
  const before = await machine.sh("ip -o -d link show spare0");
  const netns = await machine.container("c");
  const kinds: readonly (readonly [string, JsonObject, string])[] = [
    ["eth0", {}, "10.77.0.1"],
    ["net1", {
      name: "lan",
      master: "up0",
      mode: "bridge",
      ipam: {
        type: "static",
        addresses: [{ address: "192.168.7.9/24", gateway: "192.168.7.1" }],
        routes: [{ dst: "10.50.0.0/16" }],
      },
    }, "192.168.7.1"],
    ["net2", {
      name: "nic",
      device: "spare0",
      ipam: { type: "static" },
      runtimeConfig: { ips: ["192.168.8.9/24"] },
    }, "192.168.8.1"],
  ];
  for (const [ifname, more, neighbour] of kinds) {
    const attachment = { containerID: "c", netns, ifname };
    const config = machine.config(more);
    const prevResult = await machine.add(attachment, config);
    assertEquals(await reaches(machine, "c", neighbour), true, ifname);
    await machine.ok("CHECK", attachment, { ...config, prevResult });
  }
  assertStringIncludes(
    await machine.sh("ip -n c route"),
    "10.50.0.0/16 via 192.168.7.1 dev net1",
  );
  for (const [ifname, more] of kinds.toReversed()) {
    const attachment = { containerID: "c", netns, ifname };
    await machine.ok("DEL", attachment, machine.config(more));
  }
  assertEquals(await machine.sh("ip -o -d link show spare0"), before);
  assertEquals(await traces(machine), []);
});

Deno.test("what cannot be wired is told by the keys of the configuration, and leaves nothing", async () => {
  await using machine = await PluginHost.start();
  const attachment = {
    containerID: "c",
    netns: await machine.container("c"),
  };
  const wrong: readonly (readonly [JsonObject, string])[] = [
    [{ bridge: "cni0", master: "eth9" }, "master"],
    [{ bridge: "cni0", vlan: 7 }, "vlan"],
    [{ bridge: "cni0", ipam: { type: "dhcp" } }, "ipam.type"],
    [{ bridge: "cni0", hairpinMode: "yes" }, "hairpinMode"],
    [
      { ...BRIDGE, ipam: { subnet: "10.88.0.1/16" } },
      "ipam.subnet",
    ],
    [
      { ...BRIDGE, ipam: { ranges: [[{ subnet: "10.77.0.0/24" }]] } },
      "ipam.ranges[0][0].gateway",
    ],
    [
      { ...BRIDGE, runtimeConfig: { ips: ["10.88.0.1"] } },
      "runtimeConfig.ips[0]",
    ],
    [
      {
        ...BRIDGE,
        runtimeConfig: {
          portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }],
        },
      },
      "runtimeConfig.portMappings",
    ],
    [{ master: "none" }, "master"],
    [{ device: "none" }, "device"],
    [{ master: "lo", mode: "l2" }, "mode"],
    [
      { master: "eth9", ipam: { ranges: [[{ subnet: "10.88.0.0/16" }]] } },
      "ipam.ranges[0][0]",
    ],
    [
      { device: "", bridge: "", hwaddr: "02:00:00:00:00:01", master: "x" },
      "hwaddr",
    ],
  ];
  for (const [more, place] of wrong) {
    const { details } = await machine.fails(
      7,
      "ADD",
      attachment,
      machine.config(more),
    );
    assertStringIncludes(details, `${place}: `);
  }
  assertEquals(await traces(machine), []);
  assertEquals(await machine.sh("ip -n c -o link | wc -l"), "1\n");
});

Deno.test("a result of a version that needs an address is refused before there is an interface without one", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const attachment = { containerID: "c", netns };
  const { cniVersion: _, ...config } = machine.config({ bridge: "cni0" });
  const links = "ip -n c -o link | wc -l; ip -o link show type bridge";
  for (const old of [config, { ...config, cniVersion: "0.2.0" }]) {
    // The second one does not find what the first one left.
    for (const _again of [1, 2]) {
      const { details } = await machine.fails(7, "ADD", attachment, old);
      assertStringIncludes(details, "cniVersion: ");
    }
    assertEquals(await machine.sh(links), "1\n");
    // The plugin before has one.
    const prevResult = { ip4: { ip: "192.0.2.7/24" } };
    await machine.add(attachment, {
      ...old,
      prevResult: { cniVersion: "0.2.0", ...prevResult },
    });
    await machine.ok("DEL", attachment, old);
  }
  await machine.add(attachment, { ...config, cniVersion: "0.3.0" });
  await machine.ok("DEL", attachment, config);
  assertEquals(await traces(machine), []);
});
