/**
 * Bridges of podnet's and the user's, and whose the addresses on them are.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type InterfaceSpec, isSandboxError } from "../../mod.ts";
import { NO_PEERS } from "../../src/hostport/peers.ts";
import { peersRecord } from "../../src/sandbox/records/records.ts";
import { writeRecord } from "../../src/state/store.ts";
import { createLab, type LabNode } from "../../src/testing/mod.ts";
import { seen } from "../support/ask.ts";
import { type BridgeAttachment, port, userBridge } from "../support/bridged.ts";
import { command } from "../support/command.ts";
import { nodeAt, Pod } from "../support/pods.ts";
import { until } from "../support/patience.ts";

function bridgeState({ namespace }: LabNode): string {
  return command(
    namespace,
    `ip -d link show br0 | sed -E 's/(gc|hello|tcn|topology_change)_timer +[0-9.]+//g'
     ip -o addr show dev br0 | grep -v tentative
     bridge fdb show br br0 | grep permanent | grep -v 33:33 | sort
     sysctl -a 2>/dev/null | grep -E '^net.ipv[46].conf.br0'`,
  );
}

Deno.test("a bridge of the user's is used as it is, and stays as it was", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  for (const mac of ["02:00:00:00:00:b0", ""]) {
    userBridge(host, mac);
    // The kernel gives it an address of the link once it has a carrier.
    await until(() => bridgeState(host).includes("inet6 fe80:"));
    const before = bridgeState(host);
    const own = (number: number): InterfaceSpec => ({
      ...port(number, { bridge: "br0", nodeAddresses: ["10.66.0.1/24"] }),
      addresses: [`10.66.0.${number}/24`],
      gateways: [],
    });
    await using one = await Pod.create(host, { interfaces: [own(11)] });
    await using two = await Pod.create(host, { interfaces: [own(12)] });
    assertEquals(
      seen(one.namespace, two.namespace, "10.66.0.12"),
      ["10.66.0.11", "10.66.0.11"],
    );
    assertEquals(
      seen(one.namespace, host.namespace, "10.66.0.1"),
      ["10.66.0.11", "10.66.0.11"],
    );
    assertEquals(await host.node.check(), []);
    // What is wrong with it is not podnet's to mend.
    command(host.namespace, "ip link set br0 mtu 1400");
    assertEquals(await host.node.check(), []);
    command(host.namespace, "ip link set br0 mtu 1500");
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
    assertEquals(await host.node.collectGarbage(), []);
    assertEquals(bridgeState(host), before);
    command(host.namespace, "ip link del br0; ip link del port0");
  }
});

Deno.test("what cannot be on a bridge is refused by its place, and leaves nothing", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  userBridge(host);
  await using pod = await Pod.create(host, { interfaces: [port(11)] });
  const peers = pod.sandbox.netnsPath.replace(/sandboxes.*/, "peers");
  Deno.mkdirSync(peers, { recursive: true });
  writeRecord(peersRecord, `${peers}/record.cbor`, {
    ...NO_PEERS,
    networks: ["10.77.0.0/16"],
  });
  const before = linksOf(host);
  const { bridge: _, ...rest } = port(12).attachment;
  const spec = (
    more: Partial<BridgeAttachment>,
    of: Partial<InterfaceSpec> = {},
  ) => ({
    ...port(12),
    name: "net2",
    attachment: { ...rest, bridge: "new0", ...more },
    ...of,
  });
  const { mac = "" } = pod.sandbox.interfaces[0] ?? {};
  for (
    const [given, ...paths] of [
      [spec({ bridge: "port0" }), "attachment.bridge"],
      [spec({ bridge: "br0" }), "attachment.nodeAddresses"],
      [
        spec({
          bridge: "br0",
          nodeAddresses: ["10.66.0.1/24"],
          masquerade: true,
        }, { addresses: [], gateways: [] }),
        "attachment.masquerade",
      ],
      [
        spec({ nodeAddresses: [], masquerade: true }, { gateways: [] }),
        "attachment.masquerade",
      ],
      [
        spec({ nodeAddresses: ["10.244.1.1/16"] }),
        "attachment.nodeAddresses[0]",
      ],
      [
        spec({}, { addresses: ["10.88.0.1/16"], gateways: [] }),
        "addresses[0]",
      ],
      [
        spec({
          ranges: [{ network: "10.88.0.0/16", first: "10.89.0.1" }],
        }),
        "attachment.ranges[0]",
      ],
      [
        spec({
          ranges: [{ network: "10.88.0.0/16" }, { network: "10.90.0.0/16" }],
        }),
        "attachment.ranges[1]",
      ],
      [spec({ bridge: "pn-0123456789ab" }), "attachment.bridge"],
      [spec({ bridge: "cni0" }, { mac }), "mac"],
      // That of the other bridge.
      [spec({ nodeAddresses: ["10.88.9.1/24"] }), "attachment.nodeAddresses"],
      // Those of links.
      [spec({ nodeAddresses: ["10.66.0.9/25"] }), "attachment.nodeAddresses"],
      [spec({ nodeAddresses: ["fd50::99/64"] }), "attachment.nodeAddresses"],
      // Those of other nodes' pods.
      [spec({ nodeAddresses: ["10.77.1.1/24"] }), "attachment.nodeAddresses"],
      [spec({ nodeAddresses: ["10.77.1.1/32"] }), "attachment.nodeAddresses"],
      // The bridge would lose all of its IPv6.
      [
        spec({ bridge: "cni0", nodeAddresses: ["10.88.0.1/16"] }, {
          mtu: 1000,
          addresses: ["10.88.0.12/16"],
          gateways: [],
        }),
        "mtu",
      ],
    ] as const
  ) {
    const error = await assertRejects(
      () => pod.sandbox.attach(given),
      `${paths}`,
    );
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
    assertEquals(error.context.problems.map(({ path }) => path), [...paths]);
  }
  assertEquals(linksOf(host), before);
  Deno.removeSync(peers, { recursive: true });
  assertEquals(await host.node.check(), []);
  // An address alone, and one that every link has.
  await pod.sandbox.attach({
    ...spec({ nodeAddresses: ["10.66.0.77/32", "fe80::1/64"] }),
    addresses: [],
    gateways: [],
  });
});

Deno.test("a port too small for IPv6 works on a bridge that has none", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const own = (number: number): InterfaceSpec => ({
    ...port(number, { nodeAddresses: ["10.88.0.1/16"] }),
    mtu: 1000,
    addresses: [`10.88.0.${number}/16`],
    gateways: [],
  });
  await using one = await Pod.create(host, { interfaces: [own(11)] });
  await using two = await Pod.create(host, { interfaces: [own(12)] });
  assertEquals(await host.node.check(), []);
  const { hostInterface } = one.sandbox.interfaces[0] ?? {};
  command(host.namespace, `ip link set ${hostInterface} nomaster`);
  assertEquals((await host.node.repair()).remaining, []);
  const [from, to] = ["10.88.0.11", "10.88.0.12"];
  assertEquals(seen(one.namespace, two.namespace, to), [from, from]);
  // Who asks for IPv6 there would not get it.
  for (const address of ["10.88.0.13/16", "fd88::13/64"]) {
    const isIpv6 = address.startsWith("fd");
    const late = {
      ...own(13),
      mtu: isIpv6 ? 1500 : 1000,
      attachment: {
        ...port(13).attachment,
        nodeAddresses: [isIpv6 ? "10.88.0.1/16" : "fd88::1/64"],
      },
      addresses: [address],
    };
    const error = await assertRejects(() =>
      host.node.createSandbox({ name: "late", interfaces: [late] })
    );
    assert(isSandboxError(error, "InvalidSpec"), `${error}`);
    assertEquals(
      error.context.problems.map(({ path }) => path),
      [isIpv6 ? "interfaces.net1.mtu" : "interfaces[0].mtu"],
    );
  }
});

/** Links with what they are ports of, and claims. */
function linksOf({ namespace }: LabNode): string {
  return command(
    namespace,
    `ip -o link show | sed 's/qdisc.*group/group/;s/NO-CARRIER,//' | sort
     ip route show table all proto 112
     ip -6 route show table all proto 112
     bridge fdb show | grep static`,
  );
}

Deno.test("an address of a bridge is one pod's, given or chosen, and free when that is gone", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  await using one = await Pod.create(host, { interfaces: [port(11)] });
  for (const family of [0, 1]) {
    const wanted = {
      ...port(11),
      addresses: [port(11).addresses?.[family] ?? ""],
      gateways: [],
    };
    const error = await assertRejects(() =>
      host.node.createSandbox({ name: "late", interfaces: [wanted] })
    );
    assert(isSandboxError(error, "AddressInUse"), `${error}`);
    assertEquals(error.context.owner, one.title);
  }
  // The node cannot have it either.
  const ofNode = {
    ...port(12, { nodeAddresses: ["10.88.0.11/16"] }),
    gateways: [],
  };
  const tooLate = await assertRejects(() =>
    host.node.createSandbox({ name: "late", interfaces: [ofNode] })
  );
  assert(isSandboxError(tooLate, "AddressInUse"), `${tooLate}`);
  assertEquals(tooLate.context.owner, one.title);
  // The address of the bridge itself, which another spec has given it.
  const error = await assertRejects(() =>
    host.node.createSandbox({
      name: "late",
      interfaces: [{
        ...port(1, { nodeAddresses: [] }),
        addresses: ["10.88.0.1/16"],
        gateways: [],
      }],
    })
  );
  assert(isSandboxError(error, "AddressInUse"), `${error}`);

  // .9 to .13 with .11 taken, and the gateway of the interface in the way.
  const chosen: InterfaceSpec = {
    ...port(0, {
      ranges: [
        { network: "10.88.0.0/16", first: "10.88.0.9", last: "10.88.0.13" },
        { network: "fd88::/64" },
      ],
    }),
    addresses: [],
    gateways: ["10.88.0.10"],
  };
  const create = (n: number) =>
    host.node.createSandbox({ name: `chosen-${n}`, interfaces: [chosen] });
  const made = await Promise.all([1, 2, 3].map(create));
  const addresses = () =>
    made.flatMap(({ interfaces }) => interfaces[0]?.addresses ?? []);
  assertEquals(
    addresses().filter((a) => a.startsWith("10.")).sort(),
    ["10.88.0.12/16", "10.88.0.13/16", "10.88.0.9/16"],
  );
  assertEquals(new Set(addresses()).size, 6);
  const full = await assertRejects(() => create(4));
  assert(isSandboxError(full, "AddressPoolExhausted"), `${full}`);
  const [first] = made;
  const lost = first?.interfaces[0]?.addresses;
  await first?.remove();
  const again = await create(4);
  assertEquals(again.interfaces[0]?.addresses[0], lost?.[0]);
  // The same spec is the same sandbox.
  assertEquals((await create(4)).interfaces, again.interfaces);
  assertEquals(await host.node.check(), []);
});

Deno.test("a bridge of podnet's goes with garbage and with the node, whatever a crash left", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const bridges = () =>
    command(host.namespace, "ip -o link show type bridge | wc -l").trim();
  await using pod = await Pod.create(host, { interfaces: [port(11)] });
  // Somebody else's port keeps it.
  command(
    host.namespace,
    "ip link add far0 type veth peer name far1; ip link set far0 master cni0",
  );
  await pod.sandbox.detach("net1");
  assertEquals(bridges(), "1");
  assertEquals(await host.node.collectGarbage(), []);
  command(host.namespace, "ip link del far0");
  const [dry] = await host.node.collectGarbage({ dryRun: true });
  assertEquals([dry?.kind, dry?.id, dry?.removed], ["link", "cni0", false]);
  assertEquals(bridges(), "1");
  assertEquals((await host.node.collectGarbage()).length, 1);
  assertEquals(bridges(), "0");
  await pod.sandbox.attach(port(11));
  await pod.sandbox.attach(port(11));
  await host.node.remove({ force: true });
  assertEquals(bridges(), "0");
});
