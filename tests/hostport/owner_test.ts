/**
 * Elements belong to sandboxes: what is somebody else's by now is not taken away, whoever commits in between.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { SandboxError } from "../../src/errors.ts";
import {
  claimHostPorts,
  type ClaimOptions,
  deleteElements,
  findElementsOf,
  type HostPortSockets,
  releaseHostPorts,
} from "../../src/hostport/host_ports.ts";
import type { PortOwner } from "../../src/hostport/elements.ts";
import { type HostPort, toHostPort } from "../../src/hostport/mapping.ts";
import { TABLE } from "../../src/hostport/sets.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_SOCK_DIAG } from "../../src/netlink/message.ts";
import {
  type CommitOptions,
  NftablesConnection,
} from "../../src/nftables/connection.ts";
import { Transaction } from "../../src/nftables/transaction.ts";
import { createLab, type Lab, type LabNode } from "../../src/testing/mod.ts";
import { ask, FAMILIES, TRANSPORTS } from "../support/ask.ts";
import { nodeAddress, nodeAt, Pod } from "../support/pods.ts";

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

const MAPPINGS = [
  ...TRANSPORTS.map((protocol) => ({
    protocol,
    hostPort: 8080,
    containerPort: 80,
  })),
  ...FAMILIES.map((family) => ({
    protocol: "tcp" as const,
    hostPort: 8081,
    containerPort: 80,
    hostIP: nodeAddress(family),
  })),
];

/** Takes a pod's host ports out of the table behind podnet's back. */
function loseElements(pod: Pod): void {
  const transaction = new Transaction();
  for (const { set, element } of findElementsOf(nft, isOf(pod))) {
    transaction.deleteElements(TABLE, set, [element]);
  }
  nft.commit(transaction);
}

function isOf({ sandbox }: Pod): (id: string) => boolean {
  return (id) => id === sandbox.id;
}

function assertAnswers(pod: Pod): void {
  for (const transport of TRANSPORTS) {
    for (const family of FAMILIES) {
      using server = pod.serve(transport, family, 80);
      const to = { address: nodeAddress(family), port: 8080 };
      const answer = ask(transport, lab.outside.namespace, to, [server]);
      assert(typeof answer === "object");
      assertEquals(answer.server, pod.name);
    }
  }
}

for (
  const [how, remove] of [
    ["is removed", (pod: Pod) => pod.sandbox.remove()],
    ["closes them", (pod: Pod) => pod.sandbox.removePorts(MAPPINGS)],
  ] as const
) {
  Deno.test(`HP26 ports that are another pod's by now stay when the pod that had them ${how}`, async () => {
    await using stale = await Pod.create(node, { ports: MAPPINGS });
    loseElements(stale);
    await using owner = await Pod.create(node, { ports: MAPPINGS });
    const elements = findElementsOf(nft, isOf(owner));
    await remove(stale);
    assertEquals(findElementsOf(nft, isOf(owner)), elements);
    assertAnswers(owner);
  });
}

Deno.test("HP26 garbage collection takes a dead pod's ports and nobody else's", async () => {
  const stale = await Pod.create(node, { ports: MAPPINGS });
  await using owner = await Pod.create(node, {
    ports: [{ hostPort: 9000, containerPort: 80 }],
  });
  const elements = findElementsOf(nft, isOf(owner));
  stale.namespace[Symbol.dispose]();
  // As after a crash: the namespace is gone, and nobody has tidied up.
  Deno.removeSync(stale.sandbox.netnsPath.replace(/[^/]+$/, "record.cbor"));
  await node.node.collectGarbage();
  assertEquals(findElementsOf(nft, isOf(stale)), []);
  assertEquals(findElementsOf(nft, isOf(owner)), elements);
});

/** Has somebody else commit right before each of the first commits. */
class Interfered extends NftablesConnection {
  readonly #interferences: (() => void)[];
  readonly generations: number[] = [];

  constructor(netlink: Connection, interferences: readonly (() => void)[]) {
    super(netlink);
    this.#interferences = [...interferences];
  }

  override commit(transaction: Transaction, options?: CommitOptions): void {
    assert(options?.generation !== undefined);
    this.generations.push(options.generation);
    this.#interferences.shift()?.();
    super.commit(transaction, options);
  }
}

const ADDRESSES = ["10.244.1.99", "fd00:10:244:1::99"].map((text) =>
  IpAddress.parse(text)
);
const STALE: PortOwner = { id: "stale", addresses: ADDRESSES };
const FRESH: PortOwner = { id: "fresh", addresses: ADDRESSES };
const PORT: HostPort = toHostPort({
  protocol: "tcp",
  hostPort: 7000,
  containerPort: 70,
}, [4, 6]);
const WITHOUT_HAIRPIN = { withHairpin: false };
const CLAIM: ClaimOptions = {
  ...WITHOUT_HAIRPIN,
  nodeAddresses: () => [],
  describeOwner: (id) => id,
};

function idsInTable(): string[] {
  const ids = findElementsOf(nft, (id) => id === "stale" || id === "fresh")
    .map(({ element }) => element.comment ?? "");
  return [...new Set(ids)];
}

/** Runs with sockets of the node, of which the one for nf_tables is interfered with. */
function interfered(
  interferences: readonly (() => void)[],
  body: (sockets: HostPortSockets, nft: Interfered) => void,
): void {
  using diag = node.namespace.run(() => Connection.open(NETLINK_SOCK_DIAG));
  using inner = node.namespace.run(() => NftablesConnection.open());
  const sockets = new Interfered(inner.netlink, interferences);
  body({ nft: sockets, diag }, sockets);
}

Deno.test("HP26 what this process has added is not taken away when another has given it to somebody else since", async () => {
  await using stale = await Pod.create(node, { ports: MAPPINGS });
  const mapping = toHostPort(
    { protocol: "tcp", hostPort: 8080, containerPort: 80 },
    [4, 6],
  );
  loseElements(stale);
  interfered([], (sockets) => claimHostPorts(sockets, FRESH, [mapping], CLAIM));
  const isFresh = (id: string) => id === FRESH.id;
  const elements = findElementsOf(nft, isFresh);
  await stale.sandbox.remove();
  assertEquals(findElementsOf(nft, isFresh), elements);
  assertEquals(findElementsOf(nft, isOf(stale)), []);
  interfered([], (sockets) => {
    releaseHostPorts(sockets, FRESH, [mapping], WITHOUT_HAIRPIN);
  });
  assertEquals(findElementsOf(nft, isFresh), []);
});

Deno.test("HP26 an owner that changes between the look and the deletion is seen", () => {
  interfered([], (sockets) => claimHostPorts(sockets, STALE, [PORT], CLAIM));
  const takeOver = () =>
    interfered([], (sockets) => {
      releaseHostPorts(sockets, STALE, [PORT], WITHOUT_HAIRPIN);
      claimHostPorts(sockets, FRESH, [PORT], CLAIM);
    });
  interfered([takeOver], (sockets, { generations }) => {
    releaseHostPorts(sockets, STALE, [PORT], WITHOUT_HAIRPIN);
    // Refused once; after a second look there was nothing to do.
    assertEquals(generations.length, 1);
  });
  assertEquals(idsInTable(), ["fresh"]);
  interfered([], (sockets) => {
    releaseHostPorts(sockets, FRESH, [PORT], WITHOUT_HAIRPIN);
  });
  assertEquals(idsInTable(), []);
});

Deno.test("HP26 a port is somebody else's even if it leads to the very same place", () => {
  // To the kernel, an element with the same key and data is the same element, whatever its comment.
  interfered([], (sockets) => {
    claimHostPorts(sockets, STALE, [PORT], CLAIM);
    const error = assertThrows(
      () => claimHostPorts(sockets, FRESH, [PORT], CLAIM),
      SandboxError<"HostPortInUse">,
    );
    assertEquals(error.context.owner, "stale");
    releaseHostPorts(sockets, FRESH, [PORT], WITHOUT_HAIRPIN);
    assertEquals(idsInTable(), ["stale"]);
    releaseHostPorts(sockets, STALE, [PORT], WITHOUT_HAIRPIN);
  });
  assertEquals(idsInTable(), []);
});

Deno.test("HP26 commits of others to other things delay a claim and a release, but do not change them", () => {
  const unrelated = () => {
    const other = {
      family: "inet",
      name: "other",
      sets: [],
      chains: [],
    } as const;
    const transaction = new Transaction();
    if (nft.getTable("other") === undefined) transaction.createTable(other);
    else transaction.deleteTable("other");
    nft.commit(transaction);
  };
  interfered([unrelated, unrelated], (sockets, { generations }) => {
    claimHostPorts(sockets, STALE, [PORT], CLAIM);
    assertEquals(generations.length, 3);
    assertEquals(new Set(generations).size, 3);
  });
  assertEquals(idsInTable(), ["stale"]);
  interfered([unrelated, unrelated], (sockets, { generations }) => {
    releaseHostPorts(sockets, STALE, [PORT], WITHOUT_HAIRPIN);
    assertEquals(generations.length, 3);
  });
  assertEquals(idsInTable(), []);
});

Deno.test("HP26 the elements of a lost sandbox are deleted as long as they are its own", () => {
  interfered([], (sockets) => {
    claimHostPorts(sockets, STALE, [PORT], CLAIM);
    const found = findElementsOf(nft, (id) => id === "stale");
    assertEquals(found.length, 4);
    releaseHostPorts(sockets, STALE, [PORT], WITHOUT_HAIRPIN);
    claimHostPorts(sockets, FRESH, [PORT], CLAIM);
    deleteElements(sockets.nft, found);
    assertEquals(idsInTable(), ["fresh"]);
    deleteElements(
      sockets.nft,
      findElementsOf(nft, (id) => id === "fresh"),
    );
    assertEquals(idsInTable(), []);
  });
});

Deno.test("HP21 a wildcard that appears between the look and the claim of one address is seen, and the other way round", () => {
  const address = IpAddress.parse(nodeAddress(4));
  const options = { ...CLAIM, nodeAddresses: () => [address] };
  const single: HostPort = { ...PORT, hostIP: address, families: [4] };
  for (const [first, second] of [[PORT, single], [single, PORT]] as const) {
    const faster = () =>
      interfered([], (sockets) => {
        claimHostPorts(sockets, FRESH, [first], options);
      });
    interfered([faster], (sockets) => {
      const error = assertThrows(
        () => claimHostPorts(sockets, STALE, [second], options),
        SandboxError<"HostPortInUse">,
      );
      assertEquals(error.context.owner, "fresh");
      assertEquals(idsInTable(), ["fresh"]);
      releaseHostPorts(sockets, FRESH, [first], WITHOUT_HAIRPIN);
    });
  }
  assertEquals(idsInTable(), []);
});
