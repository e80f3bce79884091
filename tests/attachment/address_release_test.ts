/**
 * Many addresses are given back on another thread, together, and as surely as one.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { AddressRelease } from "../../src/attachment/address_release.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { IpAddress } from "../../src/net/ip.ts";
import { Connection } from "../../src/netlink/connection.ts";
import { NETLINK_ROUTE } from "../../src/netlink/message.ts";
import { command } from "../support/command.ts";

const PODS = 40;
const INDEX = 7;

function addressesOf(pod: number): IpAddress[] {
  return [`10.99.0.${pod + 1}`, `fd00:99::${(pod + 1).toString(16)}`]
    .map((text) => IpAddress.parse(text));
}

/** A node with one link that claims the addresses of many pods. */
function nodeWithClaims(opened: DisposableStack): NetworkNamespace {
  const node = opened.use(NetworkNamespace.create());
  command(
    node,
    `ip link add claims index ${INDEX} type veth peer name peer
    ip link set claims up
    for i in $(seq ${PODS}); do
      ip route add 10.99.0.$i dev claims proto 112
      ip route add fd00:99::$(printf %x $i) dev claims proto 112
    done`,
  );
  return node;
}

function claims(node: NetworkNamespace): string {
  return command(node, "ip route show proto 112; ip -6 route show proto 112");
}

function releaseOf(
  opened: DisposableStack,
  node: NetworkNamespace,
  many: number,
  onOpen: () => void = () => {},
): AddressRelease {
  const open = () => node.run(() => Connection.open(NETLINK_ROUTE));
  const route = opened.use(open());
  return new AddressRelease(route, () => {
    onOpen();
    return open();
  }, many);
}

Deno.test("the addresses of one are free at once", () => {
  using opened = new DisposableStack();
  const node = nodeWithClaims(opened);
  const release = releaseOf(opened, node, 1, () => {
    throw new Error("another thread is asked");
  });
  assertEquals(release.release(INDEX, addressesOf(0)), undefined);
  assertEquals(claims(node).includes("10.99.0.1 "), false);
});

Deno.test("of many at once the event loop waits for none, and each is free when its promise resolves", async () => {
  using opened = new DisposableStack();
  const node = nodeWithClaims(opened);
  let connections = 0;
  const release = releaseOf(opened, node, 0, () => connections++);
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  await Promise.all(
    Array.from({ length: PODS }, async (_, pod) => {
      const waiting = release.release(INDEX, addressesOf(pod));
      assert(waiting !== undefined);
      await waiting;
      const [four, six] = addressesOf(pod);
      const left = claims(node).split("\n").map((line) => line.split(" ")[0]);
      assert(!left.includes(String(four)) && !left.includes(String(six)));
    }),
  );
  clearInterval(timer);
  // The first goes alone, what came meanwhile together.
  assertEquals(connections, 2);
  assertEquals(claims(node), "");
});

Deno.test("addresses that are gone, or another link's by now, are left alone, also among many", async () => {
  using opened = new DisposableStack();
  const node = nodeWithClaims(opened);
  command(
    node,
    "ip link set peer up; ip route del 10.99.0.1; ip route replace 10.99.0.2 dev peer proto 112",
  );
  const release = releaseOf(opened, node, 0);
  await Promise.all(
    Array.from(
      { length: PODS },
      (_, pod) => release.release(INDEX, addressesOf(pod)),
    ),
  );
  assertEquals(claims(node).trim(), "10.99.0.2 dev peer scope link");
  await release.release(INDEX + 1, addressesOf(0));
});

Deno.test("one that cannot be fails alone", async () => {
  using opened = new DisposableStack();
  const node = nodeWithClaims(opened);
  const release = releaseOf(opened, node, 0);
  // The first goes alone, the others together.
  const outcomes = await Promise.allSettled(
    [INDEX, INDEX, -1, INDEX].map((index, pod) =>
      release.release(index, addressesOf(pod))
    ),
  );
  assertEquals(
    outcomes.map(({ status }) => status),
    ["fulfilled", "fulfilled", "rejected", "fulfilled"],
  );
  assertEquals(claims(node).includes("10.99.0.4 "), false);
});
