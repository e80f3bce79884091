/**
 * What a node tells the others of its addresses.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { underlayOf } from "../../src/cluster/underlay.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { command } from "../support/command.ts";

Deno.test("a node tells the preferred address and one of each other network, and none that may move between nodes", () => {
  using node = NetworkNamespace.create();
  command(
    node,
    `ip link set lo up
     ip link add eth0 type veth peer name other
     ip link set other up
     ip link set eth0 up
     ip address add 192.168.60.1/24 dev eth0
     ip address add 192.168.50.1/24 dev eth0
     ip address add 192.168.50.100/24 dev eth0
     ip address add 192.168.50.101/32 dev eth0
     ip address add 203.0.113.9/32 dev eth0
     ip address add fd50::1/64 dev eth0 nodad
     ip address add fd50::100/128 dev eth0 nodad
     ip address add fd50::101/64 dev eth0 nodad
     ip address add fd60::1/64 dev eth0 nodad
     ip address add 192.168.70.1/24 dev other
     ip route add default via 192.168.50.253 src 192.168.50.1
     ip -6 route add default via fd50::fd src fd50::1`,
  );
  assertEquals(
    underlayOf(node).addresses.toSorted(),
    ["192.168.50.1", "192.168.60.1", "fd50::1", "fd60::1"],
  );
  assertEquals(underlayOf(node).addresses[0], "192.168.50.1");
  // One that it shows to the outside is its own, whatever its network.
  command(
    node,
    `ip route replace default via 192.168.50.253 src 203.0.113.9`,
  );
  assertEquals(
    underlayOf(node).addresses.filter((text) => !text.includes(":")),
    ["203.0.113.9", "192.168.60.1", "192.168.50.1"],
  );
});
