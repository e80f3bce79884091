/**
 * Eight processes that want the same thing at the same moment: one gets it, and the others learn who has it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type {
  NodeOptions,
  PortMapping,
  SandboxJson,
  SandboxSpec,
} from "../../mod.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { portElements } from "../../src/hostport/elements.ts";
import {
  claimHostPorts,
  releaseHostPorts,
} from "../../src/hostport/host_ports.ts";
import { NodeSockets } from "../../src/sandbox/node/context.ts";
import { Cidr } from "../../src/net/cidr.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { assertAsBefore, snapshot } from "../support/node_state.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import {
  Agents,
  namespacePath,
  type Order,
  type Outcome,
  refusalsOf,
  valuesOf,
} from "./agents.ts";
import { assertOneOwnerEach } from "./ownership.ts";

const PROCESSES = 8;
/** Whether they meet is a matter of microseconds. */
const ROUNDS = 3;

let lab: Lab;
let node: LabNode;
let agents: Agents;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  agents = stack.use(Agents.start(PROCESSES));
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

/** What the others need to open the node. */
function reference(): NodeOptions {
  const { node: { name, stateDir }, namespace } = node;
  return { netns: namespacePath(namespace), name, stateDir };
}

/** Runs rounds of a race on the lab's node; each has to leave the node consistent, and after removal as it was. */
async function rounds(
  orderOf: (number: number, round: number) => Order,
  judge: (outcomes: readonly Outcome[]) => void | Promise<void>,
): Promise<void> {
  await agents.race(() => ({ action: "open", node: reference() }));
  // Left by a race that failed.
  for (const { id } of await node.node.listSandboxes()) {
    await node.node.removeSandbox(id, { force: true });
  }
  const before = await snapshot(node);
  for (let round = 0; round < ROUNDS; round++) {
    await judge(await agents.race((number) => orderOf(number, round)));
    assertEquals(await node.node.check(), []);
    for (const { id } of await assertOneOwnerEach(node)) {
      await node.node.removeSandbox(id);
    }
    await assertAsBefore(node, before);
  }
}

function create(
  name: string,
  spec: Omit<SandboxSpec, "name"> = {},
): Order {
  return { action: "create", spec: { ...spec, name } };
}

/** The only one who succeeded. */
function winnerOf(outcomes: readonly Outcome[]): SandboxJson {
  const [winner, ...others] = valuesOf<SandboxJson>(outcomes);
  assert(winner, JSON.stringify(outcomes));
  assertEquals(others, []);
  return winner;
}

function titleOf({ name, id }: SandboxJson): string {
  return `sandbox default/${name} (${id})`;
}

Deno.test(`IP1 ${PROCESSES} processes that make sandboxes at once get as many addresses of each pod CIDR`, () =>
  rounds(
    (number, round) => create(`pod-${round}-${number}`),
    (outcomes) => {
      const sandboxes = valuesOf<SandboxJson>(outcomes);
      assertEquals(sandboxes.length, PROCESSES);
      for (const [i, podCidr] of node.node.podCidrs.entries()) {
        for (const { addresses } of sandboxes) {
          const address = IpAddress.parse(addresses[i] ?? "");
          assert(Cidr.parse(podCidr).contains(address), String(address));
          assert(String(address) !== node.node.gateways[i]);
        }
      }
    },
  ));

for (
  const addresses of [
    ["10.244.1.99"],
    ["fd00:10:244:1::99"],
    ["10.244.1.99", "fd00:10:244:1::99"],
  ]
) {
  Deno.test(`of ${PROCESSES} processes that want ${addresses.join(" and ")} one gets it, and the others learn from whom`, () =>
    rounds(
      (number, round) => create(`pod-${round}-${number}`, { addresses }),
      (outcomes) => {
        const winner = winnerOf(outcomes);
        const refusals = refusalsOf(outcomes, "AddressInUse");
        assertEquals(refusals.length, PROCESSES - 1);
        for (const { address, owner } of refusals) {
          assert(addresses.includes(address));
          assertEquals(owner, titleOf(winner));
        }
      },
    ));
}

const port = { hostPort: 8080, containerPort: 80 };
const isEven = (number: number) => number % 2 === 0;
const contests: Readonly<
  Record<string, (number: number) => readonly PortMapping[]>
> = {
  "a tcp port of all addresses": () => [port],
  "a udp port of one IPv4 address": () => [
    { ...port, protocol: "udp", hostIP: nodeAddress(4) },
  ],
  "a tcp port of one IPv6 address": () => [{ ...port, hostIP: nodeAddress(6) }],
  "a udp port, some of all addresses and some of one": (number) => [
    {
      ...port,
      protocol: "udp",
      ...(isEven(number) ? {} : { hostIP: nodeAddress(4) }),
    },
  ],
  "the last of three ports": (number) => [
    { ...port, hostPort: 9000 + number },
    { ...port, hostPort: 9500 + number, protocol: "udp" },
    port,
  ],
};

for (const [what, portsOf] of Object.entries(contests)) {
  Deno.test(`of ${PROCESSES} processes that want ${what} one gets it, and the others learn from whom`, () =>
    rounds(
      (number, round) =>
        create(`pod-${round}-${number}`, { ports: portsOf(number) }),
      (outcomes) => {
        const winner = winnerOf(outcomes);
        const refusals = refusalsOf(outcomes, "HostPortInUse");
        assertEquals(refusals.length, PROCESSES - 1);
        for (const { hostPort, owner } of refusals) {
          assertEquals([hostPort, owner], [8080, titleOf(winner)]);
        }
      },
    ));
}

Deno.test("claimHostPorts() tries again when whoever had the port gives it back before it is asked for", async () => {
  await using taker = await Pod.create(node, { ports: [port] });
  await using pod = await Pod.create(node);
  using sockets = new NodeSockets(node.namespace);
  const { families, ...wanted } = { ...port, families: [4] as const };
  const mapping = {
    hostIP: undefined,
    ...wanted,
    protocol: "tcp" as const,
    families,
  };
  const addresses = [IpAddress.parse(pod.address(4))];
  const nft = Object.create(sockets.nft, {
    netlink: { value: sockets.nft.netlink },
    commit: {
      value: (...given: Parameters<typeof sockets.nft.commit>) => {
        try {
          sockets.nft.commit(...given);
        } finally {
          releaseHostPorts(
            sockets,
            {
              id: taker.sandbox.id,
              addresses: taker.sandbox.addresses.map((a) => IpAddress.parse(a)),
            },
            [mapping],
            { withHairpin: false },
          );
        }
      },
    },
  });
  const owner = { id: pod.sandbox.id, addresses };
  claimHostPorts(
    { nft, diag: sockets.diag },
    owner,
    [mapping],
    {
      nodeAddresses: () => [],
      describeOwner: (id) => id,
      withHairpin: false,
    },
  );
  const placed = portElements(
    mapping,
    IpAddress.parse(pod.address(4)),
    owner.id,
  );
  for (const { set, element } of placed) {
    const found = sockets.nft.getElement("podnet", set, element.key);
    assertEquals(found?.comment, owner.id);
  }
  releaseHostPorts(sockets, owner, [mapping], { withHairpin: false });
});

Deno.test(`${PROCESSES} processes that make one sandbox at once all get the same`, () =>
  rounds(
    (_, round) => create(`same-${round}`, { ports: [port] }),
    (outcomes) => {
      const [first, ...others] = valuesOf<SandboxJson>(outcomes);
      assertEquals(others, Array(PROCESSES - 1).fill(first));
    },
  ));

Deno.test(`${PROCESSES} processes that make one sandbox by two specs agree on which was first`, () =>
  rounds(
    (number) => create("contested", { mtu: isEven(number) ? 1400 : 1300 }),
    (outcomes) => {
      const made = valuesOf<SandboxJson>(outcomes);
      assertEquals(made, Array(PROCESSES / 2).fill(made[0]));
      const refusals = refusalsOf(outcomes, "SandboxConflict");
      assertEquals(refusals.length, PROCESSES / 2);
      for (const { id, differences } of refusals) {
        assertEquals([id, differences.length], [made[0]?.id, 1]);
      }
    },
  ));

Deno.test("collectGarbage() takes nothing of what other processes are making", () =>
  rounds(
    (number, round) =>
      isEven(number)
        ? { action: "collectGarbage" }
        : create(`pod-${round}-${number}`, { ports: [] }),
    (outcomes) => {
      const found = outcomes.filter((_, number) => isEven(number))
        .map(({ value }) => value);
      assertEquals(found, Array(PROCESSES / 2).fill([]));
      assertEquals(valuesOf(outcomes).length, PROCESSES);
    },
  ));

Deno.test("repair() makes nothing of what other processes remove, and one removal of a sandbox finds it", async () => {
  let made: readonly SandboxJson[] = [];
  await rounds(
    (number) => create(`pod-${number}`, { ports: [] }),
    async (outcomes) => {
      made = valuesOf(outcomes);
      const name = (number: number) => `pod-${number >> 2 << 2}`;
      const removals = await agents.race((number) =>
        isEven(number)
          ? { action: "repair" }
          : { action: "remove", name: name(number), force: false }
      );
      const said = (isOfThem: (number: number) => boolean) =>
        removals.filter((_, number) => isOfThem(number))
          .map(({ value }) => value);
      const nothing = { mended: [], remaining: [] };
      assertEquals(said(isEven), Array(PROCESSES / 2).fill(nothing));
      const removed = said((number) => !isEven(number));
      assertEquals(removed.filter((one) => one).length, PROCESSES / 4);
      assertEquals(
        (await node.node.listSandboxes()).length,
        made.length - PROCESSES / 4,
      );
    },
  );
});
