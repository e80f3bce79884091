/**
 * Opening and closing host ports: ranges, all or nothing, one transaction, a constant number of rules.
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import {
  comparePortMappings,
  expandPortMapping,
  type PortMapping,
} from "../../src/hostport/mapping.ts";
import { findElementsOf } from "../../src/hostport/host_ports.ts";
import { TABLE } from "../../src/hostport/sets.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask, FAMILIES, type Transport, TRANSPORTS } from "../support/ask.ts";
import type { Family } from "../support/sockets.ts";
import { loopbackAddress, nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { associate } from "./sctp.ts";

const PROTOCOLS = ["tcp", "udp", "sctp"] as const;

let lab: Lab;
let node: LabNode;
let nft: NftablesConnection;

Deno.test.beforeAll(async () => {
  lab = await createLab();
  node = nodeAt(lab.nodes, 0);
  nft = node.namespace.run(() => NftablesConnection.open());
});

Deno.test.afterAll(async () => {
  nft[Symbol.dispose]();
  await lab[Symbol.asyncDispose]();
});

/** How many elements a pod has in the table: one a family for hairpins, and those of its ports. */
function elementsOf({ sandbox: { id } }: Pod): number {
  return findElementsOf(nft, (owner) => owner === id).length;
}

const HAIRPINS = 2;
/** A claim and a loopback entry, in two families. */
const PER_PORT = 4;

/** Who answers on the outside address; undefined when nobody does. */
function answer(
  transport: Transport,
  family: Family,
  port: number,
  pod: Pod,
  containerPort: number,
): string | undefined {
  using server = pod.serve(transport, family, containerPort);
  const outcome = ask(
    transport,
    lab.outside.namespace,
    { address: nodeAddress(family), port },
    [server],
  );
  return typeof outcome === "object" ? outcome.server : undefined;
}

/** A range of 100 ports. */
function range(protocol: PortMapping["protocol"] = "tcp"): PortMapping {
  return {
    protocol,
    hostPort: 20000,
    hostPortEnd: 20099,
    containerPort: 30000,
  };
}

for (const transport of TRANSPORTS) {
  Deno.test(`HP1 HP2 a range of 100 ports leads to 100 ports of the pod, each to its own (${transport})`, async () => {
    await using pod = await Pod.create(node, { ports: [range(transport)] });
    assertEquals(pod.sandbox.ports, expandPortMapping(range(transport)));
    assertEquals(elementsOf(pod), HAIRPINS + 100 * PER_PORT);
    for (const family of FAMILIES) {
      for (const offset of [0, 1, 50, 99]) {
        assertEquals(
          answer(transport, family, 20000 + offset, pod, 30000 + offset),
          pod.name,
        );
      }
      for (const beyond of [-1, 100]) {
        assertEquals(
          answer(transport, family, 20000 + beyond, pod, 30000 + beyond),
          undefined,
        );
      }
    }
  });
}

Deno.test("HP3 an SCTP port of a range leads to its own port of the pod", async () => {
  await using pod = await Pod.create(node, { ports: [range("sctp")] });
  for (const family of FAMILIES) {
    const to = { address: nodeAddress(family), port: 20042 };
    assertEquals(associate(lab.outside.namespace, to, pod)?.port, 30042);
  }
});

Deno.test("ports are opened and closed one by one while the pod runs", async () => {
  await using pod = await Pod.create(node);
  const mappings = PROTOCOLS.flatMap((protocol) =>
    [8080, 8081].map((hostPort) => ({ protocol, hostPort, containerPort: 80 }))
  );
  const sorted = mappings.toSorted(comparePortMappings);
  for (const [i, mapping] of mappings.entries()) {
    await pod.sandbox.addPorts([mapping]);
    assertEquals(elementsOf(pod), HAIRPINS + (i + 1) * PER_PORT);
  }
  assertEquals(pod.sandbox.ports, sorted);
  // Whoever opens the sandbox anew sees the same.
  await using again = await node.node.openSandbox(pod.name);
  assertEquals(again.ports, sorted);
  for (const family of FAMILIES) {
    for (const transport of TRANSPORTS) {
      assertEquals(answer(transport, family, 8081, pod, 80), pod.name);
    }
  }
  for (const [i, mapping] of mappings.entries()) {
    await pod.sandbox.removePorts([mapping]);
    const left = mappings.length - i - 1;
    assertEquals(elementsOf(pod), HAIRPINS + left * PER_PORT);
  }
  assertEquals(pod.sandbox.ports, []);
});

Deno.test("addPorts() does nothing for ports that are open, and opens the others", async () => {
  const first = { hostPort: 8080, containerPort: 80 };
  const second = { hostPort: 8081, containerPort: 80 };
  await using pod = await Pod.create(node, { ports: [first] });
  const generation = nft.generation();
  await pod.sandbox.addPorts([first]);
  assertEquals(nft.generation(), generation, "nothing was changed");
  await pod.sandbox.addPorts([first, second]);
  assertEquals(elementsOf(pod), HAIRPINS + 2 * PER_PORT);
  assertEquals(pod.sandbox.ports.map((port) => port.hostPort), [8080, 8081]);
});

Deno.test("addPorts() refuses a port that leads elsewhere in the same sandbox, and says which", async () => {
  await using pod = await Pod.create(node, {
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  const error = await assertRejects(
    () =>
      pod.sandbox.addPorts([
        { hostPort: 8079, containerPort: 79 },
        { hostPort: 8080, containerPort: 81 },
      ]),
    SandboxError<"InvalidSpec">,
  );
  assertEquals(error.context.problems.map(({ path }) => path), [
    "ports.hostPort",
  ]);
  assertStringIncludes(
    error.message,
    "tcp port 8080 is taken by the sandbox already",
  );
  assertEquals(pod.sandbox.ports.length, 1);
});

Deno.test("removePorts() does nothing for ports that are not open, and closes the others", async () => {
  const first = { hostPort: 8080, containerPort: 80 };
  await using pod = await Pod.create(node, { ports: [first] });
  const generation = nft.generation();
  const others: readonly PortMapping[] = [
    { hostPort: 8081, containerPort: 80 },
    { ...first, protocol: "udp" },
    { ...first, containerPort: 81 },
    { ...first, hostIP: "127.0.0.1" },
  ];
  for (const other of others) await pod.sandbox.removePorts([other]);
  assertEquals(nft.generation(), generation, "nothing was changed");
  assertEquals(pod.sandbox.ports.length, 1);
  await pod.sandbox.removePorts([range(), first]);
  assertEquals(elementsOf(pod), HAIRPINS);
});

Deno.test("part of a range can be closed", async () => {
  await using pod = await Pod.create(node, { ports: [range()] });
  await pod.sandbox.removePorts([
    { hostPort: 20010, hostPortEnd: 20019, containerPort: 30010 },
  ]);
  assertEquals(elementsOf(pod), HAIRPINS + 90 * PER_PORT);
  assertEquals(answer("tcp", 4, 20010, pod, 30010), undefined);
  assertEquals(answer("tcp", 4, 20020, pod, 30020), pod.name);
});

Deno.test("HP20 a range of 100 ports of which one is taken opens none", async () => {
  await using owner = await Pod.create(node, {
    ports: [{ hostPort: 20057, containerPort: 80, hostIP: nodeAddress(6) }],
  });
  await using pod = await Pod.create(node);
  const generation = nft.generation();
  const error = await assertRejects(
    () => pod.sandbox.addPorts([range()]),
    SandboxError<"HostPortInUse">,
  );
  assertEquals(error.context, {
    protocol: "tcp",
    hostIP: "::",
    hostPort: 20057,
    owner: owner.title,
  });
  assertEquals(nft.generation(), generation, "nothing was changed");
  assertEquals(pod.sandbox.ports, []);
  await using again = await node.node.openSandbox(pod.name);
  assertEquals(again.ports, []);
  // The same when the very element is taken, which only the kernel finds.
  await using exact = await Pod.create(node, {
    ports: [{ hostPort: 20099, containerPort: 80, hostIP: "::" }],
  });
  await assertRejects(
    () => pod.sandbox.addPorts([{ ...range(), hostIP: "::" }]),
    SandboxError<"HostPortInUse">,
  );
  assertEquals(elementsOf(pod), HAIRPINS);
  assertEquals(elementsOf(exact), HAIRPINS + PER_PORT / 2);
});

Deno.test("HP20 however many ports, they are opened and closed in one transaction", async () => {
  await using pod = await Pod.create(node);
  for (const protocol of PROTOCOLS) {
    const before = nft.generation();
    await pod.sandbox.addPorts([range(protocol)]);
    assertEquals(nft.generation(), before + 1);
  }
  const before = nft.generation();
  await pod.sandbox.removePorts(PROTOCOLS.map(range));
  assertEquals(nft.generation(), before + 1);
  // With the pod's other elements, too.
  await using other = await Pod.create(node, { ports: [range()] });
  assertEquals(nft.generation(), before + 2);
  assertEquals(elementsOf(other), HAIRPINS + 100 * PER_PORT);
});

Deno.test("the number of rules, chains and sets is the same with 0, 1 and 300 ports", async () => {
  const count = () => {
    const table = nft.readTable(TABLE);
    assert(table !== undefined);
    return {
      sets: table.sets.length,
      chains: table.chains.length,
      rules: table.chains.map(({ name, rules }) => `${name} ${rules.length}`),
    };
  };
  const before = count();
  assert(before.rules.length > 5);
  await using one = await Pod.create(node, {
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  assertEquals(count(), before);
  await using many = await Pod.create(node, { ports: PROTOCOLS.map(range) });
  assertEquals(count(), before);
  await one.sandbox.removePorts([{ hostPort: 8080, containerPort: 80 }]);
  await many.sandbox.removePorts(PROTOCOLS.map(range));
  assertEquals(count(), before);
});

Deno.test("host ports of all kinds are gone with the pod", async () => {
  const pod = await Pod.create(node, {
    ports: PROTOCOLS.flatMap((protocol) => [
      { protocol, hostPort: 9000, hostPortEnd: 9009, containerPort: 9000 },
      ...FAMILIES.flatMap((family) =>
        [nodeAddress(family), loopbackAddress(family)].map((hostIP) => ({
          protocol,
          hostIP,
          hostPort: 8080,
          containerPort: 80,
        }))
      ),
    ]),
  });
  await pod[Symbol.asyncDispose]();
  assertEquals(findElementsOf(nft, () => true), []);
});

Deno.test("a creation that fails after its ports were claimed gives them back", async () => {
  // The address is another pod's: that shows before the ports are claimed. So the port is the last to be refused.
  await using owner = await Pod.create(node, {
    ports: [{ hostPort: 8080, containerPort: 80 }],
  });
  await assertRejects(
    () =>
      node.node.createSandbox({
        name: "failed",
        ports: [range(), { hostPort: 8080, containerPort: 80 }],
      }),
    SandboxError<"HostPortInUse">,
  );
  const others = findElementsOf(nft, (id) => id !== owner.sandbox.id);
  assertEquals(others, []);
  const names = (await node.node.listSandboxes()).map(({ name }) => name);
  assertEquals(names, [owner.name]);
});
