/** The life of an attachment: P7, P9–P13 of the protocol that runtimes and plugins keep. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type JsonObject, parseResult } from "../../../src/cni/model/mod.ts";
import { PluginHost } from "./driver.ts";

Deno.test("ADD makes an interface that works, with addresses and host ports", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config({
    mtu: 1400,
    sysctl: { "net/ipv4/conf/IFNAME/arp_filter": "1" },
    dns: { nameservers: ["192.0.2.53"], search: ["example.org"] },
    runtimeConfig: {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
    },
  });
  const netns = await machine.container("web");
  const result = parseResult(
    await machine.add({ containerID: "web", netns }, config),
  );
  assertEquals(result.dns, {
    nameservers: ["192.0.2.53"],
    search: ["example.org"],
  });
  const [host, own] = result.interfaces;
  assert(host !== undefined && own !== undefined);
  // What the result says is what is there.
  const link = JSON.parse(await machine.sh("ip -n web -j addr show eth0"))[0];
  assertEquals([link.address, link.mtu], [own.mac, 1400]);
  assertEquals(
    link.addr_info.map((a: { local: string; prefixlen: number }) =>
      `${a.local}/${a.prefixlen}`
    ),
    result.ips.map(({ address }) => address),
  );
  await machine.sh(`ip link show ${host.name}`);
  const setting = "/proc/sys/net/ipv4/conf/eth0/arp_filter";
  assertEquals(
    await machine.sh(`ip netns exec web cat ${setting}`),
    "1\n",
  );
  // From the node's loopback to the container and back, by both IP versions.
  {
    await using _greeter = await machine.greeter("web");
    for (const address of ["127.0.0.1", "[::1]", "10.77.0.1"]) {
      assertEquals(await machine.greeting(`${address}:8080`), "hello\n");
    }
  }
  await machine.ok("DEL", { containerID: "web", netns }, config);
  assertEquals(await machine.traces(), []);
  assertEquals(await machine.sh("ip -n web -o link | wc -l"), "1\n");
});

Deno.test("P7: an interface that is there already is an error, and stays as it is", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  await machine.sh("ip -n c link add eth0 type veth peer name other");
  const before = await machine.sh("ip -n c -o link");
  const attachment = { containerID: "c", netns };
  const config = machine.config();
  const { msg } = await machine.fails(4, "ADD", attachment, config);
  assertStringIncludes(msg, "CNI_IFNAME");
  assertEquals(await machine.sh("ip -n c -o link"), before);
  await machine.sh("ip -n c link del eth0");
  const added = await machine.add(attachment, config);
  // Its own, too.
  await machine.fails(4, "ADD", attachment, config);
  await machine.ok("CHECK", attachment, { ...config, prevResult: added });
});

Deno.test("P9: an ADD that fails leaves nothing behind, and tells every problem", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const attachment = { containerID: "c", netns };
  const ports = (hostPort: number): JsonObject => ({
    portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }],
  });
  const { details } = await machine.fails(
    7,
    "ADD",
    attachment,
    machine.config({
      podCidrs: ["10.77.0.1/24", "fd00:77::/64"],
      mtu: 20,
      ipMasq: "yes",
      ipam: {
        type: "dhcp",
        ranges: [[{ subnet: "10.77.0.0/24", rangeStart: "10.77.0.9" }]],
      },
    }),
  );
  for (const place of ["mtu", "ipMasq", "ipam.type", "rangeStart"]) {
    assertStringIncludes(details, place);
  }
  const two = await machine.fails(
    7,
    "ADD",
    attachment,
    machine.config({
      podCidrs: undefined as unknown as JsonObject,
      ipam: { subnet: "10.77.0.1/24" },
      nonMasqueradeCidrs: ["224.0.0.0/4"],
    }),
  );
  assertStringIncludes(two.details, "ipam.subnet");
  assertStringIncludes(two.details, "nonMasqueradeCidrs[0]");
  const spec = await machine.fails(
    7,
    "ADD",
    attachment,
    machine.config({
      runtimeConfig: {
        ips: ["10.99.0.1/24"],
        mac: "01:00:00:00:00:00",
        portMappings: [{ hostPort: 80, containerPort: 80, protocol: "icmp" }],
      },
    }),
  );
  for (const place of ["ips[0]", "mac", "portMappings[0].protocol"]) {
    assertStringIncludes(spec.details, `runtimeConfig.${place}`);
  }
  await machine.fails(
    4,
    "ADD",
    { ...attachment, ifname: "all" },
    machine.config(),
  );
  const before = { cniVersion: "1.1.0", ips: [{ address: "anything" }] };
  for (
    const [code, prevResult] of [
      [1, { cniVersion: "9.0.0" }],
      [6, before],
    ] as const
  ) {
    await machine.fails(
      code,
      "ADD",
      attachment,
      machine.config({ prevResult }),
    );
  }
  assertEquals(await machine.traces(), []);
  await machine.host.ok("node", "down");
  // What the kernel says: somebody has the port, and the pool is empty.
  const first = { containerID: "first", netns: await machine.container("f") };
  const small = { podCidrs: ["10.77.0.0/30"] };
  await machine.add(
    first,
    machine.config({ ...small, runtimeConfig: ports(80) }),
  );
  const traces = await machine.traces();
  const taken = await machine.fails(
    11,
    "ADD",
    attachment,
    machine.config({ ...small, runtimeConfig: ports(81) }),
  );
  assertStringIncludes(taken.msg, "10.77.0.0/30");
  assertEquals(await machine.traces(), traces);
  assertEquals(await machine.sh("ip -n c -o link | wc -l"), "1\n");
});

Deno.test("a host port that somebody else has is told with its owner", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config({
    runtimeConfig: {
      portMappings: [{ hostPort: 80, containerPort: 80, protocol: "udp" }],
    },
  });
  const one = { containerID: "one", netns: await machine.container("one") };
  const two = { containerID: "two", netns: await machine.container("two") };
  await machine.add({ ...one, args: "K8S_POD_NAME=web" }, config);
  const before = await machine.traces();
  const { msg } = await machine.fails(100, "ADD", two, config);
  assertStringIncludes(msg, "default/web");
  assertEquals(await machine.traces(), before);
});

Deno.test("P10, P11: DEL works as often as it is asked, whatever is gone", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config({
    runtimeConfig: {
      portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }],
    },
  });
  // Before anything was ever added, no node is made for it.
  await machine.ok("DEL", { containerID: "c", netns: "" }, config);
  assertEquals(await machine.sh(`ls ${machine.host.stateDir}`), "");
  for (const how of ["there", "empty", "gone", "deleted"] as const) {
    const netns = await machine.container("c");
    const attachment = { containerID: "c", netns };
    await machine.add(attachment, config);
    if (how === "gone" || how === "deleted") await machine.sh("ip netns del c");
    const left = {
      containerID: "c",
      netns: how === "empty" || how === "gone" ? "" : netns,
    };
    // The configuration may have changed since, and its version been an old one.
    const changed = { ...config, podCidrs: ["10.99.0.0/24"], mtu: "?" };
    await machine.ok("DEL", left, how === "there" ? changed : config);
    assertEquals(await machine.traces(), [], how);
    await machine.ok("DEL", left, config);
    if (how === "there" || how === "empty") await machine.sh("ip netns del c");
  }
  // Half made: a directory without a record, and one whose record is damaged.
  const netns = await machine.container("c");
  const attachment = { containerID: "c", netns };
  await machine.add(attachment, config);
  const record = (await machine.sh(
    `ls ${machine.host.stateDir}/test/sandboxes/*/record.cbor`,
  )).trim();
  await machine.sh(`echo rubbish > ${record}`);
  await machine.ok("DEL", attachment, config);
  assertEquals(await machine.traces(), []);
  await machine.add(attachment, config);
  await machine.sh(`rm ${record}`);
  await machine.ok("DEL", attachment, config);
  assertEquals(await machine.traces(), []);
});

Deno.test("a container that was restarted without DEL is added again", async () => {
  await using machine = await PluginHost.start();
  const config = machine.config();
  // The same id and the same path, and another namespace; then another path.
  for (const name of ["c", "c", "d"]) {
    await machine.sh("ip netns del c 2>/dev/null || true");
    const netns = await machine.container(name);
    const { ips } = parseResult(
      await machine.add({ containerID: "id", netns }, config),
    );
    assertStringIncludes(
      await machine.sh(`ip -n ${name} -o addr show eth0`),
      ips[0]?.address ?? "?",
    );
    const traces = await machine.traces();
    assertEquals(traces.filter((one) => one.startsWith("sandbox")).length, 1);
  }
});

Deno.test("bandwidth is limited as runtime or configuration say, and CHECK knows", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const attachment = { containerID: "c", netns };
  const own = { ingressRate: 16_000_000, ingressBurst: 800_000 };
  const unlimited = 18446744073709551615;
  const cases: readonly (readonly [JsonObject, string[]])[] = [
    [own, ["16Mbit"]],
    // As Go writes it, with its greatest integer for no limit.
    [{
      ...own,
      runtimeConfig: {
        bandwidth: {
          IngressRate: 8_000_000,
          IngressBurst: unlimited,
          EgressRate: 4_000_000,
          EgressBurst: unlimited,
        },
      },
    }, ["4Mbit", "8Mbit"]],
    [{
      ...own,
      runtimeConfig: { bandwidth: { ingressRate: 0, ingressBurst: 800_000 } },
    }, []],
  ];
  for (const [more, rates] of cases) {
    const config = machine.config(more);
    const prevResult = await machine.add(attachment, config);
    const disciplines = await machine.sh("tc qdisc show");
    assertEquals(
      disciplines.match(/(?<=tbf .*rate )\w+/g)?.sort() ?? [],
      rates,
    );
    await machine.ok("CHECK", attachment, { ...config, prevResult });
    if (rates.length > 0) {
      const [, link = ""] = /tbf .* dev (pn-\w+) /.exec(disciplines) ?? [];
      await machine.sh(`tc qdisc del dev ${link} root`);
      const { details } = await machine.fails(104, "CHECK", attachment, {
        ...config,
        prevResult,
      });
      assertStringIncludes(details, "bandwidth into the pod");
    }
    await machine.ok("DEL", attachment, config);
    assertEquals(await machine.sh("tc qdisc show | grep tbf || true"), "");
  }
});

Deno.test("P12: CHECK finds what is not as ADD made it", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const attachment = { containerID: "c", netns };
  const config = machine.config({
    runtimeConfig: {
      portMappings: [{ hostPort: 80, containerPort: 80, protocol: "tcp" }],
    },
  });
  await machine.fails(7, "CHECK", attachment, config);
  const result = await machine.add(attachment, config);
  const checked = { ...config, prevResult: result };
  await machine.ok("CHECK", attachment, checked);
  // What later plugins of a chain do to the interface is theirs.
  await machine.sh(
    "ip -n c addr add 192.0.2.9/32 dev eth0; ip -n c link set lo mtu 9000",
  );
  await machine.ok("CHECK", attachment, {
    ...config,
    prevResult: {
      ...result,
      ips: [...result["ips"] as JsonObject[], { address: "192.0.2.9/32" }],
    },
  });
  const parsed = parseResult(result);
  const other = { ...result, ips: [{ address: "10.77.0.99/32" }] };
  const wrong = await machine.fails(104, "CHECK", attachment, {
    ...config,
    prevResult: other,
  });
  assertStringIncludes(
    wrong.details,
    parsed.ips[0]?.address.split("/")[0] ?? "?",
  );
  const breaks = [
    "ip -n c link set eth0 down",
    "ip -n c link set eth0 mtu 1000",
    "ip -n c addr flush dev eth0 scope global",
    "ip -n c route del default",
    `ip link set ${parsed.interfaces[0]?.name} down`,
    "nft flush chain inet podnet prerouting",
  ];
  for (const line of breaks) {
    await machine.sh(line);
    await machine.fails(104, "CHECK", attachment, checked).catch((error) => {
      throw new Error(line, { cause: error });
    });
    await machine.host.podnet("check", "--repair");
    await machine.ok("CHECK", attachment, checked);
  }
  // The namespace is there, and podnet does not hold it any more.
  await machine.sh(`umount ${machine.host.stateDir}/test/sandboxes/*/netns`);
  await machine.fails(104, "CHECK", attachment, checked);
  await machine.ok("DEL", attachment, checked);
  assertEquals(await machine.traces(), []);
  assertEquals(await machine.sh("ip -n c -o link | wc -l"), "1\n");
  await machine.fails(104, "CHECK", attachment, checked);
  const elsewhere = { ...attachment, netns: await machine.container("d") };
  await machine.fails(104, "CHECK", elsewhere, checked);
});

Deno.test("IFNAME in a sysctl is the interface, dots in its name and all", async () => {
  await using machine = await PluginHost.start();
  const netns = await machine.container("c");
  const attachment = { containerID: "c", netns, ifname: "eth.5" };
  for (const name of ["net.ipv4.conf.IFNAME", "net/ipv4/conf/IFNAME"]) {
    const arp = name.includes("/")
      ? `${name}/arp_filter`
      : `${name}.arp_filter`;
    const config = machine.config({ sysctl: { [arp]: "1" } });
    const prevResult = await machine.add(attachment, config);
    const path = "/proc/sys/net/ipv4/conf/eth.5/arp_filter";
    assertEquals(await machine.sh(`ip netns exec c cat ${path}`), "1\n");
    await machine.ok("CHECK", attachment, { ...config, prevResult });
    await machine.ok("DEL", attachment, config);
  }
});
