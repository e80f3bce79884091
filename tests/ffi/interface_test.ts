import { assertEquals, assertThrows } from "@std/assert";
import { hasInterface } from "../../ffi/interface.ts";
import { AF_NETLINK, SOCK_RAW, socket } from "../../ffi/socket.ts";
import { NetworkNamespace } from "../../src/namespace/network_namespace.ts";
import { command } from "../support/command.ts";

const NETLINK_ROUTE = 0;

Deno.test("hasInterface() knows the interfaces of the namespace that the socket was made in", () => {
  using namespace = NetworkNamespace.create();
  using inside = namespace.run(() =>
    socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)
  );
  const longest = "fifteen-letters";
  assertEquals(hasInterface(inside, longest), false);
  command(namespace, `ip link add ${longest} type veth peer name short`);
  for (const name of ["lo", "short", longest]) {
    assertEquals(hasInterface(inside, name), true, name);
  }
  // The kernel would cut the name off, and find the link.
  for (const name of ["", "sho", "shorter", `${longest}-and-more`]) {
    assertEquals(hasInterface(inside, name), false, name);
  }
  const other = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  assertEquals(hasInterface(other, longest), false);
  other[Symbol.dispose]();
  assertThrows(() => hasInterface(other, longest), TypeError);
});
