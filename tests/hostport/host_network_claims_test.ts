/**
 * Ports of pods on the node's own network are claimed like those of any pod, though nothing is translated: who has one,
 * has it alone, whoever comes second and however the port is written.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import { findElementsOf } from "../../src/hostport/host_ports.ts";
import {
  hostIPsConflict,
  type PortMapping,
} from "../../src/hostport/mapping.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { openNode } from "../../mod.ts";
import { ask, FAMILIES, serve } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { loopbackAddress, nodeAddress, nodeAt, Pod } from "../support/pods.ts";

const PORT = 8080;

/** A missing one stands for all addresses of both families. */
const HOST_IPS = [
  undefined,
  "0.0.0.0",
  "::",
  nodeAddress(4),
  nodeAddress(6),
  loopbackAddress(4),
];

let lab: Lab;
let node: LabNode;
/** On the node's network, twice, and on its own. */
let host: Pod;
let other: Pod;
let pod: Pod;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  host = stack.use(
    await Pod.create(node, { name: "host", hostNetwork: true }),
  );
  other = stack.use(
    await Pod.create(node, { name: "other", hostNetwork: true }),
  );
  pod = stack.use(await Pod.create(node, { name: "pod" }));
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

function mapping(
  hostIP?: string,
  protocol: PortMapping["protocol"] = "tcp",
): PortMapping {
  return {
    protocol,
    hostPort: PORT,
    containerPort: PORT,
    ...hostIP === undefined ? {} : { hostIP },
  };
}

async function ownerRefused(attempt: () => Promise<unknown>): Promise<string> {
  const error = await assertRejects(attempt, SandboxError<"HostPortInUse">);
  assertEquals(error.code, "HostPortInUse");
  return error.context.owner;
}

function elementsOf({ sandbox }: Pod): string[] {
  using nft = node.namespace.run(() => NftablesConnection.open());
  return findElementsOf(nft, (id) => id === sandbox.id)
    .map(({ set }) => set.name).sort();
}

const addressOrAll = (text?: string) =>
  text === undefined ? undefined : IpAddress.parse(text);

for (
  const [title, first, second] of [
    ["a pod on the node's network, then another", () => host, () => other],
    [
      "a pod on the node's network, then an ordinary one",
      () => host,
      () => pod,
    ],
    ["an ordinary pod, then one on the node's network", () => pod, () => host],
  ] as const
) {
  for (const protocol of ["tcp", "sctp"] as const) {
    Deno.test(`HP18 ${title}: the second has no ${protocol} port of the first, on overlapping host IPs and no others`, async () => {
      for (const has of HOST_IPS) {
        await first().sandbox.addPorts([mapping(has, protocol)]);
        for (const wants of HOST_IPS) {
          const attempt = () =>
            second().sandbox.addPorts([mapping(wants, protocol)]);
          if (hostIPsConflict(addressOrAll(has), addressOrAll(wants))) {
            assertEquals(await ownerRefused(attempt), first().title);
            assertEquals(second().sandbox.ports, []);
          } else {
            await attempt();
            await second().sandbox.removePorts([mapping(wants, protocol)]);
          }
        }
        await first().sandbox.removePorts([mapping(has, protocol)]);
      }
      assertEquals(elementsOf(host), []);
      assertEquals(elementsOf(other), []);
      await second().sandbox.addPorts([mapping(undefined, protocol)]);
      await second().sandbox.removePorts([mapping(undefined, protocol)]);
    });
  }
}

Deno.test("a creation on the node's network claims its ports, leads nothing anywhere, and gives them back with the sandbox", async () => {
  const spec = {
    hostNetwork: true,
    ports: [mapping(), mapping(nodeAddress(4), "udp")],
  };
  const owner = await Pod.create(node, spec);
  assertEquals(elementsOf(owner), [
    "hostnetwork4",
    "hostnetwork4_ip",
    "hostnetwork6",
  ]);
  for (const family of FAMILIES) {
    const to = { address: nodeAddress(family), port: PORT };
    using server = serve("own", owner.namespace, { transport: "tcp", ...to });
    const answer = ask("tcp", lab.outside.namespace, to, [server]);
    assert(typeof answer === "object" && answer.server === "own");
  }
  for (const hostNetwork of [true, false]) {
    const late = { name: "late", hostNetwork, ports: [mapping()] };
    const taken = await ownerRefused(() => node.node.createSandbox(late));
    assertEquals(taken, owner.title);
  }
  assertEquals(await node.node.check(), []);
  await owner[Symbol.asyncDispose]();
  assertEquals(elementsOf(owner), []);
  const again = await Pod.create(node, { ports: [mapping()] });
  await again[Symbol.asyncDispose]();
});

Deno.test("claims of a pod on the node's network come back with a table that was flushed, and are garbage without their record", async () => {
  const owner = await Pod.create(node, {
    hostNetwork: true,
    ports: [mapping()],
  });
  const claims = elementsOf(owner);
  command(node.namespace, "nft flush ruleset");
  const { name, stateDir } = node.node;
  await using _again = await openNode({
    name,
    stateDir,
    netns: node.namespace,
  });
  assertEquals(elementsOf(owner), claims);
  command(node.namespace, "nft flush set inet podnet hostnetwork4");
  assertEquals((await node.node.check()).length, 1);
  await node.node.repair();
  assertEquals(elementsOf(owner), claims);

  owner.namespace[Symbol.dispose]();
  command(node.namespace, `umount -l ${owner.sandbox.netnsPath}`);
  const directory = owner.sandbox.netnsPath.replace(/\/netns$/, "");
  Deno.removeSync(directory, { recursive: true });
  assertEquals(
    (await node.node.collectGarbage()).map(({ kind, id }) => [kind, id]),
    [["element", owner.sandbox.id]],
  );
  assertEquals(elementsOf(owner), []);
  await pod.sandbox.addPorts([mapping()]);
  await pod.sandbox.removePorts([mapping()]);
});
