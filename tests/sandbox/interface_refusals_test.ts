/**
 * Interfaces that the kernel refuses: what the error says of the spec.
 *
 * @module
 */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Errno, errnoName } from "../../ffi/errno.ts";
import { isSandboxError } from "../../mod.ts";
import { NetlinkError } from "../../src/netlink/netlink_error.ts";
import { getLink } from "../../src/rtnetlink/link.ts";
import { contextOf } from "../../src/sandbox/node.ts";
import { explainMaking } from "../../src/sandbox/pod/interface_refusals.ts";
import { createLab } from "../../src/testing/mod.ts";
import { command } from "../support/command.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { nodeAt, Pod } from "../support/pods.ts";

Deno.test("what the kernel refuses is told by its place in the spec", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  command(
    host.namespace,
    `ip link add one0 type veth peer name two0; ip link set one0 up
     ip link add three0 type veth peer name four0; ip link set three0 up
     ip tuntap add tun0 mode tun
     ip link add br0 type bridge; ip link set two0 master br0`,
  );
  const macvlan = (parent: string, more = {}, mode?: "passthru") => ({
    name: "net1",
    attachment: { type: "macvlan", parent, ...(mode && { mode }) } as const,
    ...more,
  });
  const device = (device: string, more = {}) => ({
    name: "net1",
    attachment: { type: "device", device } as const,
    ...more,
  });
  const mac = "02:00:00:00:00:01";
  await using alone = await Pod.create(host, {
    interfaces: [macvlan("one0", {}, "passthru")],
  });
  await using _shared = await Pod.create(host, {
    interfaces: [macvlan("three0", { mac })],
  });
  const before = await snapshot(host);
  await using pod = await Pod.create(host);
  for (
    const [spec, path, message] of [
      [macvlan("one0"), "attachment.parent", /passthru.*detach that one/],
      [
        macvlan("three0", {}, "passthru"),
        "attachment.parent",
        /other macvlans/,
      ],
      [macvlan("three0", { mac }), "mac", /another interface of three0/],
      [macvlan("three0", { mtu: 9000 }), "mtu", /three0 has 1500/],
      [macvlan("two0"), "attachment.parent", /port of another link/],
      [macvlan("tun0"), "attachment.parent", /no Ethernet link/],
      [device("br0"), "attachment.device", /does not move it/],
      [device("tun0", { mac }), "mac", /tun0 cannot have another/],
    ] as const
  ) {
    const error = await assertRejects(() => pod.sandbox.attach(spec));
    assert(isSandboxError(error, "InvalidSpec"), `${path}: ${error}`);
    assertEquals(error.context.problems.map((p) => p.path), [path]);
    assertMatch(error.message, message);
    assertEquals(pod.sandbox.interfaces, []);
  }
  await pod[Symbol.asyncDispose]();
  await assertAsBefore(host, before);
  await alone.sandbox.detach("net1");
});

Deno.test("a bridge without a free port is told by its place in the spec", async () => {
  await using lab = await createLab();
  const host = nodeAt(lab.nodes, 0);
  const context = contextOf(host.node);
  await using pod = await Pod.create(host, {
    interfaces: [{
      name: "net1",
      attachment: { type: "bridge", bridge: "cni0" },
    }],
  });
  const [own] = context.state.readSandbox(pod.sandbox.id)?.interfaces ?? [];
  const [link] = context.sockets.route.request(getLink({ name: "cni0" }));
  assert(own && link);
  const errno = Errno.EXFULL;
  const code = errnoName(errno);
  assertEquals(code, "EXFULL");
  // To fill a bridge takes many seconds.
  const refused = new NetlinkError({ operation: "", index: 0, errno, code });
  const error = explainMaking(refused, { own, link, path: "here" });
  assert(isSandboxError(error, "InvalidSpec"), `${error}`);
  assertEquals(error.context.problems.map((p) => p.path), [
    "here.attachment.bridge",
  ]);
  assertMatch(error.message, /1023/);
});
