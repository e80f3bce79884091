/**
 * Connections of pods that are gone are forgotten, those of others stay.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { setSocketOption, SOL_SOCKET } from "../../ffi/socket.ts";
import {
  listConntrack,
  type TrackedConnection,
} from "../../src/conntrack/conntrack.ts";
import { findElementsOf } from "../../src/hostport/host_ports.ts";
import { TABLE } from "../../src/hostport/sets.ts";
import { NftablesConnection } from "../../src/nftables/connection.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { exchangeOverUdp, FAMILIES, TRANSPORTS } from "../support/ask.ts";
import { command } from "../support/command.ts";
import { gatewayAddress, nodeAddress, nodeAt, Pod } from "../support/pods.ts";
import { TestSocket } from "../support/sockets.ts";
import { directoryOf, linkGone } from "./scene.ts";

/** socket(7). */
const SO_LINGER = 13;

let lab: Lab;
let node: LabNode;
let nft: NftablesConnection;
let owned: AsyncDisposableStack;

Deno.test.beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  lab = stack.use(await createLab());
  node = nodeAt(lab.nodes, 0);
  nft = stack.use(node.namespace.run(() => NftablesConnection.open()));
  owned = stack.move();
});

Deno.test.afterAll(() => owned[Symbol.asyncDispose]().then());

function create(hostPort: number): Promise<Pod> {
  return Pod.create(node, {
    ports: TRANSPORTS.map((protocol) => ({
      protocol,
      hostPort,
      containerPort: 80,
    })),
  });
}

/**
 * A client outside that has had an answer of the pod, by its host port, and goes on.
 *
 * @param clients owns the client, if it is to outlive the pod's sockets
 */
function flow(
  pod: Pod,
  port: number,
  transport: "tcp" | "udp",
  family: 4 | 6,
  clients?: DisposableStack,
): DisposableStack {
  const stack = new DisposableStack();
  const server = stack.use(pod.serve(transport, family, 80));
  const client = (clients ?? stack).use(
    TestSocket.open(lab.outside.namespace, { kind: transport, family }),
  );
  client.connect({ address: nodeAddress(family), port });
  if (transport === "udp") {
    assert(typeof exchangeOverUdp(client, [server]) === "object");
  } else {
    const { socket } = server.socket.accept();
    // Closing it aborts the connection, so that the kernel keeps no rest of it, and with it the namespace.
    setSocketOption(
      stack.use(socket).fd,
      SOL_SOCKET,
      SO_LINGER,
      new Uint8Array(new Int32Array([1, 0]).buffer),
    );
  }
  return stack;
}

/** The namespace goes, and with it everything of the pod but what the node has tracked, and its elements. */
async function die(pod: Pod): Promise<void> {
  pod.namespace[Symbol.dispose]();
  command(node.namespace, `umount -l ${pod.sandbox.netnsPath}`);
  Deno.removeSync(directoryOf(pod.sandbox), { recursive: true });
  await linkGone(node, pod.sandbox);
}

function loseElements({ sandbox }: Pod): void {
  const transaction = new Transaction();
  for (
    const { set, element } of findElementsOf(nft, (id) => id === sandbox.id)
  ) transaction.deleteElements(TABLE, set, [element]);
  nft.commit(transaction);
}

function trackedOf(pod: Pod): readonly TrackedConnection[] {
  return FAMILIES.flatMap((family) =>
    listConntrack(nft.netlink, { family }).filter(({ reply }) =>
      String(reply.source) === pod.address(family)
    )
  );
}

Deno.test("collectGarbage() ends the datagram flows of a sandbox whose record is lost, with its elements", async () => {
  await using living = await create(8001);
  const dead = await create(8002);
  using flows = new DisposableStack();
  for (const family of FAMILIES) {
    flows.use(flow(living, 8001, "udp", family));
    flow(dead, 8002, "udp", family).dispose();
  }
  await die(dead);
  assertEquals(trackedOf(dead).length, 2);
  const planned = await node.node.collectGarbage({ dryRun: true });
  assertEquals(planned.map(({ kind, id }) => [kind, id]), [
    ["element", dead.sandbox.id],
  ]);
  assertEquals(trackedOf(dead).length, 2);
  assertEquals(
    await node.node.collectGarbage(),
    planned.map((one) => ({ ...one, removed: true })),
  );
  assertEquals(trackedOf(dead), []);
  assertEquals(trackedOf(living).length, 2);
});

Deno.test("removeSandbox() of a sandbox whose record is lost ends its datagram flows", async () => {
  const dead = await create(8002);
  for (const family of FAMILIES) flow(dead, 8002, "udp", family).dispose();
  await die(dead);
  assertEquals(trackedOf(dead).length, 2);
  assertEquals(await node.node.removeSandbox(dead.sandbox.id), true);
  assertEquals(trackedOf(dead), []);
});

Deno.test("collectGarbage() forgets connections of an address that no sandbox has, and tells of them", async () => {
  await using living = await create(8001);
  const dead = await create(8002);
  using flows = new DisposableStack();
  for (const family of FAMILIES) {
    for (const transport of TRANSPORTS) {
      flows.use(flow(living, 8001, transport, family));
    }
    flow(dead, 8002, "udp", family).dispose();
    // The node talks to the living pod from its gateway address, which is no pod's.
    flows.use(living.serve("tcp", family, 81));
    const client = flows.use(
      TestSocket.open(node.namespace, { kind: "tcp", family }),
    );
    client.connect({ address: living.address(family), port: 81 });
    assertEquals(client.local.address, gatewayAddress(family));
  }
  const before = trackedOf(living).length;
  await die(dead);
  loseElements(dead);
  const planned = await node.node.collectGarbage({ dryRun: true });
  assertEquals(
    planned.map(({ kind, id }) => [kind, id]).sort(),
    FAMILIES.map((family) => ["conntrack", dead.address(family)]).sort(),
  );
  assert(trackedOf(dead).length >= 2);
  assertEquals(
    await node.node.collectGarbage(),
    planned.map((one) => ({ ...one, removed: true })),
  );
  assertEquals(
    trackedOf(dead).filter(({ protocol }) => protocol !== 6),
    [],
  );
  assertEquals(trackedOf(living).length, before);
  assertEquals(await node.node.collectGarbage(), []);
});

Deno.test("collectGarbage() forgets established connections of a dead pod, which the kernel would keep for days", async () => {
  const dead = await create(8002);
  using clients = new DisposableStack();
  const flows = FAMILIES.map((family) =>
    flow(dead, 8002, "tcp", family, clients)
  );
  // Its sockets go with the namespace and nobody hears of it: the link is down already.
  command(node.namespace, `ip link set ${dead.sandbox.hostInterface} down`);
  for (const one of flows) one.dispose();
  await die(dead);
  loseElements(dead);
  const found = trackedOf(dead).filter(({ timeout = 0 }) => timeout > 600);
  assertEquals(found.length, 2);
  const told = await node.node.collectGarbage();
  assertEquals(
    told.map(({ kind, id }) => [kind, id]).sort(),
    FAMILIES.map((family) => ["conntrack", dead.address(family)]).sort(),
  );
  assertEquals(trackedOf(dead).filter(({ timeout = 0 }) => timeout > 600), []);
});
